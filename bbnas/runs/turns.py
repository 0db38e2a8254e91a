"""A process that takes turns with others on one machine: it prepares, then runs on request.

It is pinned to its CPUs, and its variables are set, before it loads a library. On one thread a
time is processor time, which other processes hardly affect; on several it is wall time.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bbnas.errors import UserError
from bbnas.processes import SPAWN, end_with_parent, sheltered

TURN = 0.05  # seconds of a turn: long against the resolution of the clock
WARM = 0.25  # seconds of a run that are long against what a warm-up saves
# Idle threads of the process before spin for a while: seconds until they have stopped.
PAUSE = 0.02

Run = Callable[[], object]
# Loads what is timed; returns what it has to say of it, and what runs in a turn.
Prepare = Callable[[], tuple[Any, Sequence[Run]]]


class TurnProcess:
    """A process that holds what ``prepare`` loaded, and runs one of it in each turn.

    ``prepare`` must pickle. ``name`` begins errors. ``cpus`` are those it is pinned to, and as
    many threads.
    """

    def __init__(
        self,
        name: str,
        cpus: Sequence[int],
        prepare: Prepare,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self.name, self.threads = name, len(cpus)
        self._pipe, theirs = SPAWN.Pipe()
        arguments = (theirs, list(cpus), prepare, dict(variables or {}))
        self._process = SPAWN.Process(target=_serve, args=arguments, daemon=True)
        with sheltered():
            self._process.start()
        theirs.close()

    def ready(self) -> Any:
        """Wait for ``prepare``, and return what it said.

        Raises:
            UserError: why it could not load, or the process died.
        """
        return self._answer()

    def turn(self, place: int = 0) -> tuple[float, float]:
        """The seconds of one run of what was loaded: by the process's clock, and in wall time.

        Raises:
            UserError: the run failed, or the process died.
        """
        time.sleep(PAUSE)
        self._pipe.send(place)
        processor, wall = self._answer()
        return (processor if self.threads == 1 else wall), wall

    def end(self) -> None:
        self._process.kill()
        self._process.join()
        self._pipe.close()

    def _answer(self) -> Any:
        try:
            good, answer = self._pipe.recv()
        except (EOFError, ConnectionError) as error:
            raise UserError(
                f"{self.name} died, perhaps for want of memory: close other programs, or give a "
                "smaller --lq"
            ) from error
        if not good:
            raise UserError(f"{self.name}: {answer}")
        return answer


def _serve(pipe: Any, pinned: list[int], prepare: Prepare, variables: dict[str, str]) -> None:
    """The process's main: what ``prepare`` said, then the clocks of each turn."""
    end_with_parent()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, pinned)
    os.environ |= {"OMP_NUM_THREADS": str(len(pinned))} | variables
    try:
        said, runs = prepare()
        pipe.send((True, said))
        while True:
            pipe.send((True, clocked(runs[pipe.recv()])))
    except (EOFError, ConnectionError):
        return
    except Exception as error:  # noqa: BLE001 - reported in one line
        pipe.send((False, " ".join(str(error).split()) or type(error).__name__))


def clocked(run: Run) -> tuple[float, float]:
    """The seconds of one run, in processor time and in wall time.

    A run that takes less than ``WARM`` seconds warms up, and is then the average of as many as
    take ``TURN`` seconds.
    """

    def clocks() -> NDArray[np.float64]:
        return np.array((time.process_time(), time.perf_counter()))

    def seconds(count: int) -> NDArray[np.float64]:
        started = clocks()
        for _ in range(count):
            run()
        return (clocks() - started) / count

    found = seconds(1)
    if found[1] <= WARM:
        found = seconds(max(1, round(TURN / found[1])))
    return float(found[0]), float(found[1])


def cpus() -> list[int]:
    """The CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))
