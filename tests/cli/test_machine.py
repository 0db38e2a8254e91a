"""A command that prints a time names the processor, the threads or workers, and the date."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from PIL import Image
from skimage.data import astronaut

from bbnas.bench.sampler.table import default_table, read_table
from bbnas.cli import main
from bbnas.environment import cpu, taken_on

DESIGN = "binarize: [body]\nk_ratio: 1\nwidth: 8\ndepth: 1\n"
SEARCH = (
    "search --budget 2 --workers 1 --quiet --protocol proxy,iterations=2,batch=1,patch=16,"
    "width_scale=0.125,depth_scale=0.1,validation_side=48"
)
COMMANDS = {
    "profile": "profile design.yaml --lq 16x16",
    "cost": "cost design.yaml --latency --lq 16x16",
    "search": SEARCH,
    "data prepare": "data prepare images --quiet",
    "bench train": "bench train --rounds 1",
}


@pytest.fixture(autouse=True)
def _inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, an_image: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BBNAS_CACHE", str(tmp_path / "cache"))
    Path("design.yaml").write_text(DESIGN)
    Path("images").symlink_to(an_image.parent)


@pytest.fixture(scope="session")
def an_image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("images") / "astronaut.png"
    for name, at in (("a.png", 0), ("b.png", 128)):
        Image.fromarray(astronaut()[at : at + 128, :128]).save(path.with_name(name))
    return path


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_a_printed_time_has_its_machine(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command.split()) == 0
    out = capsys.readouterr().out
    assert cpu() in out
    assert datetime.now(UTC).date().isoformat() in out
    assert "1 thread" in out or "worker" in out or "core" in out


@pytest.mark.parametrize("command", ["profile", "cost"])
def test_json_has_the_date_as_well(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*COMMANDS[command].split(), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["date"] == datetime.now(UTC).date().isoformat()
    setting = found["setting"] if command == "profile" else found["latency"]["setting"]
    assert setting["cpu"] == cpu()


def test_a_machine_in_words() -> None:
    assert taken_on(1).startswith(f"{cpu()}, 1 thread, 20")
    assert ", 3 workers, " in taken_on(3, "worker")


def test_a_table_names_the_machine_of_its_seconds() -> None:
    table = read_table(default_table())
    (made,) = table.about["environments"]
    assert made["cpu"] in table.machine
    assert made["kernels"] in table.machine
