"""The report: one HTML file with everything in it, and the same table as CSV."""

from __future__ import annotations

import json
import math
import re
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from bbnas.analysis import (
    agreement,
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
from bbnas.analysis.effects import fit_effects, searches_methods
from bbnas.analysis.fidelity import SeedNoise
from bbnas.analysis.fidelity import words as fidelity_words
from bbnas.analysis.findings import findings
from bbnas.analysis.findings import summary as finding_lines
from bbnas.analysis.pareto import useful
from bbnas.analysis.recommend import Recommendation
from bbnas.design import TITLES
from bbnas.errors import UserError
from bbnas.evaluation import Evaluation, MeasuredFidelity
from bbnas.files import write_output
from bbnas.paper import published
from bbnas.reporting import draw, figures
from bbnas.reporting.measured import measured, tally
from bbnas.reporting.pictures import Pictures, data_uri
from bbnas.reporting.words import describe, headline
from bbnas.study import Candidate, Study
from bbnas.tasks import get_task
from bbnas.text import count, decibel, duration, milliseconds, plural, share, signed

if TYPE_CHECKING:
    from markupsafe import Markup

_HERE = Path(__file__).parent


def write_report(
    study: Study,
    path: str | Path,
    pictures: Pictures | None = None,
    fidelity: Sequence[Evaluation] | None = None,
    recommendation: Recommendation | None = None,
    trust: MeasuredFidelity | None = None,
) -> Path:
    """Write the study as one self-contained HTML page to ``path``, which is returned.

    ``pictures`` are restored crops and the PSNR of bicubic on the study's images, without which
    published designs cannot be laid over the front. ``fidelity`` are evaluations of the study's
    designs under other seeds or longer protocols, from which its seed noise and rank agreement
    are told. ``recommendation`` is ``recommend(study)`` unless given. ``trust`` is how the study's
    protocol was found to rank designs; without it the page warns.

    Raises:
        UserError: the file cannot be written.
    """
    html = render(study, pictures, fidelity or (), recommendation, trust)
    return write_output(Path(path), html)


def write_csv(study: Study, path: str | Path) -> Path:
    """Write ``frame(study)`` to ``path``, which is returned.

    Raises:
        UserError: the file cannot be written.
    """
    return write_output(Path(path), frame(study).to_csv(index=False))


def render(
    study: Study,
    pictures: Pictures | None,
    fidelity: Sequence[Evaluation],
    recommendation: Recommendation | None,
    trust: MeasuredFidelity | None = None,
) -> str:
    """The page as text."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup
    from plotly.offline import get_plotlyjs

    missing = ""
    if recommendation is None:
        try:
            recommendation = recommend(study)
        except UserError as error:
            missing = str(error)
    number = recommendation.candidate.number if recommendation else None
    bicubic = pictures.bicubic if pictures else None
    plot = figures.front_figure(study, number, bicubic)
    volume = hypervolume_curve(study)
    curves = figures.curves(study, number)
    fit = fit_effects(study)
    noise = seed_noise(study, fidelity)
    members = {c.number for c in front(study)}
    times = figures.times(study, number)
    drawn = {
        "front": draw.draw_front(plot) if plot else None,
        "times": draw.draw_times(times) if times else None,
        "volume": draw.draw_hypervolume(volume) if volume else None,
        "curves": draw.draw_curves(curves) if curves else None,
    }
    data = {
        "figures": drawn,
        "bicubic": bicubic,
        "designs": [
            [
                c.number,
                c.evaluation.psnr,
                c.evaluation.ops,
                c.evaluation.params,
                c.evaluation.latency,
            ]
            for c in study.candidates
            if useful(study.config, c.evaluation) and not c.baseline
        ],
        "export": _export(study),
    }
    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        count=count,
        decibel=decibel,
        milliseconds=milliseconds,
        plural=plural,
        share=share,
        uri=data_uri,
        unbroken=unbroken,
    )
    return environment.get_template("page.html.j2").render(
        study=study,
        task=get_task(study.config.task),
        numbers=tally(study),
        seconds=duration(sum(c.evaluation.seconds for c in study.candidates)),
        findings=finding_lines(findings(study)),
        chosen=_chosen(study, recommendation) if recommendation else None,
        missing=missing,
        plot=plot,
        front_size=len(members),
        times=times,
        time_agreement=time_agreement(study),
        volume=volume,
        effects=figures.effects_figure(fit),
        fit=fit,
        benefit=_benefit(study),
        curves=curves,
        columns=_columns(study),
        rows=_rows(study, members, number),
        pictures=pictures,
        publishable=bool(published(study.config.task)),
        measured=measured(study),
        noise=noise,
        methods=_methods(study, noise),
        agreement=agreement(study, fidelity),
        trust=fidelity_words(trust) if trust else [],
        tau=trust.result["kendall_tau"] if trust else None,
        data=embed(data),
        style=Markup((_HERE / "page.css").read_text(encoding="utf-8")),
        script=Markup((_HERE / "page.js").read_text(encoding="utf-8")),
        plotly=Markup(get_plotlyjs()),
    )


def embed(value: Any) -> Markup:
    """JSON that can stand inside a ``script`` element whatever it holds; NaN becomes null."""
    from markupsafe import Markup

    text = json.dumps(_finite(value), allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def _chosen(study: Study, recommendation: Recommendation) -> dict[str, Any]:
    from bbnas.cost import count as cost

    candidate = recommendation.candidate
    evaluation = candidate.evaluation
    design, task = evaluation.design.canonical(), get_task(study.config.task)
    full, own = cost(design.replace(binarize=()), task), cost(design, task)
    return {
        "number": candidate.number,
        "pick": recommendation.pick,
        "headline": headline(design),
        "sentences": describe(design, task),
        "reasons": recommendation.reasons,
        "yaml": design.to_yaml(),
        "evaluation": evaluation,
        "fewer_ops": full.ops / evaluation.ops,
        "fewer_params": full.params / evaluation.params,
        "honest": own,
        "export": f"{_export(study)} --pick 'trial {candidate.number}' -o recipe.yaml",
    }


def _export(study: Study) -> str:
    """The command that exports from this study; it still wants a --pick."""
    name, storage = study.config.name, study.storage
    usual = storage == f"sqlite:///studies/{name}.db"
    return shlex.join(["bbnas", "export", name, *([] if usual else ["--storage", storage])])


def _benefit(study: Study) -> list[dict[str, Any]]:
    rows = study_benefit(study)
    lengths = zip(
        figures.benefit_lengths(rows, "vc"), figures.benefit_lengths(rows, "vp"), strict=True
    )
    return [
        {
            "part": str(row.part),
            "ops": count(row.ops_f - row.ops_b),
            "params": count(row.params_f - row.params_b),
            "psnr_f": f"{row.psnr_f:.2f}",
            "psnr_b": f"{row.psnr_b:.2f}" if math.isfinite(row.psnr_b) else "diverged",
            "vc": f"{row.vc:.2f}".replace("-", "−") if math.isfinite(row.vc) else "–",
            "vp": f"{row.vp:.2f}".replace("-", "−") if math.isfinite(row.vp) else "–",
            "vc_length": vc,
            "vp_length": vp,
            "rank": row.rank,
        }
        for row, (vc, vp) in zip(rows, lengths, strict=True)
    ]


class Column(NamedTuple):
    """A column of the table of candidates: its heading, and a row of the frame as its text.

    ``sorts`` names what the rows are sorted by where the text does not say it.
    """

    heading: str
    text: Callable[[dict[str, Any]], str]
    numeric: bool = True
    sorts: str = ""


def _columns(study: Study) -> list[Column]:
    """Those that tell a design, and what was measured of it; of methods, not their axes."""
    unit = [
        Column("k / k*", _k, sorts="k_ratio"),
        Column("norm", lambda r: r["norm"], numeric=False),
        Column("activation", lambda r: r["activation"], numeric=False),
        Column("position", lambda r: r["activation_position"].replace("_", " "), numeric=False),
        Column("convs / residual", lambda r: str(r["convs_per_residual"])),
        Column("scale", lambda r: "on" if r["weight_scale"] else "off", False),
        Column("estimator", lambda r: r["estimator"], numeric=False),
    ]
    return [
        Column("trial", lambda r: str(r["number"])),
        Column("place", lambda r: r["place"], numeric=False),
        Column("PSNR", lambda r: _known(r, f"{r['psnr']:.2f}"), sorts="psnr"),
        Column("SSIM", lambda r: _known(r, f"{r['ssim']:.4f}")),
        Column("OPs", lambda r: count(r["ops"]), sorts="ops"),
        Column("Params", lambda r: count(r["params"]), sorts="params"),
        *(
            [Column("latency", lambda r: milliseconds(r["latency"]), sorts="latency")]
            if study.latency is not None
            else []
        ),
        Column("1-bit", lambda r: r["binarize"], numeric=False),
        Column("method", lambda r: TITLES.get(r["method"], ""), numeric=False),
        *([] if searches_methods(study) else unit),
        Column("width", lambda r: str(r["width"])),
        Column("depth", lambda r: str(r["depth"])),
        Column("seconds", lambda r: f"{r['seconds']:.1f}"),
    ]


def _known(row: dict[str, Any], text: str) -> str:
    return text if row["feasible"] else "–"


def _k(row: dict[str, Any]) -> str:
    return "off" if math.isnan(row["k_ratio"]) else ratio(row["k_ratio"])


def _rows(study: Study, members: set[int], recommended: int | None) -> list[dict[str, Any]]:
    """The table's rows: the frame's own values, and what a reader sees of them."""
    places = {c.number: _place(c, members, recommended) for c in study.candidates}
    return [
        {str(name): value for name, value in row.items()} | {"place": places[row["number"]]}
        for row in frame(study).to_dict(orient="records")
    ]


def _by_chance(noise: SeedNoise) -> float:
    """How far (dB) one run is off in 95 of 100 cases, as far as few runs tell the noise."""
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
        # One run each: the mean of n differences has sqrt(2 / n) of the noise of a run.
        chance = _by_chance(noise) * math.sqrt(2 / row.pairs) if noise and row.pairs else None
        own = row.title == ranking.reference
        cells = [(_psnr(values[size]), bool(values[size] == table[size].max())) for size in sizes]
        rows.append(
            {
                "title": row.title,
                "best": _psnr(row.best),
                "against": "" if own else signed(row.against) if row.pairs else "–",
                "chance": "" if own or chance is None else f"± {chance:.2f}",
                "pairs": row.pairs,
                "cells": cells,
                "collapsed": row.collapsed,
            }
        )
    return {"reference": ranking.reference, "sizes": sizes, "rows": rows}


def _psnr(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else "–"


def ratio(value: float) -> str:
    """The ratio k / k* as a reader writes it: ``1/64``, ``0.3``, ``4``."""
    if value < 1 and abs(1 / value - round(1 / value)) < 1e-6:
        return f"1/{round(1 / value)}"
    return f"{value:.3g}"


def unbroken(text: str) -> str:
    """With hyphens and units that do not end a line."""
    return re.sub(r"(\d) (?=(?:[GMK] |dB|%))", "\\1\u00a0", text).replace("1-bit", "1\u2011bit")


def _place(candidate: Candidate, members: set[int], recommended: int | None) -> str:
    if candidate.number == recommended:
        return "recommended"
    if not candidate.evaluation.feasible:
        return candidate.evaluation.status
    if candidate.baseline:
        return f"baseline {candidate.baseline}"
    return "front" if candidate.number in members else ""
