"""``bbnas fidelity`` as a user runs it: real trainings of a few iterations."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from bbnas.cli import main
from bbnas.environment import cpu
from bbnas.fidelity import of_content

TINY = "proxy,iterations=3,batch=1,patch=16,depth_scale=0.1,validation_side=48"
SHORTER = TINY.replace("iterations=3", "iterations=2")


def test_two_protocols_against_one_truth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    command = (
        f"fidelity --protocol {TINY} --protocol {SHORTER} --long-factor 4 --designs 5 "
        "--seeds 2 --workers 1"
    ).split()
    monkeypatch.setattr(sys, "argv", ["bbnas", *command])
    assert main([*command, "-o", "found/table.md"]) == 0
    out, err = capsys.readouterr()
    assert "Kendall τ" in out
    assert "iterations=2" in out
    assert "wrote found/table.md" in out
    assert "18/18" in err  # 3 protocols, 5 designs and a second seed of one
    assert "left" in err
    page = Path("found/table.md").read_text(encoding="utf-8")
    lines = [line for line in page.splitlines() if line.startswith("|")]
    heads, meanings, versions = 2, 2 + 4, 2 + 10
    assert len(lines) == heads + 2 + 2 + meanings + versions
    assert f"```sh\nbbnas {' '.join(command[:2])}" in page
    assert cpu() in out
    assert cpu() in page
    assert "torch" in page
    assert "no training" in page
    assert main([*command, "--json"]) == 0
    out, err = capsys.readouterr()
    assert err == ""  # all is known
    found = json.loads(out)
    assert {"kendall_tau", "kendall_tau_interval", "spearman_rho", "baselines"} <= found.keys()
    assert found["designs"] == 5
    assert found["command"] == f"bbnas {' '.join(command)}"
    shown = of_content(found)
    assert [each.protocol.iterations for each in shown] == [3, 2]
    assert shown[0].environment["cpu"] == cpu()
    assert shown[0].measured >= "2026"
    assert found["protocol"]["iterations"] == 3
    assert [other["protocol"]["iterations"] for other in found["others"]] == [2]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--protocol", "proxy,iteration=3"], "did you mean 'iterations'"),
        (["--long-factor", "1"], "long factor 1: must be above"),
        (["--long", "longer"], "unknown protocol"),
    ],
)
def test_bad_arguments_are_one_line(
    arguments: list[str],
    error: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["fidelity", *arguments]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert error in err
    assert err.count("\n") == 1
