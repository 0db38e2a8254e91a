from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from bbnas.bench.sampler.table import read_table
from bbnas.cli import main

SPACE = {
    "version": 1,
    "axes": {
        "binarize": [[], ["body"], ["body", "upsampling"]],
        "activation": ["rprelu", "none"],
        "k_ratio": 1,
        "width": [16, 32],
        "depth": 4,
    },
}
PROTOCOL = {
    "iterations": 4,
    "batch": 1,
    "patch": 16,
    "learning_rate": 1e-3,
    "rungs": [1, 2],
    "width_scale": 0.25,
    "validation_side": 32,
    "schedule": "onecycle",
}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("table")
    for name, content in (("few", SPACE), ("tiny", PROTOCOL)):
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(content))
    path = folder / "few.json.gz"
    command = (
        f"bench tabulate --space {folder}/few.yaml --protocol {folder}/tiny.yaml "
        f"--storage {folder}/t.db --workers 1 -o {path} -q"
    )
    assert main(command.split()) == 0
    before = path.read_bytes()
    assert main(command.split()) == 0
    assert path.read_bytes() == before
    return path


def test_a_table_says_where_it_comes_from(table: Path) -> None:
    found = read_table(table)
    assert len(found.rows) == 10
    assert found.protocol.rungs == (1, 2)
    assert found.data_description
    assert found.skip_psnr is not None
    assert found.about["environments"][0]["kernels"]
    assert {"date", "command"} <= set(found.about)


def test_simulated_searches_are_told_judged_and_drawn(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Four iterations beat no global skip; the figures are those of the shape of it.
    from dataclasses import replace

    from bbnas.bench.sampler.table import write_table

    whole = write_table(replace(read_table(table), skip_psnr=None), tmp_path / "t.json.gz")
    capsys.readouterr()
    command = f"bench sampler --table {whole} --seeds 2 --budget 8 --workers 1 --json -q"
    page = tmp_path / "page.html"
    code = main([*command.split(), "--contenders", "random,default", "-o", str(page)])
    found = json.loads(capsys.readouterr().out)
    assert code == (0 if found["passed"] else 1)
    assert [row["name"] for row in found["results"]] == ["random", "default"]
    assert len(found["verdicts"]) == 2
    assert "95 %" not in page.read_text()[:200]
    assert "random" in page.read_text()

    assert main([*command.replace("--json", "").split(), "--contenders", "random"]) == 0
    said = capsys.readouterr().out
    assert "open: default was left out" in said
    assert "the true knee" in said


def test_bad_input_is_one_line(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "sampler", "--table", "nowhere"]) == 2
    assert main(["bench", "sampler", "--table", str(table), "--contenders", "tpee"]) == 2
    assert all(line.startswith("error: ") for line in capsys.readouterr().err.splitlines())
