from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from tests.cli.small import PROTOCOL, SEARCH, SPACE


def test_the_same_command_again_trains_nothing(at_home) -> None:
    code, out, err = at_home(*SEARCH, "--budget", "4")
    assert code == 0
    assert " 0 now" in out
    assert [line.split(" | ")[0] for line in err.splitlines()] == ["4/4", "4/4"]


def test_the_end_shows_the_figures_of_the_json(at_home) -> None:
    found = json.loads(at_home(*SEARCH, "--budget", "4", "--json", "-q")[1])
    out = at_home(*SEARCH, "--budget", "4", "-q")[1]
    text = " ".join(out.split())
    chosen = found["recommended"]
    assert f"{chosen['estimate']:.2f} dB ± {1.96 * chosen['error']:.2f}" in text
    for point in found["front"]:
        row = (f"{point['ssim']:.4f}", f"{point['ops'] / 1e9:.2f}")
        assert " ".join(row) in text
        assert f" {point['psnr']:.2f} " in text
    assert f"{found['evaluated']} designs" in text
    assert max(map(len, out.splitlines())) <= 120
    report, rivals = out.splitlines()[-2:]
    assert "bbnas report first" in report
    assert "bbnas rivals first" in rivals


def test_the_next_command_leads_to_the_study(at_home) -> None:
    code, out, _ = at_home(*SEARCH, "--budget", "2", "--storage", "else where.db", "-q")
    assert code == 0
    words = shlex.split(out.splitlines()[-2].split(",")[0])
    place = ["first", "--storage", "else where.db"]
    assert words[1:] == ["bbnas", "report", *place, "or", "bbnas", "dashboard", *place]
    assert at_home("studies", "show", *words[-3:])[0] == 0


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


def test_a_larger_budget_extends_the_study(at_home) -> None:
    code, out, err = at_home(*SEARCH, "--budget", "6")
    assert code == 0
    assert "6 designs" in out
    assert " 2 now" in out
    # In a pipe: the start, what changed, the end; not a line a design.
    lines = [line.split(" | ")[0] for line in err.splitlines() if " | " in line]
    assert (lines[0], lines[-1]) == ("4/6", "6/6")


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


def test_an_interrupted_search_resumes(tmp_path) -> None:
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
        while not re.match(r"[1-9]\d*/12", line := process.stderr.readline()):
            assert line
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == ""
    assert "Traceback" not in err
    done = int(err.split("interrupted: ")[1].split()[0])
    again = [*command[:-1], str(done + 1), "--json"]
    found = json.loads(subprocess.check_output(again, cwd=tmp_path, env=environ, timeout=60))
    assert found["evaluated"] == done + 1


def test_a_study_of_the_earlier_default_goes_on_by_its_name(at_home) -> None:
    other = ("--name", "earlier", "--budget", "2", "--quiet")
    assert at_home(*SEARCH, *other)[0] == 0
    command = SEARCH[: SEARCH.index("--data")]
    code, _, err = at_home(*command, *other)
    assert (code, err.count("\n")) == (2, 1)
    assert "--data skimage" in err
    assert "--data cc0" in err
    assert at_home(*SEARCH, *other)[0] == 0


def test_a_search_on_pairs_names_them_and_keeps_them_apart(at_home, tmp_path) -> None:
    rng = np.random.default_rng(0)
    for name in ("a", "b", "c"):
        for folder, side in (("LR", 32), ("HR", 128)):
            (tmp_path / folder).mkdir(exist_ok=True)
            pixels = rng.integers(0, 256, (side, side + side // 4, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / folder / f"{name}.png")
    pair = f"{tmp_path / 'LR'}:{tmp_path / 'HR'}"
    paired = ("--name", "paired", "--budget", "2", "--quiet")
    assert at_home(*SEARCH, *paired, "--data", pair)[0] == 0
    code, _, err = at_home(*SEARCH, *paired, "--data", str(tmp_path / "HR"))
    assert code == 2
    assert "3 pairs of images from HR: 2 to train on, 1 held out" in err
    shown = json.loads(at_home("studies", "show", "paired", "--json")[1])
    assert "3 pairs of images" in json.dumps(shown, ensure_ascii=False)
    code, _, err = at_home(*SEARCH, "--task", "sr2", "--name", "p2", "--quiet", "--data", pair)
    assert (code, err.count("\n")) == (2, 1)
    assert "for sr2 HQ must be 2 times as large as LQ" in err
