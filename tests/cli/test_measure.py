"""``bbnas measure`` and ``bbnas search --latency-from`` as a user runs them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bbnas import __version__
from bbnas.cli import main
from bbnas.device import read_device
from bbnas.engine.forecast import Forecast
from bbnas.engine.latency import program_of
from bbnas.native import choose_isa
from bbnas.runtime.command import main as run_there
from bbnas.store import open_study
from bbnas.tasks import get_task
from tests.cli.small import PROTOCOL

if not choose_isa():
    pytest.skip("there is no compiled engine here", allow_module_level=True)

SPACE = """
version: 1
description: a test
axes:
  binarize: [[body], [body, upsampling]]
  k_ratio: [1]
  width: [8, 16]
  depth: [2]
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("small.yaml").write_text(SPACE)
    Path("tiny.yaml").write_text(json.dumps(PROTOCOL | {"iterations": 4}))
    monkeypatch.setattr("bbnas.engine.latency.MOST_RUNS", 3)
    monkeypatch.setattr("bbnas.engine.latency.REFERENCE_RUNS", 4)
    return tmp_path


def test_a_search_forecasts_from_what_was_measured(home: Path, capsys) -> None:
    call = ["measure", "--space", "small.yaml", "--designs", "2", "--lq", "32x24", "--quiet"]
    assert main([*call, "--held-out", "2", "--title", "a board"]) == 0
    out = capsys.readouterr().out
    assert "wrote device.json" in out
    assert "1-bit multiply-accumulates in the time of one in fp32" in out
    found = read_device(home / "device.json")
    assert found.title == "a board"
    assert found.timing is not None
    assert len(found.timing.networks) == 2
    assert found.check is not None
    assert found.check.words in out
    for network in found.timing.networks:
        assert sum(network.operations) == pytest.approx(network.seconds)

    search = ["search", "--space", "small.yaml", "--protocol", "tiny.yaml", "--budget", "3"]
    search += ["--objectives", "psnr,latency", "--confirm", "0", "--no-benefit", "--workers", "1"]
    search += ["--json", "--quiet"]
    assert main([*search, "--latency-from", "device.json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["latency"]["engine"] == f"forecast {found.key}"
    assert told["latency"]["lq"] == [32, 24]
    timed = {network.design.key: network.seconds for network in found.timing.networks}
    candidates = open_study(
        told["study"], f"sqlite:///{home}/studies/{told['study']}.db"
    ).candidates
    assert len(candidates) == 3
    for candidate in candidates:
        own = candidate.evaluation
        assert own.latency == pytest.approx(timed.get(own.design.key, own.latency), rel=0.2)
        assert own.latency > 0
    # The same study cannot go on with latencies of this machine.
    assert main(search) == 2
    assert "latency" in capsys.readouterr().err


def test_a_machine_with_the_runtime_alone_is_measured(home: Path, capsys) -> None:
    call = ["measure", "--space", "small.yaml", "--designs", "2", "--lq", "32x24"]
    assert main([*call, "--pack", "models"]) == 0
    assert "bbnas-run --time $m --size 32x24" in capsys.readouterr().out
    models = sorted(Path("models").iterdir())
    lines = []
    for model in models:
        assert run_there(["--time", str(model), "--size", "32x24", "--runs", "2", "--json"]) == 0
        times = json.loads(capsys.readouterr().out)
        lines.append(json.dumps(times | {"version": __version__}))  # as the wheel has
    Path("times.json").write_text("\n".join(lines))
    assert main([*call, "--times", "times.json", "-o", "there.json"]) == 0
    found = read_device(home / "there.json")
    assert found.timing is not None
    assert {f"{network.design.key}.bbn" for network in found.timing.networks} == {
        model.name for model in models
    }
    for network in found.timing.networks:
        assert Forecast(found)(program_of(network.design, get_task("sr4"))) > 0

    capsys.readouterr()
    for content, words in (
        (lines[:1], "no times of"),
        ([lines[0], lines[1].replace(__version__, "9.9")], "in different ways"),
        ([line.replace(__version__, "9.9") for line in lines], "bbnas-runtime 9.9, and this is"),
        (["{}"], "not what bbnas-run --time --json prints"),
    ):
        Path("times.json").write_text("\n".join(content))
        assert main([*call, "--times", "times.json"]) == 2
        error = capsys.readouterr().err
        assert words in error
        assert error.count("\n") == 1


def test_bad_files_are_told_in_one_line(home: Path, capsys) -> None:
    search = ["search", "--space", "small.yaml", "--budget", "2"]
    timed = [*search, "--objectives", "psnr,latency", "--latency-from"]
    Path("empty.json").write_text("{}")
    Path("ratios.json").write_text('{"format": 1, "title": "t", "source": "s"}')
    for call, words in (
        ([*timed, "none.json"], "none.json: no such file"),
        ([*timed, "empty.json"], "not a device.json that this bbnas reads"),
        ([*timed, "ratios.json"], "no network was timed on it; measure it with bbnas measure"),
        ([*search, "--latency-from", "empty.json"], "nothing here asks for latency"),
        (["measure", "--designs", "1"], "--designs"),
        (["measure", "--space", "small.yaml", "--designs", "2", "--held-out", "9"], "9 further"),
    ):
        assert main(call) == 2
        error = capsys.readouterr().err
        assert words in error
        assert "Traceback" not in error
    assert not Path("studies").exists()
