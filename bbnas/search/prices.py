"""What a design costs before it is trained: counted, and measured where latency is asked for."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from bbnas.design import Design
from bbnas.evaluation import Evaluation, LatencySetting
from bbnas.store import Store
from bbnas.store.latencies import add_latency, find_latency, reference_time
from bbnas.tasks import Task

if TYPE_CHECKING:
    from bbnas.engine.latency import Stopwatch


class Cost(Protocol):
    """Plain counts in the paper's convention."""

    @property
    def ops(self) -> float: ...

    @property
    def params(self) -> float: ...


@dataclass(frozen=True)
class Prices:
    """Costs by name: ``ops``, ``params`` and, with a ``clock``, ``latency`` (seconds)."""

    count: Callable[[Design], Cost]
    clock: Clock | None = None

    def __call__(self, design: Design, name: str) -> float:
        if name == "latency":
            return math.nan if self.clock is None else self.clock(design)
        return float(getattr(self.count(design), name))

    def complete(self, found: Evaluation) -> Evaluation:
        """``found`` with the latency of its design, if there is a clock."""
        return found if self.clock is None else replace(found, latency=self.clock(found.design))


class Clock:
    """Latencies in one setting: from the store, or measured and kept there.

    Designs whose networks differ in their numbers alone share one measurement.
    """

    def __init__(self, store: Store, task: Task, setting: LatencySetting) -> None:
        self._store, self._task, self._setting = store, task, setting
        self._known: dict[str, float] = {}
        self._watch: Stopwatch | None = None

    def __call__(self, design: Design) -> float:
        """Seconds that the full design takes.

        Raises:
            UserError: a network that the engine does not know, or one too large for the memory.
        """
        if design.key not in self._known:
            found = find_latency(self._store, self._setting, self._task, design)
            self._known[design.key] = self._measure(design) if found is None else found.seconds
        return self._known[design.key]

    def _measure(self, design: Design) -> float:
        from bbnas.engine.latency import Stopwatch, program_of, shape_of

        program = program_of(design, self._task)
        shape = shape_of(program)
        found = find_latency(self._store, self._setting, self._task, shape=shape)
        if found is None:
            if self._watch is None:
                reference = reference_time(self._store, self._setting)
                self._watch = Stopwatch(self._setting, reference)
            found = self._watch.measure(program)
        add_latency(self._store, design, self._task, shape, found)
        return found.seconds
