"""One call for the comparison of samplers on a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bbnas.bench.sampler.contest import ContestRow, ContestRule, check_rules, contest_rows
from bbnas.bench.sampler.efficiency import Trace, Truth
from bbnas.bench.sampler.simulate import CONTENDERS, simulate_all, truth_of
from bbnas.bench.sampler.table import Table, default_table, read_table

# A search by a Gaussian process of Optuna takes minutes, so it is left out unless named.
USUAL = tuple(name for name in CONTENDERS if name != "gp")


@dataclass(frozen=True)
class Comparison:
    """Simulated searches on ``table``: their traces, a result a contender, and the rules."""

    table: Table
    truth: Truth
    traces: Sequence[Trace]
    results: Sequence[ContestRow]
    verdicts: Sequence[ContestRule]
    seeds: int
    budget: int

    @property
    def titles(self) -> dict[str, str]:
        """The contenders' titles by name."""
        return {name: contender.title for name, contender in CONTENDERS.items()}

    @property
    def passed(self) -> bool:
        """Whether no rule is broken."""
        return all(verdict.passed is not False for verdict in self.verdicts)

    @property
    def words(self) -> str:
        """What was compared on what, in a sentence."""
        table = self.table
        return (
            f"{len(table.rows)} designs of space {table.space.name}, {len(self.truth.front)} of "
            f"them on the front; {table.protocol.iterations:,} iterations each, "
            f"{table.data_description}, trained on {table.machine}, "
            f"{table.about.get('date', 'on a day unknown')}; "
            f"{self.seeds} searches of {self.budget} designs each"
        )

    def to_dict(self) -> dict[str, Any]:
        """Everything, as ``--json`` prints it."""
        front = [
            {"design": e.design, "psnr": e.psnr, "ops": e.ops, "params": e.params}
            for e in self.truth.front
        ]
        return {
            "table": self.words,
            "about": self.table.about,
            "protocol": self.table.protocol,
            "front": front,
            "knee": self.truth.knee.design,
            "results": self.results,
            "verdicts": self.verdicts,
            "passed": self.passed,
            "traces": self.traces,
        }


def compare_samplers(
    path: str | Path | None = None,
    contenders: Sequence[str] | None = None,
    seeds: int = 20,
    budget: int = 200,
    workers: int = 1,
    on_done: Callable[[Trace, int, int, float], None] | None = None,
) -> Comparison:
    """Simulate ``seeds`` searches by each of ``contenders`` on the table at ``path``.

    By default all contenders but ``gp``, on the table that comes with bbnas. ``on_done`` is that
    of :func:`bbnas.bench.sampler.simulate.simulate_all`.

    Raises:
        UserError: no such table or contender, or a table in which nothing beats the global skip.
    """
    table = read_table(path or default_table())
    traces = simulate_all(table, contenders or USUAL, seeds, budget, workers, on_done)
    titles = {name: contender.title for name, contender in CONTENDERS.items()}
    return Comparison(
        table=table,
        truth=truth_of(table),
        traces=traces,
        results=contest_rows(traces, titles),
        verdicts=check_rules(traces),
        seeds=seeds,
        budget=budget,
    )
