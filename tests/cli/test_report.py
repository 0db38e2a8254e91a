from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from tests.cli.small import SEARCH


def test_report_and_csv(at_home, tmp_path) -> None:
    html, csv = tmp_path / "r.html", tmp_path / "r.csv"
    code, out, err = at_home("report", "first", "-o", str(html), "--csv", str(csv))
    assert code == 0
    assert [line.count("seed") for line in err.splitlines()] == [1, 1]  # the two repeats
    assert str(html) in out
    text = html.read_text()
    assert text.lstrip().lower().startswith("<!doctype html>")
    assert "data:image/png;base64," in text  # the restored crops, of the study's own data
    rows = csv.read_text().splitlines()
    assert len(rows) == 1 + json.loads(at_home(*SEARCH, "--budget", "1", "--json")[1])["evaluated"]


def test_report_of_other_images_says_what_is_missing(at_home, tmp_path) -> None:
    rng = np.random.default_rng(0)
    for name in ("a.png", "b.png"):
        pixels = rng.integers(0, 255, (128, 128, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / name)
    (tmp_path / "c.png").write_bytes(b"no image")
    code, out, err = at_home(
        "report", "first", "--data", str(tmp_path), "-o", str(tmp_path / "r.html")
    )
    assert code == 0
    assert "wrote" in out
    assert "left out 1 in" in err
    assert "c.png" in err
    assert "no restored crops" in err


def test_latency_from_search_to_report_and_export(at_home) -> None:
    timed = ("--objectives", "psnr,latency", "--lq", "24x16", "--name", "timed")
    code, out, _ = at_home(*SEARCH, *timed, "--budget", "3", "--quiet")
    assert code == 0
    assert "latency" in out
    assert "latency: 24×16 LQ pixels, 1 thread" in out
    code, _, err = at_home(*SEARCH, *timed, "--threads", "2", "--budget", "3", "--quiet")
    assert (code, err.count("\n")) == (2, 1)
    assert "latency.threads was 1, is now 2" in err
    code, _, err = at_home("export", "timed", "--max-latency", "0.001ms", "-o", "slow.yaml")
    assert code == 2
    assert "no candidate has at most 0.00 ms" in err
    assert at_home("export", "timed", "--max-latency", "10s", "-o", "fast.yaml")[0] == 0
    quick = ("--no-pictures", "--repeats", "0")
    assert at_home("report", "timed", *quick)[0] == 0
    assert 'id="times"' in Path("reports/timed.html").read_text()

    # A study that never asked for latency has none until it is measured.
    assert at_home("report", "first", *quick)[0] == 0
    assert 'id="times"' not in Path("reports/first.html").read_text()
    code, _, err = at_home("export", "first", "--max-latency", "1s", "--force")
    assert (code, "--latency" in err) == (2, True)
    assert at_home("report", "first", *quick, "--latency", "--lq", "24x16")[0] == 0
    assert 'id="times"' in Path("reports/first.html").read_text()
    assert at_home("export", "first", "--max-latency", "10s", "-o", "known.yaml")[0] == 0
