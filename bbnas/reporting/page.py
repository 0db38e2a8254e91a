"""The report of a study: an HTML page, and the table of its candidates as CSV."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from bbnas.analysis import (
    StudyFindings,
    agreement,
    findings,
    frame,
    front,
    hypervolume_curve,
    methods_frame,
    rank_methods,
    recommend,
    seed_noise,
    study_benefit,
    time_agreement,
)
from bbnas.analysis.estimates import Z95
from bbnas.analysis.fidelity import SeedNoise
from bbnas.analysis.fidelity import summary as fidelity_words
from bbnas.analysis.pareto import places
from bbnas.analysis.reasons import reasons, story
from bbnas.analysis.recommendation import Recommendation
from bbnas.analysis.recommendation import ratio as fewer
from bbnas.analysis.worth import worth
from bbnas.cost import count as count_costs
from bbnas.design import TITLES
from bbnas.errors import UserError
from bbnas.evaluation import Evaluation
from bbnas.fidelity import MeasuredFidelity
from bbnas.figures.benefit import benefit_lengths
from bbnas.figures.curves import curves, draw_curves
from bbnas.figures.diagram import diagram
from bbnas.figures.diagram_svg import svg
from bbnas.figures.effects import effects_figure
from bbnas.figures.front import draw_front, front_figure
from bbnas.figures.hypervolume import draw_hypervolume
from bbnas.figures.parallel import draw_parallel, parallel_figure
from bbnas.figures.theme import Spec
from bbnas.figures.timeline import draw_timeline, timeline_figure
from bbnas.figures.times import draw_times, times
from bbnas.figures.worth import draw_worth
from bbnas.files import write_output
from bbnas.reporting.html import write_html
from bbnas.reporting.measured import machines, measured, tally, times_words
from bbnas.reporting.summary import summary
from bbnas.reporting.tables import NONE
from bbnas.reporting.words import headline
from bbnas.reporting.worth import break_even
from bbnas.rivals import Rivals
from bbnas.study import OBJECTIVES, Study
from bbnas.tasks import Task, get_task
from bbnas.text import COSTS, count, decibel, listed, milliseconds, signed

if TYPE_CHECKING:
    from bbnas.runs.pictures import Pictures


def write_page(
    study: Study,
    path: str | Path,
    *,
    pictures: Pictures | None = None,
    repeats: Sequence[Evaluation] = (),
    recommendation: Recommendation | None = None,
    fidelity: MeasuredFidelity | None = None,
    rivals: Rivals | None = None,
    inline: bool = False,
) -> Path:
    """Write the report of a study to ``path``, which is returned.

    ``pictures`` are restored crops, with the PSNR of bicubic interpolation on the study's images,
    through which published designs are compared with the front. ``repeats`` are evaluations of
    the study's designs under other seeds or longer protocols: they give the noise between seeds
    and the rank agreement. ``recommendation`` is ``recommend(study)`` unless given. ``fidelity``
    says how well the study's protocol ranks designs; the page warns where it is None.
    ``rivals`` are networks that are not 1-bit, beside designs of the study or of its task.
    ``inline`` is that of :func:`bbnas.reporting.html.write_html`.

    Raises:
        UserError: a file cannot be written.
    """
    missing = ""
    if recommendation is None:
        try:
            recommendation = recommend(study)
        except UserError as error:
            missing = str(error)
    number = recommendation.candidate.number if recommendation else None
    bicubic = study.config.bicubic_psnr or (pictures.bicubic if pictures else None)
    if bicubic is not None and study.config.bicubic_psnr is None:
        study = replace(study, config=replace(study.config, bicubic_psnr=bicubic))
    if recommendation is not None:
        recommendation = replace(recommendation, untrained=study.config.untrained)
    estimate = None
    if recommendation is not None and math.isfinite(recommendation.error):
        estimate = recommendation.psnr, Z95 * recommendation.error
    plot = front_figure(study, number, bicubic, estimate=estimate)
    volume = hypervolume_curve(study)
    loss = curves(study, number)
    timed = times(study, number)
    parallel = parallel_figure(study, number)
    timeline = timeline_figure(study, datetime.now(UTC))
    found = findings(study)
    noise = seed_noise(study, repeats)
    methods = _methods(study, noise)
    chosen = None
    if recommendation is not None:
        chosen = _chosen(study, recommendation, found, fidelity, pictures)
    return write_html(
        path,
        "reporting/page.html.j2",
        inline=inline,
        study=study,
        task=get_task(study.config.task),
        space=study.config.space.name,
        objectives=listed([_TITLES[name] for name in study.config.objectives]),
        numbers=tally(study),
        times_words=times_words(study),
        machines=machines([c.evaluation for c in study.candidates]),
        sections=[
            (section, title)
            for section, title, shown in (
                ("recommended", "Recommended", True),
                ("design", "Design", chosen),
                ("limits", "Limits", plot),
                ("findings", "Choices", True),
                ("parallel", "Parallel", parallel),
                ("methods", "Methods", methods),
                ("benefit", "VC, VP", True),
                ("worth", "Worth", True),
                ("times", "Time", timed),
                ("hypervolume", "Progress", True),
                ("curves", "Curves", True),
                ("candidates", "Candidates", True),
                ("pictures", "Pictures", True),
                ("trust", "Trust", True),
                ("measured", "How measured", True),
            )
            if shown
        ],
        findings=found,
        chosen=chosen,
        missing=missing,
        plot=plot,
        front_size=len(front(study)),
        rivals=rivals,
        worth=worth(rivals) if rivals else [],
        break_even=break_even,
        times=timed,
        time_agreement=time_agreement(study),
        volume=volume,
        effects=effects_figure(found),
        benefit=_benefit(study),
        curves=loss,
        parallel=parallel,
        timeline=timeline,
        columns=_columns(study),
        rows=_rows(study, recommendation),
        pictures=pictures,
        measured=measured(study),
        noise=noise,
        methods=methods,
        agreement=agreement(study, repeats),
        fidelity=fidelity_words(fidelity) if fidelity else [],
        figures={
            "front": _in_hero(draw_front(plot)) if plot else None,
            "worth": draw_worth(rivals) if rivals else None,
            "times": draw_times(timed) if timed else None,
            "parallel": draw_parallel(parallel) if parallel else None,
            "volume": draw_hypervolume(volume) if volume else None,
            "timeline": draw_timeline(timeline) if timeline else None,
            "seconds": draw_hypervolume(volume, "seconds") if volume else None,
            "curves": draw_curves(loss) if loss else None,
        },
        data={
            "bicubic": bicubic,
            "designs": [
                (c.number, e.psnr, e.ops, e.params, e.latency)
                for c in study.own()
                for e in (c.evaluation,)
            ],
            "export": _export(study),
        },
    )


# Pixels: as high as the numbers and the picture beside it.
HERO = 430


def _in_hero(figure: Spec) -> Spec:
    return figure | {"layout": figure["layout"] | {"height": HERO}}


def write_csv(study: Study, path: str | Path) -> Path:
    """Write ``frame(study)`` to ``path``, which is returned.

    Raises:
        UserError: the file cannot be written.
    """
    return write_output(Path(path), frame(study).to_csv(index=False))


def write_parquet(study: Study, path: str | Path) -> Path:
    """Write ``frame(study)`` to ``path`` as Apache Parquet; ``path`` is returned.

    Raises:
        UserError: the file cannot be written.
    """
    return write_output(Path(path), frame(study).to_parquet(None, index=False))


_TITLES = dict.fromkeys(OBJECTIVES, "PSNR") | {name: cost.title for name, cost in COSTS.items()}


def _chosen(
    study: Study,
    recommendation: Recommendation,
    found: StudyFindings,
    fidelity: MeasuredFidelity | None,
    pictures: Pictures | None,
) -> dict[str, Any]:
    from markupsafe import Markup

    candidate = recommendation.candidate
    design, task = candidate.evaluation.design, get_task(study.config.task)
    drawn = diagram(design, task)
    told = story(study, recommendation, found, _trust(task, fidelity))
    return {
        "number": candidate.number,
        "headline": headline(design),
        "tiles": _tiles(recommendation),
        "shots": _shots(pictures),
        "story": told,
        "rows": summary(study, recommendation),
        "reasons": [r for r in reasons(study, recommendation, found) if r not in told],
        "yaml": design.to_yaml(),
        "diagrams": [Markup(svg(drawn, narrow=narrow)) for narrow in (False, True)],
        "honest": count_costs(design, task),
        "export": f"{_export(study)} --pick 'trial {candidate.number}' -o recipe.yaml",
    }


def _tiles(recommendation: Recommendation) -> list[tuple[str, str, str]]:
    """The numbers of the first screen: (name, value, what is smaller beside it)."""
    here, full = recommendation.candidate.evaluation, recommendation.full
    known = not math.isnan(recommendation.error)
    tiles = [
        (
            "PSNR, estimated from all runs" if known else "PSNR of its one run",
            decibel(recommendation.psnr),
            f"± {Z95 * recommendation.error:.2f} dB (95 %)" if known else "",
        )
    ]
    for name, psnr in recommendation.untrained.items():
        gain = decibel(recommendation.psnr - psnr, sign=True)
        tiles.append((f"over {name}", gain, f"({decibel(psnr)})"))
    for cost in ("ops", "params"):
        own, whole = getattr(here, cost), getattr(full, cost)
        saved = f"{fewer(whole / own)} than in full precision" if whole > own * 1.005 else ""
        tiles.append((COSTS[cost].title, count(own), saved))
    if math.isfinite(here.latency):
        tiles.append(("latency", milliseconds(here.latency), ""))
    return tiles


def _shots(pictures: Pictures | None) -> list[tuple[str, Any, float | None]]:
    """The first crop, by the baseline and by the recommended design, where both are there."""
    if pictures is None or not pictures.crops:
        return []
    crop = pictures.crops[0]
    images = crop.images
    wanted = [next(iter(images)), "recommended"]
    return [(name, images[name], crop.psnr.get(name)) for name in wanted if name in images]


def _trust(task: Task, fidelity: MeasuredFidelity | None) -> str:
    """How well the protocol ranks designs, in words that follow its name."""
    if fidelity is None:
        return f"whose ranking was not measured (bbnas fidelity --task {task.name})"
    where = f", {fidelity.origin.partition(' (')[0]}" if fidelity.shipped else ""
    tau = fidelity.result.kendall_tau
    return f"which ranks designs like much longer training by Kendall’s τ {tau}{where}"


def _export(study: Study) -> str:
    """The command that exports from this study, without its --pick."""
    name, storage = study.config.name, study.storage
    usual = storage == f"sqlite:///studies/{name}.db"
    return shlex.join(["bbnas", "export", name, *([] if usual else ["--storage", storage])])


def _benefit(study: Study) -> list[dict[str, Any]]:
    rows = study_benefit(study)
    lengths = zip(benefit_lengths(rows, "vc"), benefit_lengths(rows, "vp"), strict=True)
    return [
        {
            "part": str(row.part),
            "ops": count(row.ops_f - row.ops_b),
            "params": count(row.params_f - row.params_b),
            "psnr_f": _psnr(row.psnr_f),
            "psnr_b": _psnr(row.psnr_b, "diverged"),
            "vc": _psnr(row.vc),
            "vp": _psnr(row.vp),
            "vc_length": vc,
            "vp_length": vp,
            "rank": row.rank,
        }
        for row, (vc, vp) in zip(rows, lengths, strict=True)
    ]


class CandidateColumn(NamedTuple):
    """A column of the table of candidates: its heading, and the text of a row of the frame.

    ``sorts`` names the value by which rows are sorted, where that is not the text.
    """

    heading: str
    text: Callable[[dict[str, Any]], str]
    numeric: bool = True
    sorts: str = ""


def _columns(study: Study) -> list[CandidateColumn]:
    """Columns of the design and its measurements; a study of methods has no axes of a unit."""
    unit = [
        CandidateColumn("k / k*", _k, sorts="k_ratio"),
        CandidateColumn("norm", lambda r: r["norm"], numeric=False),
        CandidateColumn("activation", lambda r: r["activation"], numeric=False),
        CandidateColumn(
            "position", lambda r: r["activation_position"].replace("_", " "), numeric=False
        ),
        CandidateColumn("convs / residual", lambda r: str(r["convs_per_residual"])),
        CandidateColumn("scale", lambda r: "on" if r["weight_scale"] else "off", numeric=False),
        CandidateColumn("estimator", lambda r: r["estimator"], numeric=False),
    ]
    if True in study.config.space.axes.redistribution:
        unit.append(
            CandidateColumn(
                "redistribution", lambda r: "on" if r["redistribution"] else "off", numeric=False
            )
        )
    method = CandidateColumn("method", lambda r: TITLES.get(r["method"], ""), numeric=False)
    latency = CandidateColumn("latency", lambda r: milliseconds(r["latency"]), sorts="latency")
    return [
        CandidateColumn("trial", lambda r: str(r["number"])),
        CandidateColumn("place", lambda r: r["place"], numeric=False),
        CandidateColumn("PSNR", lambda r: _known(r, f"{r['psnr']:.2f}"), sorts="psnr"),
        CandidateColumn("estimate ± se", _estimate, sorts="estimate"),
        CandidateColumn("SSIM", lambda r: _known(r, f"{r['ssim']:.4f}")),
        CandidateColumn("OPs", lambda r: count(r["ops"]), sorts="ops"),
        CandidateColumn("Params", lambda r: count(r["params"]), sorts="params"),
        *([] if study.latency is None else [latency]),
        CandidateColumn("1-bit", lambda r: r["binarize"], numeric=False),
        *([method] if study.searches_methods else unit),
        CandidateColumn("width", lambda r: str(r["width"])),
        CandidateColumn("depth", lambda r: str(r["depth"])),
        CandidateColumn("seconds", lambda r: f"{r['seconds']:.1f}"),
    ]


def _known(row: dict[str, Any], text: str) -> str:
    return text if row["feasible"] else NONE


def _estimate(row: dict[str, Any]) -> str:
    known = math.isfinite(row["estimate"])
    return f"{row['estimate']:.2f} ± {row['error']:.2f}" if known else NONE


def _k(row: dict[str, Any]) -> str:
    return "off" if math.isnan(row["k_ratio"]) else ratio(row["k_ratio"])


def _rows(study: Study, recommendation: Recommendation | None) -> list[dict[str, Any]]:
    """The rows of the table: those of the frame, the place of each candidate, and its PSNR
    estimated from all runs.
    """
    number, known = None, {}
    if recommendation is not None:
        number = recommendation.candidate.number
        estimates = recommendation.estimates
        for c, psnr, error in zip(
            estimates.candidates, estimates.psnr, estimates.deviation, strict=True
        ):
            known[c.number] = {"estimate": psnr, "error": error}
    place = places(study, number)
    unknown = {"estimate": math.nan, "error": math.nan}
    return [
        {str(name): value for name, value in row.items()}
        | {"place": place[row["number"]], "reason": row["error"]}
        | known.get(row["number"], unknown)
        for row in frame(study).to_dict(orient="records")
    ]


def _half_width(noise: SeedNoise) -> float:
    """Half the 95 % interval (dB) of one run, by Student's t for the few runs behind the noise."""
    from scipy.special import stdtrit

    return noise.sd * float(stdtrit(noise.evaluations - noise.designs, 0.975))


def _methods(study: Study, noise: SeedNoise | None) -> dict[str, Any] | None:
    """The ranking of methods as texts; the best PSNR at each size is marked."""
    ranking = rank_methods(study)
    if ranking is None:
        return None
    table = methods_frame(ranking)
    sizes = list(table.columns[4:])
    rows = []
    for row, values in zip(ranking.rows, table.to_dict(orient="records"), strict=True):
        # One run each: the mean of n differences has sqrt(2 / n) times the noise of a run.
        chance = _half_width(noise) * math.sqrt(2 / row.pairs) if noise and row.pairs else None
        own = row.title == ranking.reference
        cells = [(_psnr(values[size]), bool(values[size] == table[size].max())) for size in sizes]
        rows.append(
            {
                "title": row.title,
                "best": _psnr(row.best),
                "against": "" if own else signed(row.against) if row.pairs else NONE,
                "chance": "" if own or chance is None else f"± {chance:.2f}",
                "pairs": row.pairs,
                "cells": cells,
                "collapsed": row.collapsed,
            }
        )
    return {"reference": ranking.reference, "sizes": sizes, "rows": rows}


def _psnr(value: float, unknown: str = NONE) -> str:
    return f"{value:.2f}".replace("-", "−") if math.isfinite(value) else unknown


def ratio(value: float) -> str:
    """The ratio k / k* as ``1/64``, ``0.3`` or ``4``."""
    if value < 1 and abs(1 / value - round(1 / value)) < 1e-6:
        return f"1/{round(1 / value)}"
    return f"{value:.3g}"
