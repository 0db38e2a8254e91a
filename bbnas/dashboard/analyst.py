"""What a dashboard says of a study beyond its rows: recommendation, reasons and effects.

An analysis takes a tenth of a second on 200 designs, and three on 10,000. The analyst is a process
of its own, so that pages are answered meanwhile. It reads the databases itself.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import ParamSpec, TypeVar

from bbnas.analysis import recommend
from bbnas.analysis.findings import StudyFindings
from bbnas.analysis.findings import findings as find
from bbnas.analysis.reasons import reasons
from bbnas.analysis.recommendation import Recommendation
from bbnas.errors import UserError, why
from bbnas.processes import SPAWN, end_with_parent, sheltered
from bbnas.store.watch import Watch
from bbnas.study import Study

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class Bounds:
    """Upper bounds of a recommended design: plain counts, and seconds."""

    ops: float | None = None
    params: float | None = None
    latency: float | None = None


@dataclass(frozen=True)
class Choice:
    """A recommendation and its reasons, or in ``missing`` why there is none."""

    recommendation: Recommendation | None = None
    reasons: tuple[str, ...] = ()
    missing: str = ""

    @property
    def number(self) -> int | None:
        """The trial number of the recommended design."""
        return None if self.recommendation is None else self.recommendation.candidate.number


@dataclass(frozen=True, eq=False)
class Analysis:
    """What is known of a study.

    ``findings`` are the effects of choices over all designs, which may be those of an earlier
    state; None before the first. ``seconds`` of a processor went into it. ``limited`` holds the
    recommendations within budgets that were asked for.
    """

    choice: Choice = field(default_factory=Choice)
    findings: StudyFindings | None = None
    seconds: float = 0.0
    limited: dict[Bounds, Choice] = field(default_factory=dict)


@dataclass(frozen=True)
class Place:
    """The study ``name`` of the database at ``url``."""

    url: str
    name: str


class AnalystGoneError(Exception):
    """The process was killed; the next question starts another one."""


class Analyst:
    """The process that analyses. It starts with the first question, and ends with this one."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._process: SpawnProcess | None = None
        self._pipe: Connection | None = None
        self._ended = False

    def ask(self, question: Callable[P, R], *given: P.args, **named: P.kwargs) -> R:
        """``question(*given)`` there: one of the functions below.

        Raises:
            AnalystGoneError: the process was killed, or this has ended.
            UserError: the question could not be answered.
        """
        with self._turn:
            if self._ended:
                raise AnalystGoneError
            if self._pipe is None:
                self._start()
            assert self._pipe is not None
            try:
                self._pipe.send((question, given, named))
                answer = self._pipe.recv()
            except (EOFError, OSError) as error:
                self._pipe = None
                raise AnalystGoneError from error
        if isinstance(answer, UserError):
            raise answer
        return answer  # type: ignore[no-any-return]

    def end(self) -> None:
        """End the process, whatever it does."""
        self._ended = True
        if self._process is not None:
            self._process.kill()
            self._process.join()

    def _start(self) -> None:
        self._pipe, there = SPAWN.Pipe()
        process = SPAWN.Process(target=_answer, args=(there,), daemon=True)
        with sheltered():
            process.start()
        there.close()  # the process alone holds it, so that its end is noticed
        self._process = process
        if self._ended:  # meanwhile
            process.kill()


def _answer(pipe: Connection) -> None:
    """The process: answers one question after the other."""
    end_with_parent()
    while True:
        question, given, named = pipe.recv()
        try:
            answer = question(*given, **named)
        except UserError as error:
            answer = error
        except Exception as error:  # noqa: BLE001 - the page says it
            answer = UserError(f"the analysis failed: {why(error)}")
        pipe.send(answer)


# What the process holds: its databases, and of each study its state and the effects of choices.
_watches: dict[str, Watch] = {}
_studies: dict[Place, Study] = {}
_effects: dict[Place, StudyFindings] = {}


def analyse(place: Place) -> Analysis:
    """The analysis of the study as it is now, with the effects of choices that are known already.

    Raises:
        UserError: its database cannot be read.
    """
    began = time.process_time()
    watch = _watches.setdefault(place.url, Watch(place.url))
    watch.look()
    if place.name not in watch.snapshots:
        raise UserError(watch.error or f"{place.name}: the study is gone from its database")
    _studies[place] = watch.snapshots[place.name].study
    return _analysis(place, began)


def with_findings(place: Place) -> Analysis:
    """The analysis of the study as it last was, with the effects of choices."""
    began = time.process_time()
    _effects[place] = find(_studies[place])
    return _analysis(place, began)


def within(place: Place, limits: Bounds) -> Choice:
    """The recommendation within ``limits``, from the study as it last was."""
    if place not in _studies:  # the process is new
        analyse(place)
    study, found = _studies[place], _effects.get(place)
    try:
        chosen = recommend(
            study, max_ops=limits.ops, max_params=limits.params, max_latency=limits.latency
        )
        return Choice(chosen, () if found is None else tuple(reasons(study, chosen, found)))
    except UserError as error:
        return Choice(missing=str(error))


def _analysis(place: Place, began: float) -> Analysis:
    choice = within(place, Bounds())
    return Analysis(choice, _effects.get(place), time.process_time() - began)
