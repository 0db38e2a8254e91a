"""The models that come with bbnas: each is what its card says, and restores by its name."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from shared import BENCHMARKS, needs_benchmarks

from bbnas.data import find_benchmark, load_dataset
from bbnas.errors import UserError
from bbnas.inference import evaluate
from bbnas.models import FOLDER, card, model_file, models, verify
from bbnas.presets import load_design
from bbnas.protocol import PROTOCOLS
from bbnas.recipe import Recipe
from bbnas.tasks import get_task
from bbnas.training import train
from bbnas.training.publishing import publish
from tests.engine.networks import run


@pytest.mark.parametrize("name", models())
def test_a_model_is_what_its_card_says(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(capsys, "models", "verify", name)[0] == 0
    file = tmp_path / "deep" / "copy.bbn"
    assert run(capsys, "models", "fetch", name, "-o", file)[0] == 0
    assert file.stat().st_size == card(name).bytes <= 300_000
    code, out, _ = run(capsys, "models", "show", name)
    assert code == 0
    assert card(name).sha256 in out
    code, out, _ = run(capsys, "models", "show", name, "--recipe")
    (tmp_path / "recipe.yaml").write_text(out)
    recipe = Recipe.from_yaml(tmp_path / "recipe.yaml")
    assert (recipe.task, recipe.design) == (card(name).task, card(name).design)
    assert recipe.protocol == card(name).protocol
    code, out, _ = run(capsys, "models", "list", "--json")
    assert name in [each["name"] for each in json.loads(out)["models"]]


def test_restoring_takes_a_model_by_its_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 14, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    code, _, err = run(capsys, "restore", tmp_path / "a.png", "-o", tmp_path / "out")
    assert code == 0
    assert "model sr4" in err
    with Image.open(tmp_path / "out" / "a.png") as image:
        assert image.size == (56, 36)
    words = ("restore", tmp_path / "a.png", "--model", "sr5", "-o", tmp_path / "out")
    code, _, err = run(capsys, *words)
    assert (code, err.count("\n")) == (2, 1)
    assert "models list" in err


@needs_benchmarks
@pytest.mark.parametrize("name", models())
def test_the_packed_model_scores_as_its_card_says(name: str) -> None:
    level, sets = next(iter(card(name).scores.items()))
    images = min(sets, key=lambda each: sets[each].images)
    *_, mean = evaluate(model_file(name), get_task(level), find_benchmark(images, BENCHMARKS))
    assert mean.psnr == pytest.approx(sets[images].psnr, abs=0.01)


def test_a_checkpoint_becomes_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    for place in ("train", "benchmark/Set5"):
        (tmp_path / place).mkdir(parents=True)
        for name in ("baby", "bird", "butterfly", "head", "woman"):
            noise = rng.integers(0, 256, (100, 104, 3), np.uint8)
            Image.fromarray(noise).save(tmp_path / place / f"{name}.png")
    protocol = PROTOCOLS["paper"].replace(iterations=2, batch=1, patch=16)
    design = load_design("bbcu-m", get_task("sr2")).replace(width=8, depth=2)
    data = str(tmp_path / "train")
    recipe = Recipe(task="sr2", design=design, protocol=protocol, data=data)
    info = train(recipe, tmp_path / "run", device="cpu")
    assert info.seconds > 0
    checkpoint = tmp_path / "run" / "last.safetensors"
    made = publish("small", checkpoint, tmp_path, tmp_path / "models")
    assert made.fingerprint == load_dataset(data).fingerprint
    assert made.scores["sr2"]["Set5"].images == 5
    content = yaml.safe_load((tmp_path / "models" / "small.yaml").read_text())
    assert content["sha256"] == made.sha256
    assert content["iterations"] == 2

    monkeypatch.setattr(
        "bbnas.models.builtin", lambda kind: {"small": tmp_path / "models/small.yaml"}
    )
    verify("small")
    assert card("small") == made
    with (tmp_path / "models" / "small.bbn").open("ab") as file:
        file.write(b"!")
    with pytest.raises(UserError, match="SHA-256"):
        verify("small")


def test_the_page_of_the_models_is_of_their_cards() -> None:
    root = FOLDER.parents[1]
    check = (
        f"import sys; sys.path.insert(0, {str(root / 'docs')!r}); import build; "
        "assert build.models_page() == (build.DOCS / 'models.md').read_text(encoding='utf-8')"
    )
    subprocess.run([sys.executable, "-c", check], check=True)
