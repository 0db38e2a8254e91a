"""A study in a notebook: figures that Jupyter shows, and a study as a small table."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bbnas.analysis import hypervolume_curve, recommend
from bbnas.errors import UserError, unknown
from bbnas.figures.colouring import colourings
from bbnas.figures.curves import curves, draw_curves
from bbnas.figures.front import X_TITLES, X, draw_front, front_figure
from bbnas.figures.hypervolume import Over, draw_hypervolume
from bbnas.figures.parallel import draw_parallel, parallel_figure
from bbnas.figures.timeline import UNRECORDED, draw_timeline, timeline_figure
from bbnas.figures.times import draw_times, times
from bbnas.reporting.html import render
from bbnas.reporting.words import headline
from bbnas.study import Study
from bbnas.text import decibel, plural

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    from bbnas.figures.theme import Spec


def plot_front(
    study: Study, pick: str = "knee", x: X = "ops", colour: str | None = None
) -> Figure:
    """PSNR over OPs, Params or latency of all candidates; ``pick`` marks the design that
    ``recommend`` gives. ``colour`` is a key of ``bbnas.figures.front.colourings(study)``.

    Raises:
        UserError: the study has no candidates, or ``pick``, ``x`` or ``colour`` does not exist.
    """
    if x not in X_TITLES:
        raise unknown("cost", x, X_TITLES)
    known = colourings(study)
    if colour is not None and colour not in known:
        raise unknown("colour", colour, known)
    values = front_figure(study, _recommended(study, pick), x=x, colour=colour)
    return _shown(draw_front(values) if values else None, study, "candidates")


def plot_hypervolume(study: Study, over: Over = "designs") -> Figure:
    """Hypervolume of the front, as a share of its box, over ``designs``, or over the ``seconds``
    of training of all workers.

    Raises:
        UserError: no candidate has a PSNR.
    """
    curve = hypervolume_curve(study)
    return _shown(draw_hypervolume(curve, over) if curve else None, study, "results")


def plot_parallel(study: Study, pick: str = "knee") -> Figure:
    """Parallel coordinates: each design as a line through its choices to its PSNR.

    Raises:
        UserError: fewer than two designs have a PSNR, or ``pick`` does not exist.
    """
    values = parallel_figure(study, _recommended(study, pick))
    return _shown(draw_parallel(values) if values else None, study, "pair of results")


def plot_timeline(study: Study) -> Figure:
    """Which worker trained which candidate, when, and what became of it.

    Raises:
        UserError: the study has no attempts, or its database is of an older bbnas.
    """
    if study.candidates and not study.attempts:
        raise UserError(f"study {study.config.name!r}: {UNRECORDED}")
    values = timeline_figure(study, datetime.now(UTC))
    return _shown(draw_timeline(values) if values else None, study, "training")


def plot_curves(study: Study, pick: str = "knee") -> Figure:
    """Training loss over iterations of the recommended design, the front and a sample of the rest.

    Raises:
        UserError: no training curve was recorded, or ``pick`` does not exist.
    """
    values = curves(study, _recommended(study, pick))
    return _shown(draw_curves(values) if values else None, study, "training curves")


def plot_times(study: Study, pick: str = "knee") -> Figure:
    """Measured latency over OPs.

    Raises:
        UserError: the study has no latencies, or ``pick`` does not exist.
    """
    values = times(study, _recommended(study, pick))
    return _shown(draw_times(values) if values else None, study, "latencies")


def _shown(spec: Spec | None, study: Study, what: str) -> Figure:
    from plotly.graph_objects import Figure

    if spec is None:
        raise UserError(f"study {study.config.name!r} has no {what} yet: run the search first")
    return Figure(spec)


def _recommended(study: Study, pick: str) -> int | None:
    try:
        return recommend(study, pick).candidate.number
    except UserError:
        if pick != "knee":
            raise
        return None  # nothing to recommend is no reason to draw nothing


def study_html(study: Study) -> str:
    """A study as a table of HTML, for ``Study._repr_html_``."""
    config = study.config
    rows = [
        ("study", config.name),
        ("task", config.task),
        ("space", config.space.name),
        ("evaluated", plural(len(study.candidates), "design")),
    ]
    own = [c.evaluation.psnr for c in study.own()]
    rows.append(("best PSNR", decibel(max(own)) if own else "–"))
    try:
        chosen = recommend(study).candidate
    except UserError as error:
        rows.append(("recommended", f"none: {error}"))
    else:
        design = headline(chosen.evaluation.design)
        psnr = decibel(chosen.evaluation.psnr)
        rows.append(("recommended", f"trial {chosen.number}: {design}; {psnr}"))
    return render("reporting/study.html.j2", rows=rows)
