"""What a design costs before it is trained: counted, and measured where latency is asked for."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bbnas.design import Design
from bbnas.evaluation import Costs, Evaluation, LatencySetting
from bbnas.store.database import Database
from bbnas.store.latencies import add_latency, find_latency, reference_time
from bbnas.tasks import Task

if TYPE_CHECKING:
    from bbnas.device import Device
    from bbnas.engine.forecast import Forecast
    from bbnas.engine.latency import Stopwatch


@dataclass(frozen=True)
class Prices:
    """Costs by name: ``ops``, ``params`` and, with a ``clock``, ``latency`` (seconds)."""

    count: Callable[[Design], Costs]
    clock: Clock | None = None

    def __call__(self, design: Design, name: str) -> float:
        if name == "latency":
            return math.nan if self.clock is None else self.clock(design)
        return float(getattr(self.count(design), name))

    def complete(self, evaluation: Evaluation) -> Evaluation:
        """``evaluation`` with the latency of its design, if there is a clock."""
        if self.clock is None:
            return evaluation
        return replace(evaluation, latency=self.clock(evaluation.design))


class Clock:
    """Latencies in one setting: read from the store, or found and stored there.

    They are measured here, or, with a ``device``, forecast from what was timed on it. Designs
    whose networks differ only in their numbers share one.
    """

    def __init__(
        self, store: Database, task: Task, setting: LatencySetting, device: Device | None = None
    ) -> None:
        self._store, self._task, self._setting = store, task, setting
        self._device = device
        self._forecast: Forecast | None = None
        self._seconds: dict[str, float] = {}
        self._watch: Stopwatch | None = None

    def __call__(self, design: Design) -> float:
        """Seconds that the full design takes.

        Raises:
            UserError: a network that the engine does not know, or one too large for the memory.
        """
        if design.key not in self._seconds:
            stored = find_latency(self._store, self._setting, self._task, design)
            seconds = self._measure(design) if stored is None else stored.seconds
            self._seconds[design.key] = seconds
        return self._seconds[design.key]

    def _measure(self, design: Design) -> float:
        from bbnas.engine.forecast import Forecast
        from bbnas.engine.latency import Stopwatch, program_of, shape_of

        program = program_of(design, self._task)
        shape = shape_of(program)
        latency = find_latency(self._store, self._setting, self._task, shape=shape)
        if latency is None and self._device is not None:
            self._forecast = self._forecast or Forecast(self._device)
            latency = self._forecast.latency(program)
        elif latency is None:
            if self._watch is None:
                reference = reference_time(self._store, self._setting)
                self._watch = Stopwatch(self._setting, reference)
            latency = self._watch.measure(program)
        add_latency(self._store, design, self._task, shape, latency)
        return latency.seconds
