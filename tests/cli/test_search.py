from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import yaml

from tests.cli.small import PROTOCOL, SEARCH, SPACE


def test_the_same_command_again_says_that_the_study_is_complete(at_home) -> None:
    code, out, _ = at_home(*SEARCH, "--budget", "4")
    assert code == 0
    assert "4 designs evaluated (0 now" in out
    assert "complete: extend it by a larger --budget" in out


def test_json_ends_standard_output_with_one_object(at_home) -> None:
    code, out, _ = at_home(*SEARCH, "--budget", "4", "--json")
    found = json.loads(out)
    assert code == 0
    keys = {"study", "storage", "space", "task", "seed", "evaluated", "failed", "duplicates"}
    assert keys | {"seconds", "recommended", "front"} <= set(found)
    assert (found["study"], found["space"], found["task"]) == ("first", "small", "sr4")
    assert found["evaluated"] == 4
    counted = {"design", "psnr", "ssim", "ops", "params"}
    assert set(found["recommended"]) == counted | {"estimate", "error", "ties"}
    assert {key: found["recommended"][key] for key in counted} in found["front"]
    # The storage it names is the study's.
    assert Path(found["storage"].removeprefix("sqlite:///")).exists()


def test_a_larger_budget_extends_the_study_with_plain_lines(at_home) -> None:
    code, out, err = at_home(*SEARCH, "--budget", "6")
    assert code == 0
    assert "6 designs evaluated (2 now" in out
    assert [line.split()[0] for line in err.splitlines()] == ["5/6", "6/6"]


def test_all_presets_that_fit_are_the_baselines_without_a_value(at_home) -> None:
    Path("one.yaml").write_text(yaml.safe_dump(PROTOCOL | {"iterations": 1}))
    code, out, _ = at_home(
        *("search", "--task", "jpeg20", "--protocol", "one.yaml", "--workers", "1"),
        *("--budget", "13", "--baselines", "--name", "presets", "--json"),
    )
    assert code == 0
    found = json.loads(out)
    assert found["evaluated"] == 13  # two backbones and eleven units, equal ones once
    assert found["front"] == []  # nothing but baselines
    assert len(found["methods"]) == 11


def test_a_changed_study_is_a_clear_error(at_home) -> None:
    code, _, err = at_home("search", "--name", "first", "--protocol", "tiny.yaml", "--seed", "1")
    assert code == 2
    assert "seed was 0, is now 1" in err


def test_a_search_that_is_interrupted_goes_on(tmp_path) -> None:
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(PROTOCOL))
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(SPACE))
    command = [sys.executable, "-m", "bbnas", *SEARCH, "--budget", "12"]
    environ = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        env=environ,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        first = process.stderr.readline()
        assert first.startswith("1/12")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted at" in out
    assert "Traceback" not in err
    done = int(out.split("interrupted at ")[1].split()[0])
    again = [*command[:-1], str(done + 1), "--json"]
    found = json.loads(subprocess.check_output(again, cwd=tmp_path, env=environ, timeout=60))
    assert found["evaluated"] == done + 1
