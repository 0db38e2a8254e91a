"""Claims about rows trained with the same seeds, and the verdicts of the data on them.

Rows share their seeds (common random numbers), so the effect of a seed that all rows share cancels
in a difference. A claim is therefore judged by contrasts within seeds, not by comparing two means.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
from pydantic import Field

from bbnas.schema import Value
from bbnas.text import listed

ClaimVerdict = Literal["the same order", "not distinguishable", "contrary"]
SAME: ClaimVerdict = "the same order"
OPEN: ClaimVerdict = "not distinguishable"
CONTRARY: ClaimVerdict = "contrary"

# Minimum seeds for a contrast to use its own spread; with fewer, the noise of all rows is pooled,
# since the spread of two to four values has too few degrees of freedom.
FEW_SEEDS = 5
# Minimum seeds to conclude that a row diverges.
FEWEST_SEEDS = 2


class Claim(Value):
    """A statement of the paper about rows, in a form that can be judged.

    - ``above``: row ``of`` has a higher ``figure`` than each row in ``than``.
    - ``falls``: PSNR of series ``of`` falls with x; with ``than``, more steeply than that of each
      of those series.
    - ``flat``: every row of series ``of`` is less than ``within`` dB from the series' mean.
    - ``peak``: PSNR of series ``of`` is highest ``at`` this x, by a parabola over log x.

    ``figure`` is ``psnr``, or the ``vc`` or ``vp`` of rows that binarize one part each of the
    reference (paper Eq. 10–11). ``says`` quotes the paper.
    """

    kind: Literal["above", "falls", "flat", "peak"]
    of: str
    than: tuple[str, ...] = ()
    figure: Literal["psnr", "vc", "vp"] = "psnr"
    within: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    at: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    says: str = ""


@dataclass(frozen=True)
class Scores:
    """The values that claims are judged by: PSNR (dB) of each row by seed, NaN where it diverged.

    ``series`` maps the name of a series to its rows with their x. ``saved`` maps a row to the
    M OPs and K Params that it saves against ``reference``. ``floor`` (dB) is the PSNR of the
    global skip alone plus the noise of a run: a row that is not above it has learned nothing.
    """

    psnr: Mapping[str, Sequence[float]]
    reference: str
    series: Mapping[str, Mapping[str, float]]
    saved: Mapping[str, tuple[float, float]]
    floor: float = -math.inf

    def useless(self, rows: Sequence[str]) -> bool:
        """Whether no row beats the global skip on average."""
        kept = [[v for v in self.psnr[row] if math.isfinite(v)] for row in rows]
        return all(sum(values) <= self.floor * len(values) for values in kept if values)

    def seeds(self, row: str) -> int:
        """The number of seeds with which the row has a PSNR."""
        return sum(map(math.isfinite, self.psnr[row]))


class Contrast(NamedTuple):
    """The mean over ``seeds`` seeds of a weighted sum of rows, with its 95 % confidence interval.

    The ends are NaN where the noise is not known; ``pooled``: the noise is that of all rows.
    """

    value: float
    low: float
    high: float
    seeds: int
    pooled: bool


_NOTHING = Contrast(math.nan, math.nan, math.nan, 0, pooled=False)


class Noise(NamedTuple):
    """Residual standard deviation between seeds (dB), after the effect common to all rows."""

    sd: float
    freedom: int


@dataclass(frozen=True)
class Judgement:
    """A claim with its verdict. ``effect``, in ``unit``, is the quantity that decided it.

    ``of`` and ``than`` are the rows that a claim ``above`` compares; otherwise ``than`` is empty.
    """

    claim: Claim
    words: str
    of: str
    than: str
    verdict: ClaimVerdict
    effect: Contrast
    unit: str
    note: str = ""


def noise(scores: Scores) -> Noise:
    """The residual of the two-way model PSNR = row + seed, without replication.

    A seed draws easier or harder patches for all rows alike, which the model takes out. Rows that
    do not beat the global skip, or diverged with a seed, are left out, because collapsed networks
    vary by whole dB. NaN with fewer than two rows or two seeds.
    """
    whole = np.array(
        [
            values
            for row, values in scores.psnr.items()
            if all(map(math.isfinite, values)) and not scores.useless([row])
        ]
    )
    if whole.ndim < 2 or min(whole.shape) < 2:
        return Noise(math.nan, 0)
    rest = whole - whole.mean(0) - whole.mean(1, keepdims=True) + whole.mean()
    freedom = (whole.shape[0] - 1) * (whole.shape[1] - 1)
    return Noise(float(np.sqrt((rest**2).sum() / freedom)), freedom)


def contrast(scores: Scores, weights: Mapping[str, float]) -> Contrast:
    """The mean of Σ weight · PSNR over the seeds that all its rows have; weights add up to 0.

    The interval is Student's t: with ``FEW_SEEDS`` seeds or more from the spread of the sums,
    with fewer from :func:`noise`.
    """
    from scipy.special import stdtrit  # scipy.stats would take a second to import

    if not weights:
        return _NOTHING
    table = np.array([scores.psnr[row] for row in weights])
    factors = np.array(list(weights.values()))
    sums = factors @ table
    sums = sums[np.isfinite(sums)]
    n = len(sums)
    if n == 0:
        return _NOTHING
    own = n >= FEW_SEEDS
    sd, freedom = (float(sums.std(ddof=1)), n - 1) if own else noise(scores)
    if not own:
        sd *= float(np.sqrt((factors**2).sum()))
    half = float(stdtrit(freedom, 0.975)) * sd / math.sqrt(n) if freedom else math.nan
    mean = float(sums.mean())
    return Contrast(mean, mean - half, mean + half, n, not own)


def slope(x: Mapping[str, float]) -> dict[str, float]:
    """The weights of rows whose contrast is the least-squares slope of PSNR over log2 x."""
    u = np.log2(list(x.values()))
    centred = u - u.mean()
    return dict(zip(x, (centred / (centred**2).sum()).tolist(), strict=True))


def peak(psnr: Mapping[str, Sequence[float]], x: Mapping[str, float]) -> Contrast:
    """The x at which a parabola over log2 x, fitted with one level per seed, is highest.

    The interval is Fieller's, for the ratio of two fitted numbers. Its ends are infinite unless
    the parabola bends down significantly. Its residuals count as noise, so the interval widens
    where the curve is no parabola.
    """
    from scipy.special import stdtrit

    points = [
        (math.log2(x[row]), seed, value)
        for row in x
        for seed, value in enumerate(psnr[row])
        if math.isfinite(value)
    ]
    present = sorted({seed for _, seed, _ in points})
    nothing = Contrast(math.nan, -math.inf, math.inf, len(present), pooled=False)
    if len({u for u, _, _ in points}) < 3 or len(points) <= len(present) + 2:
        return nothing
    u = np.array([point[0] for point in points])
    levels = np.array([[float(seed == s) for s in present] for _, seed, _ in points])
    columns = np.column_stack([u, u**2, levels])
    y = np.array([point[2] for point in points])
    (b, a, *_), *_ = np.linalg.lstsq(columns, y, rcond=None)
    freedom = len(points) - columns.shape[1]
    fitted = columns @ np.linalg.lstsq(columns, y, rcond=None)[0]
    covariance = np.linalg.inv(columns.T @ columns) * ((y - fitted) ** 2).sum() / freedom
    t2 = float(stdtrit(freedom, 0.975)) ** 2
    # The interval holds all v with (b + 2av)² ≤ t² Var(b + 2av): those between two roots if a < 0.
    second = 4 * (a**2 - t2 * covariance[1, 1])
    first = 4 * (a * b - t2 * covariance[0, 1])
    zeroth = b**2 - t2 * covariance[0, 0]
    square = first**2 - 4 * second * zeroth
    if a >= 0 or second <= 0 or square < 0:
        return nothing
    ends = sorted((-first + sign * math.sqrt(square)) / (2 * second) for sign in (-1, 1))
    top, low, high = (float(2.0**v) for v in (-b / (2 * a), *ends))
    return Contrast(top, low, high, len(present), pooled=False)


def judge_claim(claim: Claim, scores: Scores) -> list[Judgement]:
    """The claim's judgements, one for each row or series that it compares with.

    The verdict is ``OPEN`` where none of the rows beats the global skip.
    """
    judgements = []
    for other in claim.than or ("",):
        judged = _JUDGES[claim.kind](claim, other, scores)
        if scores.useless(_rows(claim, other, scores)):
            judged = replace(judged, verdict=OPEN, note="none of these beats the global skip")
        judgements.append(judged)
    return judgements


def _rows(claim: Claim, other: str, scores: Scores) -> list[str]:
    if claim.kind == "above":
        return [claim.of, other]
    return [row for name in (claim.of, other) for row in scores.series.get(name, ())]


def _above(claim: Claim, other: str, scores: Scores) -> Judgement:
    own = claim.of
    figure, unit = _FIGURES[claim.figure]
    words = (
        f"{own} above {other}" if claim.figure == "psnr" else f"{figure} of {own} above {other}"
    )
    effect = contrast(scores, _weights(claim, other, scores))
    verdict, note = _sign(effect), ""
    # A row that diverges ranks lowest in PSNR, and highest in VC and VP.
    lowest, highest = (CONTRARY, SAME) if claim.figure == "psnr" else (SAME, CONTRARY)
    if own_diverges := _diverges(scores, own, other):
        verdict, note = lowest, own_diverges
    elif other_diverges := _diverges(scores, other, own):
        verdict, note = highest, other_diverges
    return Judgement(claim, words, own, other, verdict, effect, unit, note)


_FIGURES = {
    "psnr": ("PSNR", "dB"),
    "vc": ("VC", "1e-6 dB/M OPs"),
    "vp": ("VP", "1e-3 dB/K Params"),
}


def _weights(claim: Claim, other: str, scores: Scores) -> dict[str, float]:
    if claim.figure == "psnr":
        return {claim.of: 1.0, other: -1.0}
    # VC and VP are (PSNR_f − PSNR_b) / saved; the difference of two is a contrast of three rows.
    saved = [scores.saved[row][claim.figure == "vp"] for row in (claim.of, other)]
    unit = 1e6 if claim.figure == "vc" else 1e3
    own, its = (unit / value for value in saved)
    return {scores.reference: own - its, claim.of: -own, other: its}


def _diverges(scores: Scores, row: str, other: str) -> str:
    """A note where ``row`` diverges with every seed and ``other`` with none, else nothing."""
    n = len(scores.psnr[row])
    if n >= FEWEST_SEEDS and scores.seeds(row) == 0 and scores.seeds(other) == n:
        return f"{row} diverges with every seed"
    return ""


def _sign(effect: Contrast) -> ClaimVerdict:
    return SAME if effect.low > 0 else CONTRARY if effect.high < 0 else OPEN


def _falls(claim: Claim, other: str, scores: Scores) -> Judgement:
    left = [row for row in scores.series[claim.of] if scores.seeds(row) == 0]
    left += [row for row in scores.series.get(other, ()) if scores.seeds(row) == 0]
    weights: dict[str, float] = {}
    for series, sign in ((claim.of, -1.0), *([(other, 1.0)] if other else [])):
        x = {row: v for row, v in scores.series[series].items() if row not in left}
        if len(x) < 2:  # one row has no slope
            weights = {}
            break
        weights |= {row: sign * weight for row, weight in slope(x).items()}
    effect = contrast(scores, weights)
    words = f"{claim.of} falls" + (f" more than {other}" if other else "")
    note = f"without {listed(left)}, which diverges" if left else ""
    return Judgement(claim, words, claim.of, "", _sign(effect), effect, "dB a doubling", note)


def _flat(claim: Claim, _: str, scores: Scores) -> Judgement:
    rows = list(scores.series[claim.of])
    margin = claim.within or 0.0
    words = f"{claim.of} stays within {margin:g} dB of its mean"
    kept = [row for row in rows if scores.seeds(row)]
    far = []
    for row in kept:
        weights = {other: (other == row) - 1 / len(kept) for other in kept}
        far.append((row, contrast(scores, weights)))
    row, effect = max(far, key=lambda pair: abs(pair[1].value), default=("", _NOTHING))
    verdict: ClaimVerdict = OPEN
    if any(c.low > margin or c.high < -margin for _, c in far) or len(kept) < len(rows):
        verdict = CONTRARY
    elif far and all(-margin < c.low and c.high < margin for _, c in far):
        verdict = SAME
    note = f"farthest: {row}" if row else ""
    if diverged := [name for name in rows if name not in kept]:
        note = f"{listed(diverged)} diverges with every seed"
    return Judgement(claim, words, claim.of, "", verdict, effect, "dB", note)


def _peak(claim: Claim, _: str, scores: Scores) -> Judgement:
    x, at = scores.series[claim.of], claim.at or 1.0
    effect = peak(scores.psnr, x)
    words = f"{claim.of} is highest at {at:g}"
    inside = min(x.values()) <= effect.low and effect.high <= max(x.values())
    verdict: ClaimVerdict = OPEN
    note = ""
    if not math.isfinite(effect.value):
        note = "the data show no peak"
    elif at < effect.low or at > effect.high:
        verdict = CONTRARY
    elif inside:
        verdict = SAME
    else:
        note = "the interval exceeds the range of x that was tried"
    return Judgement(claim, words, claim.of, "", verdict, effect, "", note)


_JUDGES: dict[str, Callable[[Claim, str, Scores], Judgement]] = {
    "above": _above,
    "falls": _falls,
    "flat": _flat,
    "peak": _peak,
}
