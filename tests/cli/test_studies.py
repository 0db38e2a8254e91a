"""From a search to a restored image, through the command line, on a protocol of a moment."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from bbnas.cli import main

Run = Callable[..., tuple[int, str, str]]

PROTOCOL = {
    "iterations": 150,  # enough to beat interpolation
    "batch": 4,
    "patch": 32,
    "learning_rate": 4e-3,
    "width_scale": 0.25,
    "depth_scale": 0.1,
    "schedule": "onecycle",
    "validation_side": 64,
}
SPACE = {
    "version": 1,
    "axes": {
        "binarize": [[], ["upsampling"]],
        "k_ratio": [1, 4],
        "activation": ["rprelu", "prelu"],
        "width": [48, 64],
        "depth": 32,
    },
}
SEARCH = (
    "search",
    "--space",
    "small.yaml",
    "--protocol",
    "tiny.yaml",
    "--workers",
    "1",
    "--name",
    "first",
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one study of four designs, as a user leaves it."""
    folder = tmp_path_factory.mktemp("home")
    before = Path.cwd()
    os.chdir(folder)
    try:
        Path("tiny.yaml").write_text(yaml.safe_dump(PROTOCOL))
        Path("small.yaml").write_text(yaml.safe_dump(SPACE))
        assert main([*SEARCH, "--budget", "4", "--quiet"]) == 0
    finally:
        os.chdir(before)
    return folder


@pytest.fixture
def run(home: Path, capsys, monkeypatch) -> Run:
    """The command in that folder: exit code, standard output, standard error."""
    monkeypatch.chdir(home)

    def command(*args: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(args)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return command


def test_the_same_command_again_says_that_the_study_is_complete(run) -> None:
    code, out, _ = run(*SEARCH, "--budget", "4")
    assert code == 0
    assert "4 designs evaluated (0 now" in out
    assert "complete: extend it by a larger --budget" in out


def test_json_ends_standard_output_with_one_object(run) -> None:
    code, out, _ = run(*SEARCH, "--budget", "4", "--json")
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


def test_a_larger_budget_extends_the_study_with_plain_lines(run) -> None:
    code, out, err = run(*SEARCH, "--budget", "6")
    assert code == 0
    assert "6 designs evaluated (2 now" in out
    assert [line.split()[0] for line in err.splitlines()] == ["5/6", "6/6"]


def test_benefit_prints_the_paper_s_columns_and_keeps_what_it_measured(run) -> None:
    code, out, err = run("benefit", "first")
    assert code == 0
    assert err.count(" binarized: ") == 4
    assert err.count("full precision: ") == 1
    # Table 6: OPs of each part in full precision and 1-bit, in M.
    for printed in ("99.53", "1.56", "67,947.73", "1,061.68", "76,441.19", "1,194.39", "24.88"):
        assert printed in out
    code, again, err = run("benefit", "first", "--json")
    assert (code, err) == (0, "")
    parts = json.loads(again)["parts"]
    assert [row["part"] for row in parts] == ["head", "body", "upsampling", "tail"]
    for row in parts:
        saved = (row["ops_f"] - row["ops_b"]) / 1e6
        assert row["vc"] == pytest.approx((row["psnr_f"] - row["psnr_b"]) / saved * 1e6)


@pytest.mark.parametrize(
    ("task", "backbone", "title"),
    [("denoise25", "dncnn", "denoising, σ = 25"), ("jpeg10", "dncnn3", "JPEG deblocking, q = 10")],
)
def test_other_tasks_from_search_to_recipe(run, tmp_path, task, backbone, title) -> None:
    """Methods against each other, with all presets of the task as baselines."""
    methods = {"method": ["bnn", "reactnet", "bbcu"], "width": [16, 32]}
    space = {"version": 1, "axes": {"binarize": [["body"], ["body", "upsampling"]], **methods}}
    Path("methods.yaml").write_text(yaml.safe_dump(space))
    Path("short.yaml").write_text(yaml.safe_dump(PROTOCOL | {"iterations": 60}))
    search = ("search", "--space", "methods.yaml", "--task", task, "--protocol", "short.yaml")
    search = (*search, "--workers", "1", "--name", task)
    code, out, err = run(*search, "--baselines", f"{backbone}-lite,bnn", "--budget", "8")
    assert code == 0, err
    # Six designs of the space, a part that DnCNN lacks left out, and the two baselines.
    assert "8 designs evaluated" in out
    assert "against BBCU (dB)" in out
    for said in ("body, BBCU, 32×18", "body, ReActNet, 16×18", "full precision, 12×18"):
        assert said in out + err
    found = json.loads(run(*search, "--budget", "8", "--json")[1])
    assert {row["method"] for row in found["methods"]} == {"bbcu", "reactnet", "bnn"}
    assert {point["design"]["depth"] for point in found["front"]} == {18}

    html, csv = tmp_path / "r.html", tmp_path / "r.csv"
    code, out, err = run("report", task, "-o", str(html), "--csv", str(csv), "--repeats", "1")
    assert (code, err) == (0, "")
    text = html.read_text().split('id="data"')[0]
    assert title in text
    assert "Methods at equal parts and size" in text
    pictures = text[text.index('<section id="pictures">') :]
    assert pictures.count("data:image/png;base64,") == 16  # four photographs in four ways
    assert "degraded" in pictures
    assert "bicubic" not in text
    assert "± " in text  # the seed noise beside the ranking

    code, out, err = run("benefit", task, "--json")
    assert code == 0
    assert [row["part"] for row in json.loads(out)["parts"]] == ["head", "body", "tail"]

    recipe = tmp_path / "mine.yaml"
    assert run("export", task, "-o", str(recipe))[0] == 0
    content = yaml.safe_load(recipe.read_text())
    assert (content["task"], content["design"]["depth"]) == (task, 18)
    assert content["protocol"]["name"] == "paper-dncnn"


def test_all_presets_that_fit_are_the_baselines_without_a_value(run) -> None:
    Path("one.yaml").write_text(yaml.safe_dump(PROTOCOL | {"iterations": 1}))
    code, out, _ = run(
        *("search", "--task", "jpeg20", "--protocol", "one.yaml", "--workers", "1"),
        *("--budget", "13", "--baselines", "--name", "presets", "--json"),
    )
    assert code == 0
    found = json.loads(out)
    assert found["evaluated"] == 13  # two backbones and eleven units, equal ones once
    assert found["front"] == []  # nothing but baselines
    assert len(found["methods"]) == 11


def test_benefit_wants_a_study_or_a_task(run) -> None:
    for args in (["benefit"], ["benefit", "first", "--task", "sr4"]):
        code, out, err = run(*args)
        assert (code, out, err.count("\n")) == (2, "", 1)
    assert "own" in run("benefit", "first", "--protocol", "proxy")[2]


def test_report_and_csv(run, tmp_path) -> None:
    html, csv = tmp_path / "r.html", tmp_path / "r.csv"
    code, out, err = run("report", "first", "-o", str(html), "--csv", str(csv))
    assert (code, err) == (0, "")
    assert str(html) in out
    text = html.read_text()
    assert text.lstrip().lower().startswith("<!doctype html>")
    assert "data:image/png;base64," in text  # the restored crops
    rows = csv.read_text().splitlines()
    assert len(rows) == 1 + json.loads(run(*SEARCH, "--budget", "1", "--json")[1])["evaluated"]


def test_report_of_other_images_says_what_is_missing(run, tmp_path) -> None:
    rng = np.random.default_rng(0)
    for name in ("a.png", "b.png"):
        pixels = rng.integers(0, 255, (128, 128, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / name)
    (tmp_path / "c.png").write_bytes(b"no image")
    code, out, err = run(
        "report", "first", "--data", str(tmp_path), "-o", str(tmp_path / "r.html")
    )
    assert code == 0
    assert "wrote" in out
    assert "skipped 1 of the files" in err
    assert "c.png" in err
    assert "no restored crops" in err


def test_export_train_evaluate_restore(run, tmp_path) -> None:
    recipe = tmp_path / "mine.yaml"
    code, out, _ = run("export", "first", "--pick", "best-psnr", "-o", str(recipe))
    assert code == 0
    assert f"bbnas train {recipe}" in out
    assert "exists" in run("export", "first", "-o", str(recipe))[2]
    # Small enough for a test: what is exported is of full size.
    content = yaml.safe_load(recipe.read_text())
    assert content["protocol"]["iterations"] == 300_000
    content["design"] |= {"width": 8, "depth": 2}
    content["protocol"] |= {"batch": 2, "patch": 32, "validation_side": 64}
    recipe.write_text(yaml.safe_dump(content))

    folder = tmp_path / "run"
    train = ("train", str(recipe), "-o", str(folder), "--iterations", "4", "--device", "cpu")
    code, out, err = run(*train)
    assert code == 0
    assert "4 iterations" in out
    assert "4/4" in err
    assert "--resume" in run(*train)[2]
    code, out, _ = run(*train, "--resume", "--json")
    assert code == 0
    assert json.loads(out)["iteration"] == 4

    checkpoint = str(folder / "best.safetensors")
    images = tmp_path / "images"
    images.mkdir()
    pixels = np.random.default_rng(0).integers(0, 255, (37, 53, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(images / "a.png")
    code, out, _ = run("evaluate", checkpoint, "--benchmark", str(images), "--json")
    assert code == 0
    (scores,) = json.loads(out)["benchmarks"]
    assert scores["benchmark"] == "images"
    assert [row["name"] for row in scores["images"]] == ["a.png"]
    assert scores["psnr"] == scores["images"][0]["psnr"]

    restored = tmp_path / "restored"
    code, out, _ = run("restore", checkpoint, str(images), "-o", str(restored))
    assert code == 0
    assert Image.open(restored / "a.png").size == (4 * 53, 4 * 37)

    # One bad file stops no other, and is told by the exit code.
    (images / "b.png").write_bytes(b"no image")
    again = tmp_path / "again"
    code, out, err = run("restore", checkpoint, str(images), "-o", str(again))
    assert code == 2
    assert (again / "a.png").exists()
    assert "b.png" in err
    assert err.splitlines()[-1] == "error: 1 of 2 images were skipped"

    (tmp_path / "half.safetensors").write_bytes(Path(checkpoint).read_bytes()[:1000])
    code, out, err = run("evaluate", str(tmp_path / "half.safetensors"), "--benchmark", "Set5")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "half.safetensors" in err


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["search", "--space", "bbcuu"], "did you mean 'bbcu'"),
        (["search", "--task", "sr5"], "did you mean 'sr4'"),
        (["search", "--sampler", "tpee"], "did you mean 'tpe'"),
        (["search", "--guide", "vcv"], "did you mean 'vcvp'"),
        (["search", "--protocol", "prox"], "did you mean 'proxy'"),
        (["search", "--protocol", "none.yaml"], "none.yaml: cannot be read"),
        (["search", "--objectives", "psnr,op"], "did you mean 'ops'"),
        (["search", "--baselines", "bbcu-x"], "did you mean 'bbcu-"),
        (["search", "--budget", "0"], "budget 0: must be at least 1"),
        (["search", "--budget", "-3"], "budget -3: must be at least 1"),
        (["search", "--budget", "many"], "'many' is not a valid integer"),
        (["search", "--workers", "0"], "0 is not in the range x>=1"),
        (["search", "--confirm", "1"], "confirm 1: must be 0, or 2 or more"),
        (["search", "--max-ops", "5GB"], "such as 5G"),
        (["search", "--space", "one.yaml", "--max-ops", "1"], "max_ops"),
        (["search", "--storage", "mysqql://x"], "mysqql"),
        (["search", "--name", "../x"], "study name '../x'"),
        (["search", "--data", "nowhere"], "nowhere"),
        (["search", "--device", "cudda"], "unknown device 'cudda'"),
        (["report", "frist"], "did you mean 'first'"),
        (["report", "first", "--pick", "knea"], "unknown pick 'knea'"),
        (["export", "first", "--pick", "trial 99"], "no trial 99"),
        (["export", "first", "--max-params", "1"], "no candidate has at most 1"),
        (["benefit", "--task", "sr44"], "did you mean 'sr4'"),
        (["train", "none.yaml"], "none.yaml: cannot be read"),
        (["train", "odd.yaml"], "did you mean 'design'"),
        (["evaluate", "none.safetensors", "--benchmark", "Set5"], "none.safetensors"),
        (["evaluate", "bicubic", "--benchmark", "nowhere", "--task", "sr4"], "nowhere"),
        (["restore", "none.safetensors", "odd.yaml", "-o", "out"], "none.safetensors"),
        (["report", "other.db"], "another program"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_one_line_and_exit_code_2(run, home, args, says) -> None:
    import sqlite3

    (home / "one.yaml").write_text("version: 1\naxes: {binarize: [[body]], width: 16, depth: 16}")
    (home / "odd.yaml").write_text("desing: bbcu-m\ntask: sr4\n")
    with sqlite3.connect(home / "other.db") as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS songs (name TEXT)")
    if args[0] == "search" and "--protocol" not in args:
        args = [*args, "--protocol", "tiny.yaml"]
    if args[0] == "search" and "--workers" not in args:
        args = [*args, "--workers", "1", "--quiet"]
    code, out, err = run(*args)
    assert code == 2, err
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert says in err


def test_a_changed_study_is_a_clear_error(run) -> None:
    code, _, err = run("search", "--name", "first", "--protocol", "tiny.yaml", "--seed", "1")
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


def test_findings_are_lines_or_json(run) -> None:
    code, out, _ = run("findings", "first")
    assert code == 0
    assert all(line.startswith("- ") for line in out.splitlines())
    code, out, _ = run("findings", "first", "--json")
    found = json.loads(out)
    assert code == 0
    assert set(found) == {"study", "candidates", "told", "untold", "silent"}
    code, _, err = run("findings", "none")
    assert (code, err.count("\n")) == (2, 1)


def test_latency_from_search_to_report_and_export(run) -> None:
    timed = ("--objectives", "psnr,latency", "--lq", "24x16", "--name", "timed")
    code, out, _ = run(*SEARCH, *timed, "--budget", "3", "--quiet")
    assert code == 0
    assert "latency (ms)" in out
    assert "latency: 24×16 LQ pixels, 1 thread" in out
    code, _, err = run(*SEARCH, *timed, "--threads", "2", "--budget", "3", "--quiet")
    assert (code, err.count("\n")) == (2, 1)
    assert "latency.threads was 1, is now 2" in err
    code, _, err = run("export", "timed", "--max-latency", "0.001ms", "-o", "slow.yaml")
    assert code == 2
    assert "no candidate has at most 0.00 ms" in err
    assert run("export", "timed", "--max-latency", "10s", "-o", "fast.yaml")[0] == 0
    quick = ("--no-pictures", "--repeats", "0")
    assert run("report", "timed", *quick)[0] == 0
    assert 'id="times"' in Path("reports/timed.html").read_text()

    # A study that never asked for latency has none until it is measured.
    assert run("report", "first", *quick)[0] == 0
    assert 'id="times"' not in Path("reports/first.html").read_text()
    code, _, err = run("export", "first", "--max-latency", "1s", "--force")
    assert (code, "knows no latencies" in err) == (2, True)
    assert run("report", "first", *quick, "--latency", "--lq", "24x16")[0] == 0
    assert 'id="times"' in Path("reports/first.html").read_text()
    assert run("export", "first", "--max-latency", "10s", "-o", "known.yaml")[0] == 0
