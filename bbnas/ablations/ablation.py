"""Ablation: named designs trained with the same seeds, and the paper's claims about them.

The built-in ablations (``bbnas/ablations/*.yaml``) are the paper's tables and figures at a size
that two cores finish in minutes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from bbnas.ablations.claims import Claim, Scores
from bbnas.design import Design
from bbnas.errors import UserError, unknown
from bbnas.evaluation import Evaluation
from bbnas.paper.printed import TABLES, printed_psnr
from bbnas.presets import at_depth, load_design
from bbnas.protocol import Protocol, load_protocol
from bbnas.resources import builtin
from bbnas.schema import Value, names_file, read_yaml, validate
from bbnas.tasks import Task, get_task

# Fields of a protocol that rows share, so that they can be compared.
SHARED = ("name", "rungs", "noise", "seed", "validation_side")


class AblationRow(Value):
    """One design of an ablation, at the width and depth that it has in the paper.

    ``protocol`` holds changes of the ablation's protocol, such as ``{ema: 0.999}``. ``paper`` is
    its label in the paper's table, by default its name. ``x`` and ``series`` are its place in a
    figure.
    """

    name: str = Field(min_length=1)
    design: Design
    protocol: dict[str, Any] = Field(default_factory=dict)
    paper: str = ""
    x: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    series: str = ""

    @property
    def changes(self) -> list[str]:
        """``ema=0.999`` for each change of the protocol."""
        return [f"{name}={value}" for name, value in self.protocol.items()]


class PaperFigures(Value):
    """The paper's figures to compare with: a table, and the benchmarks in it to average."""

    table: str
    datasets: tuple[str, ...] = Field(min_length=1)


class Ablation(Value):
    """A table or figure of the paper, to be run.

    Every row is trained with the seeds 0 to ``seeds`` − 1. ``reference`` is the row that the
    others are compared with; ``x`` is the title of the rows' x.
    """

    version: Literal[1]
    name: str = Field(min_length=1)
    title: str = Field(min_length=1)
    question: str = Field(min_length=1)
    task: str
    protocol: Protocol
    seeds: int = Field(ge=1, le=100)
    reference: str
    x: str = ""
    paper: PaperFigures | None = None
    rows: tuple[AblationRow, ...]
    claims: tuple[Claim, ...] = ()
    notes: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _sound(self) -> Self:
        names = [row.name for row in self.rows]
        if len(names) < 2:
            raise ValueError("rows: must be two or more, so that they can be compared")
        trained: dict[tuple[str, str], str] = {}
        for row in self.rows:
            if names.count(row.name) > 1:
                raise ValueError(f"rows: {row.name!r} appears twice")
            if row.series and row.x is None:
                raise ValueError(f"row {row.name}: a row in a series must have an x")
            try:
                own = self.protocol_of(row)
            except UserError as error:
                raise ValueError(str(error)) from error
            key = (own.trained(row.design).key, own.key)
            if key in trained:
                raise ValueError(
                    f"rows {trained[key]} and {row.name} train the same network by one protocol"
                )
            trained[key] = row.name
        if self.reference not in names:
            raise ValueError(f"reference: {unknown('row', self.reference, names)}")
        for claim in self.claims:
            self._check(claim, names)
        if self.paper is not None:
            self._check_paper(self.paper)
        return self

    def _check(self, claim: Claim, names: Sequence[str]) -> None:
        single = claim.kind == "above"
        known = names if single else list(self.series)
        for name in (claim.of, *claim.than):
            if name not in known:
                what = "row" if single else "series"
                raise ValueError(f"claim {claim.kind}: {unknown(what, name, known)}")
        if single and (not claim.than or claim.of in claim.than):
            raise ValueError(f"claim above {claim.of}: than must name other rows")
        if claim.than and claim.kind in ("flat", "peak"):
            raise ValueError(
                f"claim {claim.kind} {claim.of}: it compares with no other series; leave out than"
            )
        for field, kind in (("within", "flat"), ("at", "peak")):
            if (getattr(claim, field) is None) == (claim.kind == kind):
                raise ValueError(f"claim {claim.kind} {claim.of}: {field} belongs to {kind}")
        if claim.figure != "psnr" and not (single and {claim.of, *claim.than} <= set(self.parts)):
            raise ValueError(
                f"claim {claim.kind} {claim.of}: {claim.figure} needs rows that binarize one "
                "part each of a reference in full precision"
            )

    def _check_paper(self, paper: PaperFigures) -> None:
        if paper.table not in TABLES:
            raise ValueError(f"paper: {unknown('table', paper.table, TABLES)}")
        printed = printed_psnr(paper.table, self.task)
        sets = list(dict.fromkeys(name for row in printed.values() for name in row))
        for name in paper.datasets:
            if name not in sets:
                raise ValueError(f"paper: {unknown(f'benchmark in {paper.table}', name, sets)}")
        for row in self.rows:
            if row.paper and row.paper not in printed:
                raise ValueError(
                    f"row {row.name}: {unknown(f'row in {paper.table}', row.paper, printed)}"
                )

    @property
    def series(self) -> dict[str, dict[str, float]]:
        """The x of each row, by series, in the order of the rows."""
        series: dict[str, dict[str, float]] = {}
        for row in self.rows:
            if row.series and row.x is not None:
                series.setdefault(row.series, {})[row.name] = row.x
        return series

    @property
    def parts(self) -> list[str]:
        """The rows that binarize one part of the reference, if that is in full precision."""
        reference = next(row for row in self.rows if row.name == self.reference)
        full = reference.design
        if full.binarize:
            return []
        same = [
            r
            for r in self.rows
            if (r.design.width, r.design.depth) == (full.width, full.depth)
            and r.protocol == reference.protocol
        ]
        return [row.name for row in same if len(row.design.binarize) == 1]

    def protocol_of(self, row: AblationRow, seed: int = 0) -> Protocol:
        """The ablation's protocol with the changes of a row and with a seed.

        Raises:
            UserError: a change that is none, or one of a field that all rows share.
        """
        where = f"row {row.name}: protocol"
        for field in SHARED:
            if field in row.protocol:
                raise UserError(f"{where}: {field} is the same for all rows; leave it out")
        name = ",".join([self.protocol.name, *row.changes])
        return self.protocol.changed(row.protocol, name, where).with_seed(seed)

    def printed(self, row: AblationRow) -> dict[str, float]:
        """The paper's PSNR (dB) of a row by benchmark, empty where it prints none."""
        if self.paper is None:
            return {}
        psnr = printed_psnr(self.paper.table, self.task).get(row.paper or row.name, {})
        return {name: psnr[name] for name in self.paper.datasets if name in psnr}


@dataclass(frozen=True)
class MeasuredAblation:
    """An ablation with its evaluations: of each row by seed, None where it is not trained yet.

    ``data`` is the fingerprint of the images.
    """

    ablation: Ablation
    data: str
    data_description: str
    evaluations: Mapping[str, tuple[Evaluation | None, ...]]

    @property
    def known(self) -> list[Evaluation]:
        return [e for row in self.evaluations.values() for e in row if e is not None]

    @property
    def complete(self) -> bool:
        return len(self.known) == len(self.ablation.rows) * self.ablation.seeds

    def psnr(self, row: str) -> tuple[float, ...]:
        """PSNR (dB) of a row by seed, NaN where it diverged or is not trained yet."""
        return tuple(
            e.psnr if e is not None and e.feasible else math.nan for e in self.evaluations[row]
        )

    def scores(self, skip_psnr: float = -math.inf) -> Scores:
        """The values that claims are judged by; ``skip_psnr`` (dB) is the global skip's PSNR."""
        floor = skip_psnr + self.ablation.protocol.noise
        first = {row: e[0] for row, e in self.evaluations.items() if e[0] is not None}
        full = first.get(self.ablation.reference)
        saved = {
            row: ((full.ops - first[row].ops) / 1e6, (full.params - first[row].params) / 1e3)
            for row in self.ablation.parts
            if full is not None and row in first
        }
        psnr = {row: self.psnr(row) for row in self.evaluations}
        return Scores(psnr, self.ablation.reference, self.ablation.series, saved, floor)


def load_ablation(name_or_path: str | Path, protocol: str | Path | None = None) -> Ablation:
    """A built-in ablation by name, or one from a YAML file, which gives it its name.

    In the file, ``protocol`` is a name, a file or fields; the design of a row is a preset, a file,
    or fields, which may include the ``preset`` that they change. The argument ``protocol``
    replaces that of the file; the changes of a row apply to it.

    Raises:
        UserError: there is neither such a built-in ablation nor such a file, or it is not valid.
    """
    text, known = str(name_or_path), builtin("ablations")
    if text not in known and not names_file(text):
        raise unknown("ablation (or a .yaml file)", text, known)
    path = known.get(text, Path(text))
    content = {"name": path.stem} | read_yaml(path)
    try:
        task = get_task(str(content.get("task")))
        content["protocol"] = _protocol(path.stem, protocol or content.get("protocol"))
        if isinstance(content.get("rows"), list):
            content["rows"] = [_row(row, task) for row in content["rows"]]
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    return validate(Ablation, content, path)


def _protocol(name: str, given: Any) -> Any:
    if isinstance(given, Mapping):
        return {"name": name} | dict(given)
    return load_protocol(given) if isinstance(given, str | Path) else given


def _row(row: Any, task: Task) -> Any:
    """The row with its design at the task's depth; validation reports what is no row."""
    if not isinstance(row, Mapping) or "design" not in row:
        return row
    given = row["design"]
    where = f"row {row.get('name', '?')}"
    try:
        if isinstance(given, str):
            design = load_design(given, task)
        elif isinstance(given, Mapping):
            fields = dict(given)
            base = fields.pop("preset", None)
            fields = (load_design(str(base), task).to_dict() if base else {}) | fields
            design = Design.from_dict(at_depth(fields, task), "design")
        else:
            return row
    except UserError as error:
        raise UserError(f"{where}: {error}") from error
    return {**row, "design": design.fitted(task)}
