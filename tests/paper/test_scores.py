from __future__ import annotations

import json

import numpy as np
import pytest
from shared import BENCHMARKS, needs_benchmarks

from bbnas.data import ImageSet
from bbnas.errors import UserError
from bbnas.inference.checkpoint import CheckpointInfo
from bbnas.inference.evaluating import scores_file
from bbnas.inference.evaluating import write_scores as evaluate_writes
from bbnas.inference.scoring import Score
from bbnas.models import card, models
from bbnas.paper import find_scores, live_bicubic, shipped_scores
from bbnas.paper.scores import best_trained, read_scores
from bbnas.presets import load_design
from bbnas.protocol import PROTOCOLS
from bbnas.recipe import Recipe
from bbnas.tasks import get_task


def test_what_evaluate_writes_is_read(tmp_path):
    design = load_design("bbcu-m", get_task("sr4"))
    recipe = Recipe(design=design, task="sr4", protocol=PROTOCOLS["paper"])
    info = CheckpointInfo(recipe=recipe, iteration=1000, data="abc", environment={})
    images = ImageSet.from_arrays(["a"], [np.zeros((48, 48, 3), np.uint8)])
    checkpoint = tmp_path / "run" / "best.safetensors"
    checkpoint.parent.mkdir()
    checkpoint.write_bytes(b"")
    task = get_task("sr4")
    evaluate_writes(checkpoint, info, task, "Set5", images, Score("mean", 31.25, 0.875))
    assert scores_file(checkpoint, info, task) == tmp_path / "run" / "best.scores.json"
    (found,), skipped = find_scores(tmp_path)
    assert skipped == []
    assert (found.key, found.task, found.iteration) == (design.key, "sr4", 1000)
    assert found.checkpoint == checkpoint
    score = found.benchmarks["Set5"]
    assert (score.psnr, score.ssim, score.images) == (31.25, 0.875, 1)


def test_where_figures_come_from_is_told(tmp_path, write_scores):
    whole = read_scores(write_scores(tmp_path, iteration=200_000))
    assert str(tmp_path / "best.safetensors") in whole.words()
    assert "protocol 'paper'" in whole.words()
    assert "200,000 of 300,000 iterations" in whole.words()
    assert "0123456789abcdef" in whole.words()
    assert "Y, 4 border pixels cropped" in whole.words()
    assert "width" not in whole.words()
    reduced = read_scores(write_scores(tmp_path, protocol="proxy", iteration=500))
    assert "at width × 0.25, depth × 1" in reduced.words()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c | {"format": 2}, "format 2 is not one that this bbnas reads"),
        (lambda c: {k: v for k, v in c.items() if k != "format"}, "format None"),
        (lambda c: {k: v for k, v in c.items() if k != "task"}, "task: Field required"),
        (lambda c: c | {"design": {"width": -1}}, "design.width"),
        (lambda c: c | {"benchmarks": {"Set5": {"psnr": "?", "ssim": 1, "images": 5}}}, "psnr"),
        (lambda c: [c], "format None"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_and_the_others_are_read(
    tmp_path, write_scores, change, message
):
    broken = write_scores(tmp_path / "broken")
    broken.write_text(json.dumps(change(json.loads(broken.read_text()))))
    write_scores(tmp_path / "good")
    found, skipped = find_scores(tmp_path)
    assert [s.checkpoint.parent.name for s in found] == ["good"]
    assert len(skipped) == 1
    assert str(broken) in skipped[0]
    assert message in skipped[0]


def test_half_a_file_is_skipped(tmp_path, write_scores):
    path = write_scores(tmp_path)
    path.write_text(path.read_text()[:100])
    assert find_scores(tmp_path)[0] == []
    with pytest.raises(UserError, match="not valid JSON"):
        read_scores(path)


def test_a_folder_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        find_scores(tmp_path / "runs")


def test_the_longest_trained_is_taken_never_the_best_on_the_test_set(tmp_path, write_scores):
    def scored(name: str, **fields):
        return read_scores(write_scores(tmp_path / name, **fields))

    design = load_design("bbcu-l", get_task("sr4"))
    lucky = scored("lucky", iteration=100, benchmarks={"Set5": (33.0, 0.9)})
    long = scored("long", iteration=5_000)
    later = scored("later", iteration=5_000, date="2026-11-02T10:00:00+00:00")
    proxy = scored("proxy", protocol="proxy", iteration=900_000)
    other = scored("other", preset="bbcu-m")
    another = scored("another", task="sr2")
    found = [lucky, long, later, proxy, other, another]
    assert best_trained(found, design, "sr4", "Set5") is later
    assert best_trained(found[::-1], design, "sr4", "Set5") is later
    assert best_trained([lucky, long, proxy], design, "sr4", "Set5") is long
    assert best_trained([proxy], design, "sr4", "Set5") is proxy
    assert best_trained(found, design, "sr4", "Set14") is None
    assert best_trained([other, another], design, "sr4", "Set5") is None


@needs_benchmarks
def test_live_bicubic_is_the_field_s():
    score = live_bicubic(BENCHMARKS)
    psnr, ssim = score("sr4", "Set5")
    assert (f"{psnr:.2f}", f"{ssim:.4f}") == ("28.42", "0.8104")
    assert score("sr4", "Manga109") is None


def test_the_models_of_bbnas_have_scores() -> None:
    found = shipped_scores()
    assert {scored.task for scored in found} >= {"sr4"}
    for scored in found:
        name = scored.checkpoint.name.removeprefix("model ")
        assert name in models()
        assert scored.words().startswith(f"ours, {scored.task}: model {name}, trained")
        for images, score in scored.benchmarks.items():
            assert score.psnr == card(name).scores[scored.task][images].psnr
