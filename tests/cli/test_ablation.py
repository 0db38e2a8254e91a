"""bbnas ablation: run, list, show; bad input is one line."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from bbnas.cli import main
from bbnas.resources import builtin

Run = Callable[..., tuple[int, str, str]]

STUDY = {
    "version": 1,
    "title": "Small",
    "question": "Which unit?",
    "task": "sr4",
    "protocol": {
        "width_scale": 0.1,
        "depth_scale": 0.1,
        "iterations": 3,
        "batch": 2,
        "patch": 16,
        "learning_rate": 2e-3,
        "validation_side": 48,
    },
    "seeds": 2,
    "reference": "V1",
    "paper": {"table": "table4", "datasets": ["Urban100"]},
    "rows": [
        {"name": "V1", "design": "bbcu-v1", "paper": "BBCU-V1"},
        {"name": "V4", "design": "bbcu-v4", "paper": "BBCU-V4"},
    ],
    "claims": [{"kind": "above", "of": "V4", "than": ["V1"]}],
}


@pytest.fixture
def run(capsys, tmp_path, monkeypatch) -> Run:  # type: ignore[no-untyped-def]
    monkeypatch.chdir(tmp_path)
    Path("small.yaml").write_text(yaml.safe_dump(STUDY))

    def command(*args: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(["ablation", *args])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return command


def test_an_ablation_is_run_once_and_reported(run: Run) -> None:
    code, out, err = run("run", "small.yaml", "--workers", "1")
    assert code == 0
    assert err.splitlines()[-1].split()[0] == "4/4"  # lines come every few seconds, and at the end
    assert "V4 above V1" in out
    assert "+0.27 dB" in out  # Table 4: 25.62 and 25.35 dB on Urban100
    assert Path("reports/small.html").exists()
    assert "V4 above V1" in Path("reports/small.md").read_text()
    assert Path("runs/ablations.db").exists()

    code, out, err = run("run", "small.yaml", "--workers", "1", "--json")
    found = json.loads(out)
    assert (code, err) == (0, "")  # nothing is trained again
    assert len(found["rows"][0]["psnr"]) == 2
    assert found["claims"][0]["verdict"] in ("the same order", "not distinguishable", "contrary")
    assert found["html"] == "reports/small.html"
    assert found["circumstances"]["Versions and hardware"]["cpu"]

    code, out, _ = run("show", "small.yaml", "--json")
    known = json.loads(out)
    assert (code, known["complete"]) == (0, True)
    assert known["psnr"]["V4"] == found["rows"][1]["psnr"]
    # A larger one trains what is missing.
    Path("small.yaml").write_text(yaml.safe_dump(STUDY | {"seeds": 3}))
    assert "seed 2 (dB)" in run("show", "small.yaml")[1]
    assert run("run", "small.yaml", "--workers", "1")[2].startswith("6/6")


def test_a_row_with_a_protocol_of_its_own_is_shown_with_it(run: Run) -> None:
    row = {"name": "average", "design": "bbcu-v4", "protocol": {"ema": 0.5}}
    changes = {"rows": [*STUDY["rows"], row], "seeds": 1}  # type: ignore[misc]
    Path("small.yaml").write_text(yaml.safe_dump(STUDY | changes))
    assert "ema=0.5" in run("show", "small.yaml")[1]
    code, out, _ = run("run", "small.yaml", "--workers", "1")
    assert (code, "ema=0.5" in out) == (0, True)
    psnr = json.loads(run("show", "small.yaml", "--json")[1])["psnr"]
    assert psnr["average"] != psnr["V4"]


def test_the_built_in_ablations_are_listed_before_any_was_run(run: Run) -> None:
    code, out, _ = run("list", "--json")
    listed = {row["name"]: row for row in json.loads(out)["ablations"]}
    assert code == 0
    assert set(listed) == set(builtin("ablations"))
    assert (listed["table4_units"]["trainings"], listed["table4_units"]["done"]) == (20, 0)
    assert not Path("studies").exists()
    code, out, _ = run("show", "table5_breakpoint")
    assert code == 0
    assert "residual 10 removed" in out


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("run", "table4"), "table4_units"),
        (("run", "missing.yaml"), "cannot be read"),
        (("run", "small.yaml", "--protocol", "fast"), "'fast'"),
        (("run", "small.yaml", "--device", "cuda:77"), "cuda"),
        (("run", "small.yaml", "--data", "nowhere"), "nowhere"),
        (("run", "small.yaml", "--storage", "nothing://x"), "nothing"),
        (("show", "small.yaml", "--storage", "sqlite:///none.db"), "none.db"),
        (("run",), "NAME"),
    ],
)
def test_bad_input_is_one_line(run: Run, args: tuple[str, ...], says: str) -> None:
    code, out, err = run(*args)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert says in err


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys; from bbnas.cli import main; main(['ablation', 'run', '--help']); "
        "print(sorted({'torch', 'pandas', 'plotly', 'scipy', 'ray'} & set(sys.modules)))"
    )
    out = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert out.stdout.splitlines()[-1] == "[]"
