"""Hypervolume: the volume of objective space that a search dominates, by evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bbnas.analysis.pareto import front, minimised, non_dominated
from bbnas.evaluation import Evaluation
from bbnas.study import Study
from bbnas.text import COSTS

_MARGIN = 0.05


def hypervolume(points: ArrayLike) -> float:
    """The volume that ``points`` (n, d) dominate towards the origin.

    Every column is maximised and counted from the reference point 0: the union of the boxes from
    0 to each point. Rows with a coordinate at or below 0 add nothing. Exact, by slabs.
    """
    values = np.asarray(points, dtype=np.float64)
    values = values[np.all(values > 0, axis=1)]
    if len(values) == 0:
        return 0.0
    if values.shape[1] == 1:
        return float(values.max())
    # From the far end of the last coordinate: each slab is as thick as the gap to the next point
    # and has the volume, one dimension lower, of all points that reach it.
    values = values[np.argsort(-values[:, -1], kind="stable")]
    thickness = values[:, -1] - np.append(values[1:, -1], 0.0)
    if values.shape[1] == 2:
        return float(np.sum(np.maximum.accumulate(values[:, 0]) * thickness))
    return float(
        sum(
            hypervolume(values[: row + 1, :-1]) * thick
            for row, thick in enumerate(thickness)
            if thick > 0
        )
    )


@dataclass(frozen=True)
class Box:
    """The reference point and the ideal point between which hypervolume is measured.

    PSNR is linear in dB; costs are in decades (−log10), so that from 100 G to 10 G
    counts as much as from 10 G to 1 G. Scaled by its own front's box, a hypervolume is a share
    of 0 to 1; to compare searches, measure them in one box.
    """

    objectives: tuple[str, ...]
    reference: tuple[float, ...]
    ideal: tuple[float, ...]

    @classmethod
    def of(cls, evaluations: Sequence[Evaluation], objectives: Sequence[str]) -> Box:
        """The box around ``evaluations`` (a front), 5 % wider on the reference's side.

        An objective in which they are all equal gets 0.1 dB or 0.1 decades.
        """
        values = _in_units(evaluations, objectives)
        ideal, worst = values.max(axis=0), values.min(axis=0)
        reference = worst - np.where(ideal > worst, _MARGIN * (ideal - worst), 0.1)
        return cls(tuple(objectives), tuple(reference.tolist()), tuple(ideal.tolist()))

    def scaled(self, evaluations: Sequence[Evaluation]) -> NDArray[np.float64]:
        """(n, d), larger is better, 0 at the reference and 1 at the ideal."""
        reference, ideal = np.array(self.reference), np.array(self.ideal)
        values = _in_units(evaluations, self.objectives)
        return np.asarray((values - reference) / (ideal - reference), dtype=np.float64)

    def words(self) -> str:
        """The reference point, for a caption: ``26.10 dB, 146 G OPs, 1.52 M Params``."""
        texts = []
        for name, value in zip(self.objectives, self.reference, strict=True):
            texts.append(COSTS[name].words(10**-value) if name in COSTS else f"{value:.2f} dB")
        return ", ".join(texts)


def _in_units(evaluations: Sequence[Evaluation], objectives: Sequence[str]) -> NDArray[np.float64]:
    """(n, d) in the box's units: dB, −log10 of costs; larger is better."""
    values = minimised(evaluations, objectives)
    columns = [
        -values[:, i] if name == "psnr" else -np.log10(values[:, i])
        for i, name in enumerate(objectives)
    ]
    return np.stack(columns, axis=1)


@dataclass(frozen=True)
class HypervolumeCurve:
    """Hypervolume after each evaluation; ``seconds`` from the first to finish, where known, and
    ``trained``, the seconds of training of all up to it, added over the workers.
    """

    box: Box
    evaluations: tuple[int, ...]
    volume: tuple[float, ...]
    seconds: tuple[float | None, ...]
    trained: tuple[float, ...]


def hypervolume_curve(study: Study, box: Box | None = None) -> HypervolumeCurve | None:
    """The hypervolume of the candidates after 1, 2, … evaluations.

    Baselines count as evaluations and add no volume. ``box`` is that of the study's final front
    unless given. None if the front is empty.
    """
    found = front(study)
    if not found:
        return None
    box = box or Box.of([c.evaluation for c in found], study.config.objectives)
    kept = np.empty((0, len(box.objectives)))
    volume, volumes = 0.0, []
    for candidate in study.candidates:
        if candidate.evaluation.feasible and not candidate.baseline:
            point = box.scaled([candidate.evaluation])
            if not np.any(np.all(kept >= point, axis=1)):
                kept = np.concatenate([kept, point])
                kept = kept[non_dominated(-kept)]
                volume = hypervolume(kept)
        volumes.append(volume)
    start = next((c.finished for c in study.candidates if c.finished), None)
    return HypervolumeCurve(
        box=box,
        evaluations=tuple(range(1, len(volumes) + 1)),
        volume=tuple(volumes),
        seconds=tuple(
            (c.finished - start).total_seconds() if c.finished and start else None
            for c in study.candidates
        ),
        trained=tuple(accumulate(c.evaluation.seconds for c in study.candidates)),
    )
