"""Several studies beside each other: the units that they share, and where their findings agree."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from bbnas.analysis.findings import Finding, StudyFindings
from bbnas.analysis.hypervolume import Box, hypervolume_curve
from bbnas.analysis.pareto import front
from bbnas.study import OBJECTIVES, Study
from bbnas.tasks import get_task
from bbnas.text import decibel, duration, listed

Verdict = Literal["agree", "disagree", "not settled", "one study"]


@dataclass(frozen=True)
class Scale:
    """How the PSNR of several studies is compared.

    With ``relative``, each study's PSNR counts from that of its network's global skip, such as
    bilinear interpolation. ``why`` says so in sentences. ``left_out`` are the positions of
    studies that the scale cannot hold, because the PSNR of their skip is not known.
    """

    relative: bool
    why: tuple[str, ...]
    left_out: tuple[int, ...] = ()

    @property
    def title(self) -> str:
        """The title of an axis."""
        return "PSNR above the skip (dB)" if self.relative else "PSNR (dB)"

    def offset(self, study: Study) -> float:
        """What is taken off the study's PSNR (dB)."""
        return (study.config.skip_psnr or 0.0) if self.relative else 0.0


def common_scale(studies: Sequence[Study]) -> Scale:
    """PSNR itself where task, protocol and images are the same, else PSNR above the skip."""
    configs = [study.config for study in studies]
    differing = [
        words
        for words, values in (
            ("tasks", {c.task for c in configs}),
            ("images", {c.data for c in configs}),
            ("protocols", {c.protocol.with_seed(0).key for c in configs}),
        )
        if len(values) > 1
    ]
    if not differing:
        same = "The studies share task, images and protocol: their PSNR itself is compared."
        return Scale(False, (same,))
    skips = sorted({get_task(c.task).skip for c in configs})
    differ = f"The studies differ in their {listed(differing)}."
    above = f"PSNR is given above that of the networks’ skip ({' or '.join(skips)})"
    why = [differ, f"{above}, which costs nothing."]
    if "protocols" in differing:
        why.append("A longer training gains more above it, whatever the design.")
    if "tasks" in differing:
        why.append("What can be gained differs between tasks too.")
    unknown = tuple(i for i, c in enumerate(configs) if c.skip_psnr is None)
    if unknown:
        names = listed([configs[i].name for i in unknown])
        why.append(f"It is not known for {names}, which the figures leave out.")
    return Scale(True, tuple(why), unknown)


def summary(studies: Sequence[Study]) -> list[dict[str, str]]:
    """A row of text for each study: what it searched, how far it is, and its best PSNR."""
    rows = []
    for study in studies:
        config = study.config
        best = max((c.evaluation.psnr for c in study.own()), default=math.nan)
        skip = math.nan if config.skip_psnr is None else config.skip_psnr
        rows.append(
            {
                "task": config.task,
                "space": config.space.name,
                "protocol": f"{config.protocol.name}, {config.protocol.iterations:,} iterations",
                "designs": f"{len(study.candidates):,}",
                "training": duration(sum(c.evaluation.seconds for c in study.candidates)),
                "front": str(len(front(study))),
                "best": decibel(best),
                "above the skip": decibel(best - skip, sign=True),
            }
        )
    return rows


@dataclass(frozen=True)
class Progression:
    """The ``volume`` of a study's front, in a box that several studies share, once its trainings
    took ``seconds`` (s, all workers added up).
    """

    seconds: tuple[float, ...]
    volume: tuple[float, ...]


@dataclass(frozen=True)
class Race:
    """Hypervolume over training time; ``progress`` is None where a study has no front."""

    objectives: tuple[str, ...]
    reference: str
    progress: tuple[Progression | None, ...]


def race(studies: Sequence[Study], scale: Scale) -> Race | None:
    """The studies in one box around all of their fronts, by the objectives that all have.

    None if there is no front, or if they share no objectives but PSNR.
    """
    shared = [
        name for name in OBJECTIVES if all(name in study.config.objectives for study in studies)
    ]
    if "psnr" not in shared or len(shared) < 2:
        return None
    put = [
        None if i in scale.left_out else _on(study, scale, tuple(shared))
        for i, study in enumerate(studies)
    ]
    ends = [c.evaluation for study in put if study is not None for c in front(study)]
    if not ends:
        return None
    box = Box.of(ends, shared)
    progress: list[Progression | None] = []
    for study in put:
        curve = None if study is None else hypervolume_curve(study, box)
        if study is None or curve is None:
            progress.append(None)
            continue
        seconds = np.cumsum([c.evaluation.seconds for c in study.candidates])
        progress.append(Progression(tuple(seconds.tolist()), curve.volume))
    return Race(tuple(shared), box.words(), tuple(progress))


def _on(study: Study, scale: Scale, objectives: tuple[str, ...]) -> Study:
    """``study`` with its PSNR on ``scale``."""
    offset = scale.offset(study)
    skip = study.config.skip_psnr
    config = replace(
        study.config, objectives=objectives, skip_psnr=None if skip is None else skip - offset
    )
    if not offset:
        return replace(study, config=config)
    return replace(
        study,
        config=config,
        candidates=tuple(
            replace(c, evaluation=replace(c.evaluation, psnr=c.evaluation.psnr - offset))
            for c in study.candidates
        ),
    )


@dataclass(frozen=True)
class ChoiceAgreement:
    """The effect of one choice in each study; None where it was not compared.

    ``agree``: the effect is settled in two or more studies, with one sign; ``disagree``: with
    both signs; ``one study``: settled in one alone.
    """

    axis: str
    choice: str
    reference: str
    effects: tuple[Finding | None, ...]
    verdict: Verdict

    @property
    def words(self) -> str:
        """The verdict."""
        return {"one study": "settled in one alone", "not settled": "not settled yet"}.get(
            self.verdict, self.verdict
        )

    @property
    def spread(self) -> float:
        """The difference (dB) between the largest and the smallest effect; NaN for one alone."""
        values = [found.effect for found in self.effects if found is not None]
        return max(values) - min(values) if len(values) > 1 else math.nan


_ORDER: tuple[Verdict, ...] = ("disagree", "agree", "one study", "not settled")


def agreements(findings: Sequence[StudyFindings | None]) -> list[ChoiceAgreement]:
    """Every choice that a study compared, disagreements first.

    Effects are differences within a study, so that studies of other images can be compared.
    """
    rows: dict[tuple[str, str, str], list[Finding | None]] = {}
    for place, found in enumerate(findings):
        for effect in found.effects if found is not None else ():
            key = (effect.axis, effect.choice, effect.reference)
            rows.setdefault(key, [None] * len(findings))[place] = effect
    found_rows = [ChoiceAgreement(*key, tuple(row), _verdict(row)) for key, row in rows.items()]
    return sorted(found_rows, key=lambda row: _ORDER.index(row.verdict))


def _verdict(row: Sequence[Finding | None]) -> Verdict:
    signs = [found.effect > 0 for found in row if found is not None and found.settled]
    if len(set(signs)) > 1:
        return "disagree"
    if not signs:
        return "not settled"
    return "agree" if len(signs) > 1 else "one study"
