from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bbnas.cli import main
from bbnas.paper import TABLES, paper_table, shipped_scores
from bbnas.presets import load_design
from bbnas.protocol import PROTOCOLS
from bbnas.reporting.paper import FORMATS
from bbnas.store import Store
from bbnas.store.studies import enter
from bbnas.tasks import get_task

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys, tmp_path, monkeypatch) -> Run:
    """The command in an empty folder: exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BBNAS_DATA", raising=False)

    def command(*args: str) -> tuple[int, str, str]:
        code = main(args)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return command


def scored(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "best.scores.json").write_text(
        json.dumps(
            {
                "format": 1,
                "checkpoint": "best.safetensors",
                "design": load_design("bbcu-m", get_task("sr4")).to_dict(),
                "task": "sr4",
                "protocol": PROTOCOLS["paper"].model_dump(mode="json"),
                "iteration": 4,
                "data": "0123456789abcdef",
                "benchmarks": {"Set5": {"psnr": 27.18, "ssim": 0.7804, "images": 5}},
            }
        )
    )


@pytest.mark.parametrize("table", TABLES)
def test_a_table_is_printed_with_its_notes(run, table):
    code, out, err = run("paper", table)
    assert (code, err) == (0, "")
    assert out.startswith(f"Table {table[-1]}")
    built = paper_table(table, shipped_scores())
    for number, note in enumerate(built.notes, 1):
        assert f"[{number}] {note}" in out
    lines = [line.replace("/", " ").split() for line in out.splitlines()]
    for row in built.rows:
        figures = [cell.text for cell in row if cell.value is not None]
        label = " ".join(
            cell.text + "".join(f" [{note}]" for note in cell.notes)
            for cell, column in zip(row, built.columns, strict=True)
            if not column.source
        ).split()
        # Columns that do not fit 120 characters follow in a second table with the same labels.
        shown = [line[len(label) :] for line in lines if line[: len(label)] == label]
        assert [word for line in shown for word in line if word in figures] == figures


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_is_printed_or_written(run, form):
    expected = FORMATS[form](paper_table("table4"))
    option = ("--json",) if form == "json" else ("--format", form)
    assert run("paper", "table4", *option) == (0, expected, "")
    file = Path("out", "table")
    assert run("paper", "table4", *option, "-o", str(file)) == (0, f"wrote {file}\n", "")
    assert file.read_text(encoding="utf-8") == expected


def test_the_suffix_of_a_file_says_its_format(run):
    for suffix, form in {".csv": "csv", ".html": "html", ".md": "markdown"}.items():
        assert run("paper", "table5", "-o", f"t{suffix}")[0] == 0
        assert Path(f"t{suffix}").read_text(encoding="utf-8") == FORMATS[form](
            paper_table("table5")
        )


def test_scores_below_runs_are_found_and_damaged_ones_are_told(run):
    scored(Path("runs/mine"))
    Path("runs/other.scores.json").write_text("{}")
    code, out, err = run("paper", "table1")
    assert code == 0
    assert "27.18/0.7804 [" in out
    assert f"{Path('runs/mine/best.safetensors')}, trained by protocol 'paper'" in out
    assert err.startswith("skipped: runs/other.scores.json: format None")
    Path("runs").rename("elsewhere")
    assert "27.18" not in run("paper", "table1")[1]
    assert "27.18" in run("paper", "table1", "--runs", "elsewhere")[1]


def test_a_study_is_laid_beside(run, synthetic_study):
    study = synthetic_study(3, diverged=0)
    store = Store("sqlite:///mine.db", create=True)
    enter(store, study.config)
    for evaluation in study.references:
        store.refer(study.config.name, evaluation)
    code, out, err = run("paper", "table6", "--study", "mine.db", "--format", "csv")
    assert (code, err) == (0, "")
    rows = list(csv.DictReader(io.StringIO(out)))
    full = next(e for e in study.references if not e.design.binarize)
    (column,) = [name for name in rows[0] if name.startswith("tail (first: sr4, protocol proxy")]
    assert rows[4][column] == f"{full.psnr:.2f}"
    code, _, err = run("paper", "table2", "--study", "mine.db")
    assert (code, err.count("\n")) == (0, 1)
    assert "first" in err
    assert "table2" in err


def test_bicubic_is_scored_on_the_sets_that_are_there(run):
    rng = np.random.default_rng(0)
    folder = Path("data/Set5")
    folder.mkdir(parents=True)
    for i in range(2):
        pixels = rng.integers(0, 255, (48, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    code, out, _ = run("paper", "table1", "--live", "--data-root", "data", "--json")
    assert code == 0
    rows = json.loads(out)["rows"]
    ours = {(row["Method"], row["Scale"]) for row in rows if row["Set5 PSNR (ours)"]}
    assert ours - {("BBCU-M", "×2"), ("BBCU-M", "×4")} == {("Bicubic", "×2"), ("Bicubic", "×4")}
    assert {row["Method"] for row in rows if row["Set14 PSNR (ours)"]} == {"BBCU-M"}


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("table7",), "unknown table 'table7': choose from table1"),
        (("table1", "--runs", "nowhere"), "nowhere: no such folder"),
        (("table1", "-o", "table.txt"), "-o table.txt: "),
        (("table2", "--live"), "--live scores bicubic, which table2 has no row for"),
        (("table1", "--study", "none.db"), "none.db: no such study database"),
    ],
)
def test_bad_input_is_one_line(run, args, message):
    code, out, err = run("paper", *args)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert message in err


def test_help_imports_nothing_heavy():
    code = (
        "from bbnas.cli import main; main(['paper', '--help']); import sys; "
        "print('HEAVY', *[m for m in ('torch', 'pandas', 'sqlalchemy') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "HEAVY"
