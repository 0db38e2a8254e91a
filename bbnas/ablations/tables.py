"""An ablation as tables: the verdicts, what was measured, and what the paper prints."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from bbnas.ablations.ablation import Ablation, AblationRow, MeasuredAblation
from bbnas.ablations.claims import (
    CONTRARY,
    FEW_SEEDS,
    OPEN,
    SAME,
    Contrast,
    Judgement,
    Scores,
    contrast,
    judge_claim,
    noise,
)
from bbnas.ablations.plots import Point, draw_differences, draw_series
from bbnas.ablations.setting import circumstances, limits, main_limit
from bbnas.analysis.benefit import benefit_frame, benefit_rows
from bbnas.axes import k_star
from bbnas.cost import printed as printed_count
from bbnas.figures.theme import Spec
from bbnas.paper.printed import TABLES, records
from bbnas.reporting.tables import NONE, TextTable
from bbnas.tasks import Part, get_task
from bbnas.text import count, decibel, listed, plural, signed


@dataclass(frozen=True)
class AblationReport:
    """Everything that the report of an ablation shows, as a page or in Markdown."""

    measured: MeasuredAblation
    judgements: tuple[Judgement, ...]
    headline: str
    tables: tuple[TextTable, ...]
    figures: tuple[Spec, ...]
    limits: tuple[str, ...]
    circumstances: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]


def ablation_report(measured: MeasuredAblation, skip_psnr: float) -> AblationReport:
    """The report of a complete ablation; ``skip_psnr`` (dB) is that of the global skip alone."""
    scores = measured.scores(skip_psnr)
    claims = measured.ablation.claims
    judgements = tuple(j for claim in claims for j in judge_claim(claim, scores))
    found = _headline(judgements) if claims else _differences(measured, scores)
    tables = [_claims(measured, judgements), _rows(measured, scores)]
    if measured.ablation.parts:
        tables.append(_benefit(measured, scores))
    tables.append(_trainings(measured))
    return AblationReport(
        measured=measured,
        judgements=judgements,
        headline=f"{found}, {main_limit(measured)}.",
        tables=tuple(table for table in tables if table.rows),
        figures=_figures(measured, scores, skip_psnr),
        limits=tuple(limits(measured)),
        circumstances=tuple(circumstances(measured, skip_psnr)),
    )


def _headline(judgements: Sequence[Judgement]) -> str:
    verdicts = Counter(j.verdict for j in judgements)
    return (
        f"{plural(len(judgements), 'claim')}: {verdicts[SAME]} in the same order as in the paper, "
        f"{verdicts[OPEN]} not distinguishable here, {verdicts[CONTRARY]} contrary to the paper"
    )


def _differences(measured: MeasuredAblation, scores: Scores) -> str:
    """The headline of an ablation without claims."""
    ablation = measured.ablation
    others = [row.name for row in ablation.rows if row.name != ablation.reference]
    gaps = [against(measured, scores, name) for name in others]
    better, worse = sum(gap.low > 0 for gap in gaps), sum(gap.high < 0 for gap in gaps)
    return (
        f"{plural(len(gaps), 'row')} compared with {ablation.reference}: {better} better, "
        f"{worse} worse, {len(gaps) - better - worse} not distinguishable"
    )


def against(measured: MeasuredAblation, scores: Scores, row: str) -> Contrast:
    """A row's difference to the reference (dB), within seeds."""
    return contrast(scores, {row: 1.0, measured.ablation.reference: -1.0})


def _paper(measured: MeasuredAblation, row: AblationRow) -> tuple[float, list[float]]:
    """The paper's mean PSNR (dB) over benchmarks, and its difference to the reference on each."""
    ablation = measured.ablation
    own = ablation.printed(row)
    base = ablation.printed(
        next(other for other in ablation.rows if other.name == ablation.reference)
    )
    mean = statistics.fmean(own.values()) if own else math.nan
    return mean, [own[name] - base[name] for name in own if name in base]


def _theirs(measured: MeasuredAblation, judgement: Judgement) -> str:
    """The paper's difference between the two rows that a claim ``above`` compares."""
    ablation, claim = measured.ablation, judgement.claim
    if claim.kind != "above":
        return NONE
    if claim.figure == "psnr":
        rows = {row.name: ablation.printed(row) for row in ablation.rows}
        own, other = rows[judgement.of], rows[judgement.than]
        return _spread([own[name] - other[name] for name in own if name in other])
    lines = _table6(measured)
    parts = {row.name: str(row.design.binarize[0]) for row in ablation.rows if row.design.binarize}
    if not lines:
        return NONE
    column = BENEFIT[claim.figure]
    high, low = (float(lines[parts[row]][column]) for row in (judgement.of, judgement.than))
    return f"{_number(high - low, 2)} {judgement.unit}"


# The columns of Table 6.
BENEFIT = {"vc": "vc_1e-6_db_per_mops", "vp": "vp_1e-3_db_per_kparams"}


def _table6(measured: MeasuredAblation) -> dict[str, dict[str, str]]:
    """The lines of Table 6 by part, if the ablation is compared with that table."""
    paper = measured.ablation.paper
    if paper is None or paper.table != "table6":
        return {}
    return {line["part"]: line for line in records("table6")}


def _claims(measured: MeasuredAblation, judgements: Sequence[Judgement]) -> TextTable:
    rows = []
    for j in judgements:
        remark = "; ".join(filter(None, (j.note, _alignment(measured, j))))
        theirs = _theirs(measured, j)
        rows.append((j.words, j.claim.says, theirs, effect_words(j), j.verdict, remark))
    return TextTable(
        name="claims",
        title="Verdicts",
        columns=(
            "claim",
            "the paper says",
            "the paper’s difference",
            "here [95 %]",
            "verdict",
            "remark",
        ),
        numeric=(False, False, True, True, False, False),
        rows=tuple(rows),
        note=(
            "The verdict follows from the 95 % confidence interval: “the same order” if all of it "
            "is on the claim’s side, “contrary” if all of it is on the other side, “not "
            "distinguishable” otherwise. Differences are taken within seeds, which all rows "
            "share. Intervals are Student’s t, from the spread of the differences or, with fewer "
            f"than {FEW_SEEDS} seeds, from the noise of all rows that beat the global skip. They "
            "are not adjusted for the number of claims: of twenty claims without any effect, one "
            "is expected to be judged by chance."
        ),
    ).without_empty_columns()


def effect_words(judgement: Judgement) -> str:
    """``+0.123 dB [+0.050, +0.196]``, or ``1.2 [0.8, 1.9]`` for the x of a peak."""
    e = judgement.effect
    if not math.isfinite(e.value):
        return NONE
    if judgement.claim.kind == "peak":
        return f"{e.value:.2g} [{e.low:.2g}, {e.high:.2g}]"
    digits = 3 if judgement.claim.figure == "psnr" else 2
    ends = f" [{_number(e.low, digits)}, {_number(e.high, digits)}]"
    return f"{_number(e.value, digits)} {judgement.unit}{ends if math.isfinite(e.low) else ''}"


def _alignment(measured: MeasuredAblation, judgement: Judgement) -> str:
    """The k of a peak over k / k*, at the width that was trained."""
    ablation, effect = measured.ablation, judgement.effect
    rows = [row for row in ablation.rows if row.series == judgement.of]
    over_k = rows and all(row.design.k_ratio == row.x for row in rows)
    if judgement.claim.kind != "peak" or not over_k or not math.isfinite(effect.value):
        return ""
    width = ablation.protocol_of(rows[0]).trained(rows[0].design).width
    star = k_star(width)
    k, low, high = (f"{ratio * star:.3g}" for ratio in effect[:3])
    return f"k = {k} [{low}, {high}]; the paper’s 130·{width}/64 is {star:.3g}"


def _number(value: float, digits: int = 3) -> str:
    if not math.isfinite(value):
        return NONE
    return f"{value:+.{digits}f}".replace("-", "−")


def _spread(values: Sequence[float]) -> str:
    """The mean over benchmarks, and their range."""
    if not values:
        return NONE
    mean = signed(statistics.fmean(values))
    if len(values) == 1:
        return f"{mean} dB"
    return f"{mean} dB ({signed(min(values))} to {signed(max(values))})"


def _rows(measured: MeasuredAblation, scores: Scores) -> TextTable:
    ablation = measured.ablation
    lines = []
    for row in ablation.rows:
        evaluation = next(e for e in measured.evaluations[row.name] if e is not None)
        kept = [value for value in scores.psnr[row.name] if math.isfinite(value)]
        diverged = ablation.seeds - len(kept)
        mean = statistics.fmean(kept) if kept else math.nan
        remarks = []
        if diverged:
            remarks.append(f"diverged with {diverged} of {plural(ablation.seeds, 'seed')}")
        if kept and scores.useless([row.name]):
            remarks.append(f"no better than {get_task(ablation.task).skip}")
        theirs, gaps = _paper(measured, row)
        own = row.name == ablation.reference
        gap = against(measured, scores, row.name)
        lines.append(
            [
                row.name,
                ", ".join(row.changes),
                *([] if not ablation.x else [NONE if row.x is None else f"{row.x:g}"]),
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
    columns = (
        "row",
        "protocol",
        *([ablation.x] if ablation.x else []),
        "OPs",
        "Params",
        "PSNR (dB)",
        "sd (dB)",
        f"against {ablation.reference} (dB)",
        "95 %",
        "the paper’s PSNR (dB)",
        "the paper’s difference",
        "remark",
    )
    return TextTable(
        name="rows",
        title="Rows",
        columns=columns,
        numeric=tuple(column not in ("row", "protocol", "remark") for column in columns),
        rows=tuple(map(tuple, lines)),
        note=_rows_note(ablation, noise(scores).sd),
    ).without_empty_columns()


def _rows_note(ablation: Ablation, sd: float) -> str:
    mean = f"PSNR is the mean over {plural(ablation.seeds, 'seed')}"
    texts = [f"{mean}; sd is the standard deviation between seeds."]
    if math.isfinite(sd):
        texts.append(
            f"After the effect of a seed common to all rows, {sd:.3f} dB remain, pooled over the "
            "rows that beat the global skip."
        )
    if not ablation.claims:
        texts.append(
            "A difference is the mean of the differences within seeds, which all rows share, with "
            "its 95 % interval (Student’s t). Intervals are not adjusted for the number of rows."
        )
    texts.append("OPs and Params are those of the design at full size, in the paper’s convention.")
    if ablation.paper is not None:
        texts.append(
            f"The paper’s figures are from its {TABLES[ablation.paper.table].title}: the mean "
            f"over {listed(list(ablation.paper.datasets))}, and the range of its differences over "
            "them."
        )
    return " ".join(texts)


def _ends(gap: Contrast) -> str:
    return f"{_number(gap.low)} to {_number(gap.high)}"


def _benefit(measured: MeasuredAblation, scores: Scores) -> TextTable:
    """VC and VP (Eq. 10–11) of each part from mean PSNR, with their 95 % intervals."""
    ablation = measured.ablation

    def mean_of(row: str) -> Any:
        first = next(e for e in measured.evaluations[row] if e is not None)
        kept = [value for value in scores.psnr[row] if math.isfinite(value)]
        return replace(first, psnr=statistics.fmean(kept) if kept else math.nan)

    name_of = {
        row.design.binarize[0]: row.name for row in ablation.rows if row.name in ablation.parts
    }
    singles = {part: mean_of(name) for part, name in name_of.items()}
    table = benefit_frame(benefit_rows(mean_of(ablation.reference), singles))
    printed = _table6(measured)
    lines = []
    for line in table.to_dict(orient="records"):
        name = name_of[Part(line["part"])]
        saved = scores.saved[name]
        intervals = []
        for unit, value in zip((1e6, 1e3), saved, strict=True):
            weight = unit / value
            effect = contrast(scores, {ablation.reference: weight, name: -weight})
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
        "part",
        "OPs_f (M)",
        "OPs_b (M)",
        "Params_f (K)",
        "Params_b (K)",
        "PSNR_f",
        "PSNR_b",
        "VC (1e-6 dB/M OPs)",
        "VC 95 %",
        "the paper’s VC",
        "VP (1e-3 dB/K Params)",
        "VP 95 %",
        "the paper’s VP",
        "rank",
    )
    return TextTable(
        name="benefit",
        title="Benefit of binarizing each part (Eq. 10–11)",
        columns=columns,
        numeric=(False, *[True] * (len(columns) - 1)),
        rows=tuple(tuple(cell.replace("-", "−") for cell in line) for line in lines),
        note=(
            "VC and VP are the PSNR lost per operation and per parameter saved. A lower value "
            "means that the part is more worth binarizing; rank 1 is the part most worth it."
        ),
    )


def _trainings(measured: MeasuredAblation) -> TextTable:
    ablation = measured.ablation
    rows = []
    for row in ablation.rows:
        cells = []
        for e in measured.evaluations[row.name]:
            known = "" if e is None else f"{e.psnr:.3f}" if e.feasible else e.status
            cells.append(known)
        seconds = [e.seconds for e in measured.evaluations[row.name] if e is not None]
        network = ablation.protocol_of(row).trained(row.design).label()
        rows.append((row.name, network, *cells, f"{statistics.fmean(seconds):.1f}"))
    seeds = [f"seed {seed}" for seed in range(ablation.seeds)]
    return TextTable(
        name="trainings",
        title="Every training",
        columns=("row", "network trained", *seeds, "seconds"),
        numeric=(False, False, *[True] * ablation.seeds, True),
        rows=tuple(rows),
        note="PSNR in dB; seconds are the mean time of one training with its scoring.",
    )


def _figures(measured: MeasuredAblation, scores: Scores, skip_psnr: float) -> tuple[Spec, ...]:
    ablation = measured.ablation
    specs = []
    if ablation.series:
        series = {}
        for name, rows in ablation.series.items():
            points = []
            for row, x in rows.items():
                kept = [value for value in scores.psnr[row] if math.isfinite(value)]
                mean = statistics.fmean(kept) if kept else math.nan
                half = statistics.stdev(kept) if len(kept) > 1 else math.nan
                points.append(Point(row, mean, half, x=x))
            series[name] = sorted(points, key=lambda point: point.x)
        marks = sorted({claim.at for claim in ablation.claims if claim.at is not None})
        specs.append(draw_series(series, ablation.x, skip_psnr, marks))
    if not ablation.series or ablation.paper is not None:
        points = []
        for own in ablation.rows:
            gap = against(measured, scores, own.name)
            half = gap.high - gap.value if math.isfinite(gap.high) else 0.0
            gaps = _paper(measured, own)[1]
            theirs = statistics.fmean(gaps) if gaps else math.nan
            if own.name != ablation.reference:
                points.append(Point(own.name, gap.value, half, theirs))
        specs.append(draw_differences(points, ablation.reference))
    return tuple(specs)
