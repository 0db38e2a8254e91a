"""The paper's tables, with computed costs and our scores beside the printed figures.

The source of a column says whose its figures are: ``paper`` are printed, ``computed`` are counted
now from the design of the row, ``ours`` are scores of trained checkpoints on that benchmark. The
column of a study holds PSNR under its own protocol on its own validation images.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING

from bbnas.analysis.benefit import benefit
from bbnas.design import Design
from bbnas.evaluation import Evaluation
from bbnas.paper.printed import TABLES, PrintedResult, PrintedRow, printed_rows, records
from bbnas.paper.scores import Scored, best_trained
from bbnas.presets import load_design
from bbnas.study import Study
from bbnas.tasks import Part, get_task

if TYPE_CHECKING:
    import pandas as pd

PAPER, COMPUTED, OURS = "paper", "computed", "ours"

# PSNR (dB) and SSIM of bicubic for a task and a benchmark, or None where its images are missing.
Bicubic = Callable[[str, str], tuple[float, float] | None]


# The rows of Table 6, each with the column of its file.
_PART_ROWS = {
    "OPs_f (M)": "ops_f_m",
    "OPs_b (M)": "ops_b_m",
    "Params_f (K)": "params_f_k",
    "Params_b (K)": "params_b_k",
    "PSNR_f (dB)": "psnr_f_set14_db",
    "PSNR_b (dB)": "psnr_b_set14_db",
    "VC (1e-6 dB per M OPs)": "vc_1e-6_db_per_mops",
    "VP (1e-3 dB per K Params)": "vp_1e-3_db_per_kparams",
}

_LIVE = (
    "ours: bicubic, computed now by the field's protocol (LR by MATLAB's antialiased bicubic, "
    "rounded to 8 bits; scored on Y, the scale's border cropped)"
)
_ROUNDED = (
    "computed from the paper's PSNR and the rounded costs above, and rounded to three digits and "
    "then to two (11.9048 to 11.905 to 11.91), which gives the printed figures; from unrounded "
    "costs, VC and VP are: {unrounded}"
)
_SRRESNET_X4 = "the paper prints {printed_ops}; the network's convolutions give {ops}"
_BAM = (
    "the published accumulation could not be verified; ours compares, multiplies and accumulates "
    "once for each element and earlier layer, with a scale and a threshold for each layer, which "
    "gives the printed costs"
)
_BICUBIC = (
    "the paper's bicubic row does not follow the field's protocol, which gives 33.66/0.9299 for "
    "×2 and 28.42/0.8104 for ×4 on Set5"
)
_CLASSIC5 = (
    "on Classic5 only, the paper prints the full-precision network below its own -Lite; the "
    "figure is that of the DnCNN-3 paper, so these rows were probably not scored in the same way"
)
_CONV_HR_PARAMS = (
    "the paper prints 294.91 and 9.22, which leaves out conv_hr, though the printed OPs contain "
    "it; with its 36,864 weights they are 331.78 and 10.37"
)
_CONV_HR_VP = "the paper prints 0.04, from Params without conv_hr; with it VP is 0.03"

# Notes on the printed figures, by table and row, then by the column of the mark; "costs" marks a
# computed figure that differs from the printed one.
_KNOWN: dict[tuple[str, str], dict[str, tuple[str, ...]]] = {
    ("table1", "SRResNet"): {"costs": (_SRRESNET_X4,)},
    ("table1", "BAM"): {"label": (_BAM,)},
    ("table1", "Bicubic"): {"label": (_BICUBIC,)},
    ("table3", "DnCNN-3"): {"Classic5": (_CLASSIC5,)},
    ("table6", "upsampling"): {
        "params_f_k": (_CONV_HR_PARAMS,),
        "params_b_k": (_CONV_HR_PARAMS,),
        "vp_1e-3_db_per_kparams": (_CONV_HR_VP,),
    },
}


@dataclass(frozen=True)
class Column:
    """``group`` is the benchmark or part, ``figure`` the quantity, ``source`` whose it is."""

    group: str
    figure: str
    source: str = ""
    notes: tuple[int, ...] = ()

    @property
    def title(self) -> str:
        name = " ".join(word for word in (self.group, self.figure) if word)
        return f"{name} ({self.source})" if self.source else name


@dataclass(frozen=True)
class Cell:
    """A figure as text, and as an unrounded value in the same unit, if there is one.

    ``notes`` are numbers of the table's notes, from 1.
    """

    text: str = ""
    value: float | None = None
    notes: tuple[int, ...] = ()


@dataclass(frozen=True)
class PaperTable:
    """A table of texts: every row has a cell for every column."""

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...]

    def frame(self) -> pd.DataFrame:
        """The texts without the marks of notes; the last column holds the notes of the row."""
        import pandas as pd

        content = [
            [*(cell.text for cell in row), " | ".join(self.notes[n - 1] for n in self.marks(row))]
            for row in self.rows
        ]
        return pd.DataFrame(content, columns=[*(c.title for c in self.columns), "notes"])

    def marks(self, row: Sequence[Cell]) -> list[int]:
        """The notes of a row: those of its cells, and of the columns in which it has a figure."""
        marks = {n for cell in row for n in cell.notes}
        for column, cell in zip(self.columns, row, strict=True):
            marks.update(column.notes if cell.text else ())
        return sorted(marks)


def paper_table(
    name: str,
    scores: Sequence[Scored] = (),
    studies: Sequence[Study] = (),
    bicubic: Bicubic | None = None,
) -> PaperTable:
    """A table of the paper by name, ``table1`` to ``table6``.

    ``scores`` of checkpoints fill the rows of their design and task, each of ``studies`` adds a
    column, and ``bicubic`` scores that baseline now.

    Raises:
        UserError: the paper has no such table.
    """
    rows = records(name)  # an unknown name fails before anything is counted
    builder = _Builder(scores, studies, bicubic)
    if name == "table6":
        return builder.parts(name, rows)
    return builder.methods(name, printed_rows(name))


class _Builder:
    """Makes cells, and collects their notes in the order of the marks."""

    def __init__(
        self, scores: Sequence[Scored], studies: Sequence[Study], bicubic: Bicubic | None
    ) -> None:
        self.scores, self.studies, self.bicubic = scores, studies, bicubic
        self.notes: list[str] = []
        self.evaluations = [_by_design(study) for study in studies]

    def mark(self, *texts: str) -> tuple[int, ...]:
        for text in texts:
            if text not in self.notes:
                self.notes.append(text)
        return tuple(self.notes.index(text) + 1 for text in texts)

    def methods(self, name: str, rows: Sequence[PrintedRow]) -> PaperTable:
        """Tables 1 to 5: a row for each method and scale, columns by benchmark."""
        with_ops, with_params = (any(getattr(r, f) for r in rows) for f in ("ops", "params"))
        with_ssim = any(result.ssim for row in rows for result in row.results)
        by_scale = name == "table1"
        columns = [Column("", "Position" if name == "table5" else "Method")]
        columns += [Column("", "Scale")] if by_scale else []
        for figure, wanted in (("OPs (G)", with_ops), ("Params (K)", with_params)):
            columns += [Column("", figure, source) for source in (PAPER, COMPUTED) if wanted]
        figures = ("PSNR", "SSIM") if with_ssim else ("PSNR",)
        for result in rows[0].results:
            columns += [
                Column(_group(result), figure, source)
                for source in (PAPER, OURS)
                for figure in figures
            ]
        columns += [self._study_column(study) for study in self.studies]
        lines = []
        for row in rows:
            known = _KNOWN.get((name, row.label), {})
            task = get_task(row.task)
            design = None if row.preset is None else load_design(row.preset, task)
            line = [Cell(row.label, notes=self.mark(*known.get("label", ())))]
            line += [Cell(f"×{task.scale}")] if by_scale else []
            if with_ops:
                line += self._costs(row, design, known, with_params)
            for result in row.results:
                notes = self.mark(*known.get(result.dataset, ()))
                line += [
                    _printed_cell(getattr(result, figure.lower()), notes) for figure in figures
                ]
                line += self._ours(design, result)[: len(figures)]
            line += [self._evaluated(i, design, row) for i in range(len(self.studies))]
            lines.append(line)
        return self._table(name, columns, lines)

    def _costs(
        self,
        row: PrintedRow,
        design: Design | None,
        known: Mapping[str, tuple[str, ...]],
        with_params: bool,
    ) -> list[Cell]:
        if design is None:
            return [Cell()] * (4 if with_params else 2)
        from bbnas.cost import count, printed

        cost = count(design, get_task(row.task))
        ops, params = printed(cost.ops, 1e9), _whole(cost.params / 1e3)
        told = {"printed_ops": row.ops, "ops": ops, "printed_params": row.params}
        told["params"] = printed(cost.params, 1e3)
        odd = [text.format(**told) for text in known.get("costs", ())]
        notes = self.mark(*odd) if Decimal(ops) != Decimal(row.ops) else ()
        cells = [_printed_cell(row.ops), Cell(ops, cost.ops / 1e9, notes)]
        if with_params:
            notes = self.mark(*odd) if params != row.params else ()
            cells += [_printed_cell(row.params), Cell(params, cost.params / 1e3, notes)]
        return cells

    def _ours(self, design: Design | None, result: PrintedResult) -> tuple[Cell, Cell]:
        """Our PSNR and SSIM of a design on a benchmark."""
        if design is None:
            live = self.bicubic(result.task, result.dataset) if self.bicubic else None
            if live is None:
                return Cell(), Cell()
            return _scores(*live, self.mark(_LIVE))
        trained = best_trained(self.scores, design, result.task, result.dataset)
        if trained is None:
            return Cell(), Cell()
        score = trained.benchmarks[result.dataset]
        return _scores(score.psnr, score.ssim, self.mark(*_origin(trained, result.dataset)))

    def _study_column(self, study: Study, group: str = "") -> Column:
        config = study.config
        note = (
            f"study {config.name} ({config.task}): PSNR under protocol {config.protocol.name!r} "
            f"({config.protocol.key}) on its own validation images, not a benchmark; "
            f"{config.data_description} (data {config.data})"
        )
        source = (
            f"{config.name}: {config.task}, protocol {config.protocol.name}, validation images"
        )
        return Column(group, "PSNR", source, self.mark(note))

    def _evaluated(self, study: int, design: Design | None, row: PrintedRow) -> Cell:
        if design is None:
            return Cell()
        task = self.studies[study].config.task
        if task not in {result.task for result in row.results}:
            return Cell()
        known = self.evaluations[study].get(design.key)
        return Cell() if known is None else Cell(f"{known.psnr:.2f}", known.psnr)

    def parts(self, name: str, rows: Sequence[Mapping[str, str]]) -> PaperTable:
        """Table 6: a column for each part, as in the paper."""
        from bbnas.cost import count, printed

        task = get_task("sr4")
        full = load_design("srresnet", task)
        full_costs = count(full, task).parts
        lines = [Cell(label) for label in _PART_ROWS]
        columns, by_column = [Column("", "Figure")], [lines]
        unrounded = []
        for row in rows:
            part = row["part"]
            single = _single(Part(part))
            f, b = full_costs[part], count(single, task).parts[part]
            counts = (f.ops, b.ops, f.params, b.params)
            psnr = float(row["psnr_f_set14_db"]), float(row["psnr_b_set14_db"])
            exact = benefit(*psnr, *counts)
            unrounded.append(f"{part} {exact.vc:.2f} and {exact.vp:.2f}")
            # VC and VP from printed costs, since the paper computes them from what it prints.
            units = (1e6, 1e6, 1e3, 1e3)
            texts = [printed(n, u) for n, u in zip(counts, units, strict=True)]
            ops_f, ops_b, params_f, params_b = map(float, texts)
            rounded = benefit(*psnr, ops_f * 1e6, ops_b * 1e6, params_f * 1e3, params_b * 1e3)
            computed = [Cell(t, n / u) for t, n, u in zip(texts, counts, units, strict=True)]
            computed += [Cell(), Cell(), *(Cell(printed(v, 1), v) for v in rounded)]
            known = _KNOWN.get((name, part), {})
            columns += [Column(part, "", PAPER), Column(part, "", COMPUTED)]
            by_column.append([_printed_cell(row[key]) for key in _PART_ROWS.values()])
            by_column.append(
                [
                    replace(cell, notes=self.mark(*known.get(key, ())))
                    for cell, key in zip(computed, _PART_ROWS.values(), strict=True)
                ]
            )
            for column, cells in self._part_ours(part, full, single, counts):
                columns.append(column)
                by_column.append(cells)
        note = self.mark(_ROUNDED.format(unrounded=", ".join(unrounded)))
        lines[-2:] = [replace(cell, notes=note) for cell in lines[-2:]]
        return self._table(name, columns, list(zip(*by_column, strict=True)))

    def _part_ours(
        self, part: str, full: Design, binary: Design, counts: tuple[float, ...]
    ) -> list[tuple[Column, list[Cell]]]:
        """Our columns of a part: checkpoints on Set14, then each study on its own images."""
        trained = [best_trained(self.scores, d, "sr4", "Set14") for d in (full, binary)]
        pairs = [
            (
                Column(part, "", f"{OURS}, Set14"),
                [None if s is None else s.benchmarks["Set14"].psnr for s in trained],
                [() if s is None else self.mark(*_origin(s, "Set14")) for s in trained],
            )
        ]
        for study, known in zip(self.studies, self.evaluations, strict=True):
            column = self._study_column(study, part)
            values = [
                known[d.key].psnr if study.config.task == "sr4" and d.key in known else None
                for d in (full, binary)
            ]
            pairs.append((replace(column, figure=""), values, [(), ()]))
        filled = []
        for column, (psnr_f, psnr_b), (notes_f, notes_b) in pairs:
            cells = [Cell()] * 4 + [_psnr_cell(psnr_f, notes_f), _psnr_cell(psnr_b, notes_b)]
            if psnr_f is None or psnr_b is None:
                cells += [Cell(), Cell()]
            else:
                cells += [Cell(f"{v:.2f}", v) for v in benefit(psnr_f, psnr_b, *counts)]
            filled.append((column, cells))
        return filled

    def _table(
        self, name: str, columns: Sequence[Column], rows: Sequence[Sequence[Cell]]
    ) -> PaperTable:
        """The table without the empty columns of ours, its notes numbered in reading order."""
        shown = [
            i
            for i, column in enumerate(columns)
            if column.source in ("", PAPER, COMPUTED) or any(row[i].text for row in rows)
        ]
        met = [*(columns[i].notes for i in shown), *(row[i].notes for row in rows for i in shown)]
        order = dict.fromkeys(n for notes in met for n in notes)
        number = {old: new for new, old in enumerate(order, 1)}

        def renumbered(notes: tuple[int, ...]) -> tuple[int, ...]:
            return tuple(number[n] for n in notes)

        return PaperTable(
            name=name,
            title=f"{TABLES[name].title}, the paper's figures and ours",
            columns=tuple(replace(columns[i], notes=renumbered(columns[i].notes)) for i in shown),
            rows=tuple(
                tuple(replace(row[i], notes=renumbered(row[i].notes)) for i in shown)
                for row in rows
            ),
            notes=tuple(self.notes[old - 1] for old in number),
        )


def _by_design(study: Study) -> dict[str, Evaluation]:
    evaluations = [*(c.evaluation for c in study.candidates), *study.references]
    return {e.design.key: e for e in reversed(evaluations) if e.feasible}


def _single(part: Part) -> Design:
    """SRResNet with one part of BBCU units and the rest in full precision."""
    return load_design("bbcu").replace(binarize=(part,)).canonical()


def _group(result: PrintedResult) -> str:
    task = get_task(result.task)
    level = {"noise": f" σ={task.level}", "jpeg": f" q={task.level}"}.get(task.degradation, "")
    return result.dataset + level


def _printed_cell(text: str, notes: tuple[int, ...] = ()) -> Cell:
    return Cell(text, float(text), notes) if text else Cell()


def _psnr_cell(value: float | None, notes: tuple[int, ...]) -> Cell:
    if value is None or not math.isfinite(value):
        return Cell()
    return Cell(f"{value:.2f}", value, notes)


def _scores(psnr: float | None, ssim: float, notes: tuple[int, ...]) -> tuple[Cell, Cell]:
    return (
        Cell("∞" if psnr is None else f"{psnr:.2f}", psnr, notes),
        Cell(f"{ssim:.4f}", ssim, notes),
    )


def _origin(scored: Scored, dataset: str) -> list[str]:
    """The notes on a score: its origin, and whether the benchmark was incomplete."""
    from bbnas.data.sets import known_set

    known, images = known_set(dataset), scored.benchmarks[dataset].images
    partial = known is not None and images != len(known.images)
    text = f"on {images} images called {dataset}, which has {len(known.images) if known else 0}"
    return [scored.words(), *([text] if partial else [])]


def _whole(value: float) -> str:
    return str(Decimal(value).quantize(Decimal(1), ROUND_HALF_UP))
