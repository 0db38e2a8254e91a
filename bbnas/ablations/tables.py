"""An experiment as tables: what was measured, what the paper prints, and the verdicts."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from bbnas.ablations.ablation import Measured, Row
from bbnas.ablations.claims import (
    CONTRARY,
    FEW_SEEDS,
    OPEN,
    SAME,
    Contrast,
    Judgement,
    Scores,
    contrast,
    judge,
    noise,
)
from bbnas.ablations.plots import Point, draw_differences, draw_series
from bbnas.ablations.setting import circumstances, limits
from bbnas.analysis.benefit import benefit_frame, benefit_rows
from bbnas.cost import printed as printed_count
from bbnas.design import k_star
from bbnas.paper.printed import TABLES, records
from bbnas.reporting.draw import Spec
from bbnas.reporting.grid import NONE, Table
from bbnas.tasks import Part, get_task
from bbnas.text import count, decibel, listed, plural, signed


@dataclass(frozen=True)
class Findings:
    """All that a report of an experiment shows, on whatever page."""

    measured: Measured
    judgements: tuple[Judgement, ...]
    headline: str
    tables: tuple[Table, ...]
    figures: tuple[Spec, ...]
    limits: tuple[str, ...]
    circumstances: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]


def find(measured: Measured, skip_psnr: float) -> Findings:
    """What a complete experiment says. ``skip_psnr`` is the PSNR (dB) of the global skip alone."""
    scores = measured.scores(skip_psnr)
    judgements = tuple(j for claim in measured.experiment.claims for j in judge(claim, scores))
    tables = [_claims(measured, judgements), _rows(measured, scores)]
    if measured.experiment.parts:
        tables.append(_benefit(measured, scores))
    tables.append(_trainings(measured))
    return Findings(
        measured,
        judgements,
        _headline(judgements),
        tuple(table for table in tables if table.rows),
        _figures(measured, scores, skip_psnr),
        tuple(limits(measured)),
        tuple(circumstances(measured, skip_psnr)),
    )


def _headline(judgements: Sequence[Judgement]) -> str:
    if not judgements:
        return "No claim is judged."
    found = Counter(j.verdict for j in judgements)
    return (
        f"Of {plural(len(judgements), 'claim')}: {found[SAME]} in the same order as in the paper, "
        f"{found[OPEN]} not distinguishable here, {found[CONTRARY]} contrary to it."
    )


def against(measured: Measured, scores: Scores, row: str) -> Contrast:
    """A row's difference to the reference (dB), within seeds."""
    return contrast(scores, {row: 1.0, measured.experiment.reference: -1.0})


def _paper(measured: Measured, row: Row) -> tuple[float, list[float]]:
    """The paper's mean over the benchmarks, and by benchmark its difference to the reference."""
    experiment = measured.experiment
    own = experiment.printed(row)
    base = experiment.printed(
        next(other for other in experiment.rows if other.name == experiment.reference)
    )
    mean = statistics.fmean(own.values()) if own else math.nan
    return mean, [own[name] - base[name] for name in own if name in base]


def _theirs(measured: Measured, judgement: Judgement) -> str:
    """The paper's difference of the two rows that a claim ``above`` compares."""
    experiment, claim = measured.experiment, judgement.claim
    if claim.kind != "above":
        return NONE
    if claim.figure == "psnr":
        rows = {row.name: experiment.printed(row) for row in experiment.rows}
        own, other = rows[judgement.of], rows[judgement.than]
        return _spread([own[name] - other[name] for name in own if name in other])
    lines = _table6(measured)
    parts = {
        row.name: str(row.design.binarize[0]) for row in experiment.rows if row.design.binarize
    }
    if not lines:
        return NONE
    column = BENEFIT[claim.figure]
    high, low = (float(lines[parts[row]][column]) for row in (judgement.of, judgement.than))
    return f"{_number(high - low, 2)} {judgement.unit}"


# The columns of Table 6.
BENEFIT = {"vc": "vc_1e-6_db_per_mops", "vp": "vp_1e-3_db_per_kparams"}


def _table6(measured: Measured) -> dict[str, dict[str, str]]:
    """The lines of Table 6 by part, where it is what the experiment is laid beside."""
    paper = measured.experiment.paper
    if paper is None or paper.table != "table6":
        return {}
    return {line["part"]: line for line in records("table6")}


def _claims(measured: Measured, judgements: Sequence[Judgement]) -> Table:
    rows = []
    for j in judgements:
        remark = "; ".join(filter(None, (j.note, _alignment(measured, j))))
        theirs = _theirs(measured, j)
        rows.append((j.words, j.claim.says, theirs, effect_words(j), j.verdict, remark))
    source = (
        f"the spread of the differences or, where fewer than {FEW_SEEDS} seeds are left of one, "
        "from the noise of all rows that beat the global skip"
    )
    return Table(
        "claims",
        "Verdicts",
        ("claim", "the paper says", "the paper’s difference", "here [95 %]", "verdict", "remark"),
        (False, False, True, True, False, False),
        tuple(rows),
        "A verdict is computed: the same order if the 95 % interval lies on the claim’s side, "
        "contrary if on the other, not distinguishable if it holds both. Differences are taken "
        f"within seeds, which all rows share; intervals are Student’s t from {source}. Each "
        "stands for itself: of twenty claims with nothing behind them one would be told by "
        "chance.",
    ).told()


def effect_words(judgement: Judgement) -> str:
    """``+0.123 dB [+0.050, +0.196]``; ``1.2 [0.8, 1.9]`` for the place of a peak."""
    e = judgement.effect
    if not math.isfinite(e.value):
        return NONE
    if judgement.claim.kind == "peak":
        return f"{e.value:.2g} [{e.low:.2g}, {e.high:.2g}]"
    digits = 3 if judgement.claim.figure == "psnr" else 2
    ends = f" [{_number(e.low, digits)}, {_number(e.high, digits)}]"
    return f"{_number(e.value, digits)} {judgement.unit}{ends if math.isfinite(e.low) else ''}"


def _alignment(measured: Measured, judgement: Judgement) -> str:
    """For a peak over k / k*: the k itself, at the width that was trained."""
    experiment, effect = measured.experiment, judgement.effect
    rows = [row for row in experiment.rows if row.series == judgement.of]
    over_k = rows and all(row.design.k_ratio == row.x for row in rows)
    if judgement.claim.kind != "peak" or not over_k or not math.isfinite(effect.value):
        return ""
    width = experiment.protocol.trained(rows[0].design).width
    star = k_star(width)
    k, low, high = (f"{ratio * star:.3g}" for ratio in effect[:3])
    return f"k = {k} [{low}, {high}], where the paper’s 130·{width}/64 is {star:.3g}"


def _number(value: float, digits: int = 3) -> str:
    if not math.isfinite(value):
        return NONE
    return f"{value:+.{digits}f}".replace("-", "−")


def _spread(values: Sequence[float]) -> str:
    """A mean over benchmarks with the ends of their range."""
    if not values:
        return NONE
    mean = signed(statistics.fmean(values))
    if len(values) == 1:
        return f"{mean} dB"
    return f"{mean} dB ({signed(min(values))} to {signed(max(values))})"


def _rows(measured: Measured, scores: Scores) -> Table:
    experiment = measured.experiment
    lines = []
    for row in experiment.rows:
        evaluation = next(e for e in measured.evaluations[row.name] if e is not None)
        kept = [value for value in scores.psnr[row.name] if math.isfinite(value)]
        lost = experiment.seeds - len(kept)
        mean = statistics.fmean(kept) if kept else math.nan
        remarks = []
        if lost:
            remarks.append(f"diverged with {lost} of {plural(experiment.seeds, 'seed')}")
        if kept and scores.useless([row.name]):
            remarks.append(f"no better than {get_task(experiment.task).skip}")
        theirs, gaps = _paper(measured, row)
        own = row.name == experiment.reference
        gap = against(measured, scores, row.name)
        lines.append(
            [
                row.name,
                *([] if not experiment.x else [NONE if row.x is None else f"{row.x:g}"]),
                count(evaluation.ops),
                count(evaluation.params),
                f"{mean:.3f}" if kept else "diverged",
                f"{statistics.stdev(kept):.3f}" if len(kept) > 1 else NONE,
                "reference" if own else _number(gap.value),
                NONE if own or not math.isfinite(gap.low) else _ends(gap),
                f"{theirs:.2f}" if math.isfinite(theirs) else NONE,
                "reference" if own and gaps else _spread(gaps),
                "; ".join(remarks),
            ]
        )
    paper = experiment.paper
    columns = [
        "row",
        *([experiment.x] if experiment.x else []),
        *("OPs", "Params", "PSNR (dB)", "sd (dB)", f"against {experiment.reference} (dB)"),
        *("95 %", "the paper’s PSNR (dB)", "the paper’s difference", "remark"),
    ]
    sd = noise(scores).sd
    pooled = (
        f" and, of all that beat the global skip, beyond what a seed does to all, {sd:.3f} dB"
        if sd == sd
        else ""
    )
    benchmarks = (
        ""
        if paper is None
        else f" The paper’s figures are those of its {TABLES[paper.table].title}, mean over "
        f"{listed(list(paper.datasets))}; the ends of its differences are those among them."
    )
    return Table(
        "rows",
        "Rows",
        tuple(columns),
        tuple(column not in ("row", "remark") for column in columns),
        tuple(map(tuple, lines)),
        f"PSNR is the mean over {plural(experiment.seeds, 'seed')}; sd is between seeds"
        f"{pooled}. OPs and Params are those of the design at full size, in the paper’s "
        f"convention.{benchmarks}",
    ).told()


def _ends(gap: Contrast) -> str:
    return f"{_number(gap.low)} to {_number(gap.high)}"


def _benefit(measured: Measured, scores: Scores) -> Table:
    """VC and VP (Eq. 10–11) of each part from mean PSNR, with the intervals of their noise."""
    experiment = measured.experiment

    def mean_of(row: str) -> Any:
        first = next(e for e in measured.evaluations[row] if e is not None)
        kept = [value for value in scores.psnr[row] if math.isfinite(value)]
        return replace(first, psnr=statistics.fmean(kept) if kept else math.nan)

    name_of = {
        row.design.binarize[0]: row.name for row in experiment.rows if row.name in experiment.parts
    }
    singles = {part: mean_of(name) for part, name in name_of.items()}
    found = benefit_rows(mean_of(experiment.reference), singles)
    printed = _table6(measured)
    lines = []
    for line in benefit_frame(found).to_dict(orient="records"):
        name = name_of[Part(line["part"])]
        saved = scores.saved[name]
        intervals = []
        for unit, value in zip((1e6, 1e3), saved, strict=True):
            weight = unit / value
            effect = contrast(scores, {experiment.reference: weight, name: -weight})
            known = math.isfinite(effect.low)
            intervals.append(f"{effect.low:.2f} to {effect.high:.2f}" if known else NONE)
        theirs = printed.get(line["part"], {})
        lines.append(
            (
                line["part"],
                *(printed_count(line[key], 1) for key in ("ops_f_m", "ops_b_m")),
                *(printed_count(line[key], 1) for key in ("params_f_k", "params_b_k")),
                *(decibel(line[key]) for key in ("psnr_f", "psnr_b")),
                f"{line['vc']:.2f}",
                intervals[0],
                theirs.get(BENEFIT["vc"], NONE),
                f"{line['vp']:.2f}",
                intervals[1],
                theirs.get(BENEFIT["vp"], NONE),
                str(line["rank"]),
            )
        )
    columns = (
        *("part", "OPs_f (M)", "OPs_b (M)", "Params_f (K)", "Params_b (K)", "PSNR_f", "PSNR_b"),
        *("VC (1e-6 dB/M OPs)", "VC 95 %", "the paper’s VC"),
        *("VP (1e-3 dB/K Params)", "VP 95 %", "the paper’s VP", "rank"),
    )
    return Table(
        "benefit",
        "Benefit of binarizing each part (Eq. 10–11)",
        columns,
        (False, *[True] * (len(columns) - 1)),
        tuple(tuple(cell.replace("-", "−") for cell in line) for line in lines),
        "PSNR lost per operation and per parameter saved; lower is more worth binarizing, rank 1 "
        "most of all.",
    )


def _trainings(measured: Measured) -> Table:
    experiment = measured.experiment
    rows = []
    for row in experiment.rows:
        cells = []
        for e in measured.evaluations[row.name]:
            known = "" if e is None else f"{e.psnr:.3f}" if e.feasible else e.status
            cells.append(known)
        seconds = [e.seconds for e in measured.evaluations[row.name] if e is not None]
        network = experiment.protocol.trained(row.design).label()
        rows.append((row.name, network, *cells, f"{statistics.fmean(seconds):.1f}"))
    seeds = [f"seed {seed}" for seed in range(experiment.seeds)]
    return Table(
        "trainings",
        "Every training",
        ("row", "network trained", *seeds, "seconds"),
        (False, False, *[True] * experiment.seeds, True),
        tuple(rows),
        "PSNR in dB; seconds are the mean time of one training with its scoring.",
    )


def _figures(measured: Measured, scores: Scores, skip_psnr: float) -> tuple[Spec, ...]:
    experiment = measured.experiment
    found = []
    if experiment.series:
        series = {}
        for name, rows in experiment.series.items():
            points = []
            for row, x in rows.items():
                kept = [value for value in scores.psnr[row] if math.isfinite(value)]
                mean = statistics.fmean(kept) if kept else math.nan
                half = statistics.stdev(kept) if len(kept) > 1 else math.nan
                points.append(Point(row, mean, half, x=x))
            series[name] = sorted(points, key=lambda point: point.x)
        marks = sorted({claim.at for claim in experiment.claims if claim.at is not None})
        found.append(draw_series(series, experiment.x, skip_psnr, marks))
    if not experiment.series or experiment.paper is not None:
        points = []
        for own in experiment.rows:
            gap = against(measured, scores, own.name)
            half = gap.high - gap.value if math.isfinite(gap.high) else 0.0
            gaps = _paper(measured, own)[1]
            theirs = statistics.fmean(gaps) if gaps else math.nan
            if own.name != experiment.reference:
                points.append(Point(own.name, gap.value, half, theirs))
        found.append(draw_differences(points, experiment.reference))
    return tuple(found)
