"""A study in a notebook: figures that Jupyter shows, and a study as a small table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bbnas.analysis import hypervolume_curve, recommend
from bbnas.errors import UserError
from bbnas.figures.curves import curves, draw_curves
from bbnas.figures.front import draw_front, front_figure
from bbnas.figures.hypervolume import draw_hypervolume
from bbnas.figures.times import draw_times, times
from bbnas.reporting.html import render
from bbnas.reporting.words import headline
from bbnas.study import Study
from bbnas.text import decibel, plural

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    from bbnas.figures.theme import Spec


def plot_front(study: Study, pick: str = "knee") -> Figure:
    """PSNR over OPs of all candidates; ``pick`` marks the design that ``recommend`` gives.

    Raises:
        UserError: the study has no candidates, or ``pick`` does not exist.
    """
    values = front_figure(study, _recommended(study, pick))
    return _shown(draw_front(values) if values else None, study, "candidates")


def plot_hypervolume(study: Study) -> Figure:
    """Hypervolume of the front after each evaluation, as a share of its box.

    Raises:
        UserError: no candidate has a PSNR.
    """
    curve = hypervolume_curve(study)
    return _shown(draw_hypervolume(curve) if curve else None, study, "results")


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
