"""``bbnas rivals`` as a user runs it: real trainings of a few iterations, real runtimes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bbnas.cli import main
from tests.cli.small import Run

pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (bbnas[bench])")

SMALL = "bbcu.yaml"
CALL = (
    f"rivals --design {SMALL} --size 4x2 --lq 32x24 --rounds 3 --seeds 2 "
    "--workers 1 --quiet --protocol true-width,iterations=4,batch=1,patch=24,validation_side=48"
).split()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / SMALL).write_text(
        "binarize: [body, upsampling]\nwidth: 8\ndepth: 2\nk_ratio: 1.0\n"
    )
    return tmp_path


def test_rivals_are_trained_timed_and_compared(folder: Path, capsys) -> None:
    assert main([*CALL, "--json"]) == 0
    out = json.loads(capsys.readouterr().out)
    entrants = out["rivals"]["entrants"]
    kinds = {(e["design"]["width"], e["precision"]) for e in entrants}
    assert {(8, "1-bit"), (4, "fp32"), (4, "int8")} <= kinds
    assert all(e["seconds"] > 0 and e["bytes"] > 0 for e in entrants)
    assert out["rivals"]["unit_seconds"]["1-bit"] > 0
    (one,) = out["worth"]
    assert one["design"]["design"]["width"] == 8
    page = Path(out["page"]).read_text()
    assert "Is one bit worth it?" in page
    assert "plot-worth" in page
    # Again, with another rival: the design is not trained anew.
    trained = {path: path.stat().st_mtime_ns for path in Path("runs").rglob("last.safetensors")}
    assert len(trained) == 2 * 2
    assert out["rivals"]["noise"] > 0
    assert all(len(e["runs"]) == 2 for e in entrants)
    assert main([option.replace("4x2", "5x2") for option in CALL]) == 0
    printed = capsys.readouterr().out
    assert "1-bit MACs in the time of one" in printed
    assert "1-bit weights in the space of one" in printed
    assert "5×2, int8" in Path(out["page"]).read_text()
    assert {path: path.stat().st_mtime_ns for path in trained} == trained
    assert len(list(Path("runs").rglob("last.safetensors"))) == 3 * 2


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--size", "12"], "--size 12: must be WIDTHxDEPTH, such as 12x32"),
        (["--size", "0x4"], "--size 0x4"),
        (["--design", "srresnet"], "is not 1-bit"),
        (["--threads", "999"], "999 threads: this process may use"),
        (["nothing-here"], "nothing-here"),
    ],
)
def test_bad_input_is_one_line(folder: Path, capsys, more: list[str], words: str) -> None:
    assert main(["rivals", *more]) == 2
    error = capsys.readouterr().err.strip()
    assert words in error
    assert len(error.splitlines()) == 1


def test_a_studys_designs_and_its_report(at_home: Run, home: Path) -> None:
    (name,) = (path.stem for path in (home / "studies").glob("*.db"))
    options = [option for option in CALL[1:] if option not in ("--design", SMALL, "--quiet")]
    code, out, error = at_home("rivals", name, *options)
    assert code == 0, error
    assert "1-bit" in out
    assert f"wrote reports/rivals-{name}.html and runs/rivals/{name}.json" in out
    code, out, error = at_home("report", name, "--repeats", "0", "--no-pictures")
    assert code == 0, error
    page = (home / "reports" / f"{name}.html").read_text()
    assert "at the " in page.lower()
    assert 'id="plot-worth"' in page
