"""A search without training: figures by formula, so that what is tested is the bookkeeping.

Run as a program it searches, for the tests that need a process to kill.
"""

from __future__ import annotations

import json
import math
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any, Self

from bbnas.design import Design
from bbnas.evaluation import Costs, Evaluation, paused_name
from bbnas.protocol import PROTOCOLS, Protocol
from bbnas.runs.placement import Placement
from bbnas.searching import SearchResult, search
from bbnas.space import Space
from bbnas.store import database
from bbnas.study import StudyConfig
from bbnas.tasks import TASKS, Task

SPACE = {
    "version": 1,
    "name": "small",
    "axes": {
        "binarize": {"any_of": ["body", "upsampling", "tail"]},
        "norm": ["none", "batchnorm"],
        "k_ratio": ["off", 0.25, 1, 4],
        "activation": ["rprelu", "relu"],
        "width": [16, 32, 64],
        "depth": [16, 32],
    },
}

ITERATIONS = PROTOCOLS["proxy"].iterations


def axes(**changed: Any) -> Space:
    """SPACE with other values of some axes."""
    return Space.from_dict(SPACE | {"axes": SPACE["axes"] | changed})


TINY = axes(
    binarize=[["body"]], norm="none", k_ratio=1, activation=["rprelu", "relu"], width=[16, 32]
)


def keys(result: SearchResult) -> list[str]:
    """The designs of a search in the order in which they finished."""
    return [candidate.evaluation.design.key for candidate in result.study.candidates]


@dataclass(frozen=True)
class Price:
    ops: float
    params: float


def price(design: Design) -> Price:
    """Convolutions only, as bbnas.cost counts, in round numbers."""
    cheap = {part: 1 / 64 if design.binary(part) else 1.0 for part in design.binarize}
    body = design.depth * design.width**2 * 9 * cheap.get("body", 1.0)
    tail = 50 * design.width**2 * cheap.get("upsampling", 1.0)
    return Price(ops=57_600 * (body + tail), params=body + tail)


class Stub:
    """What evaluators of tests have in common; a subclass evaluates."""

    task: Task = TASKS["sr4"]
    protocol: Protocol = PROTOCOLS["proxy"]
    data = "f" * 16
    data_description = "3 photographs"
    largest_patch = 96
    skip_psnr: float | None = None
    bicubic_psnr: float | None = None

    def cost(self, design: Design) -> Costs:
        return price(design)

    def pausing(self, folder: str) -> Self:
        return self


@dataclass(frozen=True)
class Formula:
    """Evaluates at once, or after ``seconds``; each call adds a line to ``log``.

    With ``rungs`` it is scored there, at ever smaller distances below its last figure, and
    stopped at ``until``. ``kills``: (width, times): a design of that width kills the process that
    evaluates it, so often. One of width ``raises`` raises.
    """

    log: str = ""
    seconds: float = 0.0
    data: str = "f" * 16
    data_description: str = "3 photographs"
    largest_patch: int = 96
    skip_psnr: float | None = None
    bicubic_psnr: float | None = None
    protocol: Protocol = PROTOCOLS["proxy"]
    task: Task = TASKS["sr4"]
    prices: Callable[[Design], Costs] | None = None
    kills: tuple[tuple[int, int], ...] = ()
    raises: int = 0
    rungs: tuple[int, ...] = ()

    def cost(self, design: Design) -> Costs:
        return (self.prices or price)(design)

    def pausing(self, folder: str) -> Formula:
        return self

    def __call__(
        self, design: Design, until: int | None = None, protocol: Protocol | None = None
    ) -> Evaluation:
        if self.log:
            with Path(self.log).open("a") as log:
                end = until or (protocol or self.protocol).iterations
                log.write(f"{design.key} {os.getpid()} {end}\n")
            if Path(self.log).read_text().count(design.key) <= dict(self.kills).get(
                design.width, 0
            ):
                os.kill(os.getpid(), signal.SIGKILL)
        if design.width == self.raises:
            raise ZeroDivisionError("of the evaluator")
        time.sleep(self.seconds)
        cost = price(design)
        psnr = 24 + math.log2(design.width) / 3 - 0.2 * len(design.binarize)
        psnr -= 0.1 * (design.norm == "batchnorm") + 0.2 * (design.k_ratio is None)
        diverged = design.activation == "relu" and design.k_ratio == 4.0
        end = until or ITERATIONS
        scored = () if diverged else tuple((r, psnr - 50 / r) for r in self.rungs if r <= end)
        status = "diverged" if diverged else "ok" if until is None else "stopped"
        return Evaluation(
            design=design,
            task=self.task.name,
            protocol=protocol or self.protocol,
            data=self.data,
            status=status,  # type: ignore[arg-type]
            psnr=psnr if status == "ok" else math.nan,
            ssim=psnr / 40 if status == "ok" else math.nan,
            ops=cost.ops,
            params=cost.params,
            seconds=self.seconds,
            curve=((50, 0.1), (100, math.nan if diverged else 0.05)),
            rungs=scored,
            environment={"python": "3.11"},
        )


@dataclass(frozen=True)
class Pausing(Formula):
    """Keeps the iteration where it is stopped, goes on from there, and logs it as well."""

    paused: str = ""

    def pausing(self, folder: str) -> Pausing:
        return replace(self, paused=folder)

    def __call__(
        self, design: Design, until: int | None = None, protocol: Protocol | None = None
    ) -> Evaluation:
        name = paused_name(design, self.task, protocol or self.protocol, self.data)
        file = Path(self.paused) / name
        since = file.read_text() if file.exists() else "0"
        with Path(self.log).open("a") as log:
            log.write(f"{design.key} {os.getpid()} {until or ITERATIONS} {since}\n")
        found = Formula.__call__(replace(self, log=""), design, until, protocol)
        if found.status == "stopped":
            file.parent.mkdir(exist_ok=True)
            file.write_text(str(until))
        else:
            file.unlink(missing_ok=True)
        return found


def quick_search(folder: Path | str, budget: int, **changes: Any) -> SearchResult:
    """A search of the small space by formula; ``changes`` are of the study or of the call."""
    evaluator = changes.pop("evaluator", Formula())
    space = changes.pop("space", Space.from_dict(SPACE))
    call = {
        "storage": f"sqlite:///{folder}/quick.db",
        "workers": 1,
        "benefit": False,
        "confirm": 0,
    }
    call |= {name: changes.pop(name) for name in CALL if name in changes}
    config = StudyConfig.of(
        evaluator, space, **({"name": "quick", "early_stopping": False} | changes)
    )
    return search(config, evaluator, budget, **call)


# The arguments that are of the call, not of the study.
CALL = (
    "storage",
    "storage_patience",
    "artifacts",
    "workers",
    "placement",
    "baselines",
    "benefit",
    "confirm",
    "on_event",
)


if __name__ == "__main__":
    arguments = json.loads(sys.argv[1])
    behind = timedelta(seconds=arguments.pop("behind", 0))

    class Clock(datetime):
        """That of this machine, which is wrong."""

        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:
            return datetime.now(tz) - behind

    database.datetime = Clock  # type: ignore[misc]
    if "placement" in arguments:
        arguments["placement"] = Placement(**arguments["placement"])
    kind = Pausing if arguments.pop("pausing", False) else Formula
    evaluator = kind(**arguments.pop("formula", {}))
    result = quick_search(**arguments, evaluator=evaluator)
    print(json.dumps({"done": result.counts.done, "interrupted": result.interrupted}))
