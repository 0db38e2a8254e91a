"""The figures that the paper prints (BBCU, ICLR 2023), from the CSV files beside this module.

Figures stay texts, as printed, so that a computed figure can be compared to the digit.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

from bbnas.errors import unknown
from bbnas.tasks import Task

_HERE = Path(__file__).parent


class TableFile(NamedTuple):
    """The file of a table's figures, and the table's title."""

    file: str
    title: str


TABLES: dict[str, TableFile] = {
    "table1": TableFile("table1_sr.csv", "Table 1: super-resolution"),
    "table2": TableFile("table2_denoise.csv", "Table 2: denoising"),
    "table3": TableFile("table3_jpeg.csv", "Table 3: JPEG artifact reduction"),
    "table4": TableFile("table4_units.csv", "Table 4: four units of BBCU, ×4"),
    "table5": TableFile("table5_breakpoint.csv", "Table 5: residual broken at one position, ×4"),
    "table6": TableFile("table6_parts.csv", "Table 6: benefit of binarizing each part, ×4"),
}

# The preset of each row label in the paper; a label that is missing here is no network (Bicubic).
PRESET_OF: dict[str, str] = {
    "SRResNet": "srresnet",
    "SRResNet-Lite": "srresnet-lite",
    "DnCNN": "dncnn",
    "DnCNN-Lite": "dncnn-lite",
    "DnCNN-3": "dncnn3",
    "DnCNN-3-Lite": "dncnn3-lite",
    "BNN": "bnn",
    "Bi-Real": "bireal",
    "BAM": "bam",
    "IRNet": "irnet",
    "BTM": "btm",
    "ReActNet": "reactnet",
    "BBCU": "bbcu",
    "BBCU-L": "bbcu-l",
    "BBCU-M": "bbcu-m",
    "BBCU-V1": "bbcu-v1",
    "BBCU-V2": "bbcu-v2",
    "BBCU-V3": "bbcu-v3",
    "BBCU-V4": "bbcu-v4",
    "none": "bbcu-l",  # Table 5: no residual connection removed
}


class PrintedResult(NamedTuple):
    """Printed PSNR (dB) and SSIM on one benchmark; empty where the paper has none."""

    dataset: str
    task: str
    psnr: str
    ssim: str


@dataclass(frozen=True)
class PrintedRow:
    """A row of Tables 1 to 5 with printed OPs (G) and Params (K), empty where there are none.

    ``task`` is that of the first result; the other results differ from it in level only, at the
    same cost.
    """

    label: str
    ops: str
    params: str
    results: tuple[PrintedResult, ...]

    @property
    def task(self) -> str:
        return self.results[0].task

    @property
    def preset(self) -> str | None:
        """The preset of this row, or None for a row without a network (Bicubic)."""
        return PRESET_OF.get(self.label)


def records(table: str) -> list[dict[str, str]]:
    """The lines of a table's CSV file, by column.

    Raises:
        UserError: the paper has no such table.
    """
    if table not in TABLES:
        raise unknown("table", table, TABLES)
    with (_HERE / TABLES[table].file).open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


@cache
def printed_rows(table: str) -> tuple[PrintedRow, ...]:
    """The rows of one of Tables 1 to 5, in the paper's order.

    Raises:
        UserError: no such table.
    """
    groups: dict[tuple[str, str], list[dict[str, str]]] = {}
    for record in records(table):
        label = record.get("method") or record.get("unit") or record["position"]
        groups.setdefault((record.get("scale", ""), label), []).append(record)
    return tuple(
        PrintedRow(
            label=label,
            ops=lines[0].get("ops_g", ""),
            params=lines[0].get("params_k", ""),
            results=tuple(_result(line) for line in lines),
        )
        for (_, label), lines in groups.items()
    )


def _result(record: dict[str, str]) -> PrintedResult:
    if "psnr_urban100_db" in record:
        return PrintedResult("Urban100", "sr4", record["psnr_urban100_db"], "")
    if "sigma" in record:
        task = f"denoise{record['sigma']}"
    elif "quality" in record:
        task = f"jpeg{record['quality']}"
    else:
        task = f"sr{record.get('scale', 4)}"
    return PrintedResult(record["dataset"], task, record["psnr_db"], record.get("ssim", ""))


def printed_psnr(table: str, task: str) -> dict[str, dict[str, float]]:
    """The printed PSNR (dB) of a table for ``task``, by row label and benchmark.

    The rows of Table 6 are its parts, and ``none`` for full precision.

    Raises:
        UserError: the paper has no such table.
    """
    if table == "table6":
        lines = records(table)
        parts = {line["part"]: {"Set14": float(line["psnr_b_set14_db"])} for line in lines}
        full = {"none": {"Set14": float(lines[0]["psnr_f_set14_db"])}}
        return full | parts if task == "sr4" else {}
    psnr = {
        row: {r.dataset: float(r.psnr) for r in row.results if r.task == task and r.psnr}
        for row in printed_rows(table)
    }
    return {row.label: sets for row, sets in psnr.items() if sets}


@dataclass(frozen=True)
class Published:
    """A published super-resolution design, trained in full: plain counts, and PSNR (dB) on Set5.

    ``gain`` is its PSNR above the bicubic row of the same table. A study's PSNR is measured on
    other images, so only gains over bicubic interpolation can be shown together.
    """

    method: str
    ops: float
    params: float
    psnr: float
    gain: float


def published(task: str) -> list[Published]:
    """The designs of Table 1 for ``task``.

    Empty for tasks without a printed bicubic row: denoising, deblocking and ×3.
    """
    on_set5 = {
        row: float(result.psnr)
        for row in printed_rows("table1")
        for result in row.results
        if (result.dataset, result.task) == ("Set5", task)
    }
    bicubic = [psnr for row, psnr in on_set5.items() if row.label == "Bicubic"]
    return [
        Published(row.label, float(row.ops) * 1e9, float(row.params) * 1e3, psnr, psnr - low)
        for low in bicubic
        for row, psnr in on_set5.items()
        if row.ops
    ]


class Beside(NamedTuple):
    """Our PSNR (dB) on a benchmark set, and that of the paper's row, or None."""

    images: str
    psnr: float
    row: str
    printed: float | None

    @property
    def gap(self) -> float | None:
        return None if self.printed is None else self.psnr - self.printed


def beside_printed(task: Task, psnr: Mapping[str, float]) -> list[Beside]:
    """PSNR by benchmark set beside the paper's binary network for ``task``.

    It is BBCU-M in super-resolution, and BBCU in denoising and deblocking.
    """
    table = {"bicubic": "table1", "noise": "table2", "jpeg": "table3"}[task.degradation]
    rows = printed_psnr(table, task.name)
    row = "BBCU-M" if "BBCU-M" in rows else "BBCU"
    return [Beside(s, value, row, rows.get(row, {}).get(s)) for s, value in psnr.items()]
