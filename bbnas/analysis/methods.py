"""The methods of a study compared at equal parts, width and depth."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, NamedTuple

from bbnas.analysis.pareto import useful
from bbnas.design import TITLES, Design
from bbnas.study import Candidate, Study

if TYPE_CHECKING:
    import pandas as pd

REFERENCE = "bbcu"

# Sizes up to which the table has a column a size: more do not fit a terminal.
SIZES = 6


class DesignSize(NamedTuple):
    """The parts, width and depth that designs of different methods share."""

    parts: tuple[str, ...]
    width: int
    depth: int

    @classmethod
    def of(cls, design: Design) -> DesignSize:
        return cls(tuple(map(str, design.binarize)), design.width, design.depth)

    def __str__(self) -> str:
        return f"{'+'.join(self.parts)}, {self.width}×{self.depth}"


@dataclass(frozen=True)
class MethodRow:
    """One method: its designs, its best PSNR (dB), and its difference from the reference.

    ``psnr`` is by size, NaN where it diverged. ``against`` is the mean difference in dB over the
    ``pairs`` sizes at which both have a PSNR, NaN without any. ``collapsed`` counts the designs
    that diverged, failed, or are at or below the study's floor.
    """

    method: str
    title: str
    psnr: Mapping[DesignSize, float]
    best: float
    against: float
    pairs: int
    collapsed: int


@dataclass(frozen=True)
class MethodRanking:
    """Methods, best first, over the sizes that were evaluated; ``reference`` is a title."""

    reference: str
    sizes: tuple[DesignSize, ...]
    rows: tuple[MethodRow, ...]


def rank_methods(study: Study) -> MethodRanking | None:
    """The methods by their mean difference from BBCU at equal parts, width and depth.

    Without BBCU the reference is the method with most designs. In a space of methods all
    candidates count; in any other only the baselines, because its candidates differ in more than
    the method. None where fewer than two methods can be compared.
    """
    by_method: dict[str, list[Candidate]] = {}
    for candidate in study.candidates:
        name = candidate.evaluation.design.published
        if name and (study.searches_methods or candidate.baseline):
            by_method.setdefault(name, []).append(candidate)
    if not by_method:
        return None
    most = max(by_method, key=lambda name: len(by_method[name]))
    reference = REFERENCE if REFERENCE in by_method else most
    at = _by_size(by_method[reference])
    rows = [_row(study, name, found, at) for name, found in by_method.items()]
    if sum(row.pairs > 0 for row in rows) < 2:
        return None
    rows.sort(key=_rank)
    sizes = sorted({size for row in rows for size in row.psnr}, key=lambda s: (len(s.parts), *s))
    return MethodRanking(TITLES[reference], tuple(sizes), tuple(rows))


def methods_frame(ranking: MethodRanking) -> pd.DataFrame:
    """The ranking as a table: one row a method, its PSNR (dB) at each size where they are few."""
    import pandas as pd

    sizes = ranking.sizes if len(ranking.sizes) <= SIZES else ()
    table = {
        "method": [row.title for row in ranking.rows],
        f"against {ranking.reference} (dB)": [row.against for row in ranking.rows],
        "sizes compared": [row.pairs for row in ranking.rows],
        "best (dB)": [row.best for row in ranking.rows],
    }
    by_size = {str(size): [row.psnr.get(size, math.nan) for row in ranking.rows] for size in sizes}
    return pd.DataFrame(table | by_size)


def _by_size(found: list[Candidate]) -> dict[DesignSize, float]:
    return {DesignSize.of(c.evaluation.design): c.evaluation.psnr for c in found}


def _row(
    study: Study, name: str, found: list[Candidate], reference: Mapping[DesignSize, float]
) -> MethodRow:
    psnr = _by_size(found)
    gaps = [value - reference[size] for size, value in psnr.items() if size in reference]
    gaps = [gap for gap in gaps if math.isfinite(gap)]
    known = [value for value in psnr.values() if math.isfinite(value)]
    return MethodRow(
        method=name,
        title=TITLES[name],
        psnr=psnr,
        best=max(known, default=math.nan),
        against=fmean(gaps) if gaps else math.nan,
        pairs=len(gaps),
        collapsed=sum(not useful(study.config, c.evaluation) for c in found),
    )


def _rank(row: MethodRow) -> tuple[float, float]:
    """Best first; methods without a matched design last."""

    def falling(value: float) -> float:
        return -value if math.isfinite(value) else math.inf

    return falling(row.against), falling(row.best)
