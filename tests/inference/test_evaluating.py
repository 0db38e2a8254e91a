from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import bbnas
from bbnas.data import Dataset, bicubic_downscale, bicubic_upscale, load_images
from bbnas.errors import UserError
from bbnas.inference import evaluate_checkpoint, score
from bbnas.inference.checkpoint import CheckpointInfo
from bbnas.inference.scoring import score_baseline
from bbnas.networks import build
from bbnas.paper import find_scores
from bbnas.presets import load_design
from bbnas.recipe import Recipe
from bbnas.tasks import get_task
from bbnas.training.state import save_checkpoint
from tests.inference.test_checkpoint import trained


@pytest.fixture
def checkpoint(recipe: Recipe, dataset: Dataset, tmp_path: Path) -> Path:
    path = tmp_path / "run" / "best.safetensors"
    path.parent.mkdir()
    write(path, recipe, dataset)
    return path


def write(
    path: Path, recipe: Recipe, dataset: Dataset, iteration: int = 4, bias: float = 0.0
) -> None:
    training = trained(recipe, dataset)
    if bias:
        with torch.no_grad():
            training.network.tail.layer.bias.add_(bias)
    info = CheckpointInfo(recipe=recipe, iteration=iteration, data="abc", environment={"a": "b"})
    save_checkpoint(path, training, info)


@pytest.fixture
def sets(photographs: Path, tmp_path: Path) -> Path:
    """Two benchmarks as they are found: Set5 plain, Set14 with HR inside."""
    for name, folder in (("Set5", "Set5"), ("Set14", "Set14/HR")):
        place = tmp_path / "data" / folder
        place.mkdir(parents=True)
        for photo in sorted(photographs.glob("*.png"))[: 2 if name == "Set5" else 3]:
            (place / photo.name).write_bytes(photo.read_bytes())
    return tmp_path / "data"


def test_the_scores_of_a_checkpoint(checkpoint: Path, sets: Path) -> None:
    network = evaluated_network(checkpoint)
    found = evaluate_checkpoint(checkpoint, ["Set5", sets / "Set14"], device="cpu", data_root=sets)
    assert list(found) == ["Set5", "Set14"]
    assert found["Set5"] == score(network, get_task("sr2"), load_images(sets / "Set5"))
    assert found["Set14"] == score(network, get_task("sr2"), load_images(sets / "Set14" / "HR"))
    assert found == evaluate_checkpoint(
        checkpoint, "all", get_task("sr2"), device="cpu", data_root=sets
    )
    with pytest.raises(UserError, match="was trained for sr2, not sr4"):
        evaluate_checkpoint(checkpoint, "Set5", get_task("sr4"), data_root=sets)
    with pytest.raises(UserError, match="named twice"):
        evaluate_checkpoint(checkpoint, ["set5", sets / "Set5"], data_root=sets)


def test_a_blind_checkpoint_is_scored_at_each_level(
    recipe: Recipe, dataset: Dataset, sets: Path, tmp_path: Path
) -> None:
    design = load_design("bbcu", get_task("denoise")).replace(width=6, depth=2)
    blind = Recipe(task="denoise", design=design, protocol=recipe.protocol, data=recipe.data)
    checkpoint = tmp_path / "run" / "best.safetensors"
    checkpoint.parent.mkdir()
    write(checkpoint, blind, dataset)
    network = evaluated_network(checkpoint)
    images = load_images(sets / "Set5")
    for name in ("denoise", "denoise15", "denoise50"):
        task = get_task(name)
        (rows,) = evaluate_checkpoint(checkpoint, "Set5", task, data_root=sets).values()
        assert rows == score(network, task, images)
    assert sorted(path.name for path in checkpoint.parent.glob("*.json")) == [
        "best.denoise15.scores.json",
        "best.denoise50.scores.json",
        "best.scores.json",
    ]
    found = {scored.task: scored for scored in find_scores(tmp_path)[0]}
    assert set(found) == {"denoise", "denoise15", "denoise50"}
    assert "trained for blind denoising" in found["denoise15"].words()
    assert "trained for" not in found["denoise"].words()
    with pytest.raises(UserError, match="was trained for denoise, not jpeg10"):
        evaluate_checkpoint(checkpoint, "Set5", get_task("jpeg10"), data_root=sets)


def test_a_benchmark_of_pairs_has_a_title_of_its_own(
    checkpoint: Path, sets: Path, tmp_path: Path
) -> None:
    low = tmp_path / "low"
    low.mkdir()
    for path in (sets / "Set5").iterdir():
        Image.fromarray(255 - np.asarray(Image.open(path))[::2, ::2]).save(low / path.name)
    pair = f"{low}:{sets / 'Set5'}"
    out = tmp_path / "out"
    found = evaluate_checkpoint(checkpoint, pair, device="cpu", save_images=out)
    ((title, rows),) = found.items()
    assert title == "low-Set5"  # not the published set
    assert len(rows) == 3
    whole = evaluate_checkpoint(checkpoint, sets / "Set5", device="cpu")["Set5"]
    assert rows[-1].psnr < whole[-1].psnr - 3  # restored from negatives
    assert len(list((out / title).glob("*.png"))) == 2
    for place in (low, sets / "Set5"):
        with pytest.raises(UserError, match="holds the benchmark itself"):
            evaluate_checkpoint(checkpoint, pair, device="cpu", save_images=place)


def test_scores_of_a_protocol_without_augmentation_stay(
    checkpoint: Path, sets: Path, recipe: Recipe
) -> None:
    """A file of scores of version 0.1 names no augmentation; it was this one."""
    file = checkpoint.with_name("best.scores.json")
    evaluate_checkpoint(checkpoint, "Set5", device="cpu", data_root=sets)
    content = json.loads(file.read_text())
    assert content["protocol"].pop("augment") == "dihedral"
    file.write_text(json.dumps(content))
    evaluate_checkpoint(checkpoint, "Set14", device="cpu", data_root=sets)
    assert json.loads(file.read_text())["benchmarks"].keys() == {"Set5", "Set14"}


def evaluated_network(checkpoint: Path):  # type: ignore[no-untyped-def]
    from bbnas.inference import load_checkpoint

    return load_checkpoint(checkpoint)[0]


def test_scores_lie_beside_the_checkpoint(
    checkpoint: Path, sets: Path, recipe: Recipe, dataset: Dataset
) -> None:
    file = checkpoint.with_name("best.scores.json")
    first = evaluate_checkpoint(checkpoint, "Set5", device="cpu", data_root=sets)
    content = json.loads(file.read_text())
    assert content["format"] == 1
    assert content["checkpoint"] == "best.safetensors"
    assert content["design"] == json.loads(json.dumps(recipe.design.canonical().to_dict()))
    assert (content["task"], content["iteration"], content["data"]) == ("sr2", 4, "abc")
    assert content["protocol"]["iterations"] == recipe.protocol.iterations
    assert content["environment"] == {"a": "b"}
    held = content["benchmarks"]["Set5"]
    assert (held["psnr"], held["ssim"]) == first["Set5"][-1][1:]
    images = load_images(sets / "Set5")
    assert (held["images"], held["fingerprint"]) == (2, images.fingerprint)
    assert held["date"].startswith("20")

    evaluate_checkpoint(checkpoint, "Set14", device="cpu", data_root=sets)
    merged = json.loads(file.read_text())
    assert merged["benchmarks"]["Set5"] == held
    assert merged["benchmarks"].keys() == {"Set5", "Set14"}
    assert {k: merged[k] for k in content if k != "benchmarks"} == {
        k: content[k] for k in content if k != "benchmarks"
    }
    # Scores of other weights are not kept beside those of these.
    write(checkpoint, recipe, dataset, iteration=60)
    evaluate_checkpoint(checkpoint, "Set14", device="cpu", data_root=sets)
    assert json.loads(file.read_text())["benchmarks"].keys() == {"Set14"}
    file.write_text("{damaged")
    evaluate_checkpoint(checkpoint, "Set5", device="cpu", data_root=sets)
    assert json.loads(file.read_text())["benchmarks"].keys() == {"Set5"}
    assert {p.name for p in checkpoint.parent.iterdir()} == {
        "best.safetensors",
        "best.scores.json",
    }


def test_scores_that_cannot_be_kept_are_a_warning(
    checkpoint: Path, sets: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (checkpoint.parent / "best.scores.json").mkdir()  # even root cannot write over a folder
    found = evaluate_checkpoint(checkpoint, "Set5", device="cpu", data_root=sets)
    assert found["Set5"]
    assert "scores not kept" in caplog.text


def test_images_are_saved_a_folder_a_benchmark(
    checkpoint: Path, sets: Path, tmp_path: Path
) -> None:
    Image.fromarray(np.asarray(Image.open(next((sets / "Set5").glob("*.png"))).convert("L"))).save(
        sets / "Set5" / "grey.png"
    )
    out = tmp_path / "out"
    rows = evaluate_checkpoint(
        checkpoint, ["Set5", "Set14"], device="cpu", data_root=sets, save_images=out
    )
    for title, scores in rows.items():
        saved = {path.name for path in (out / title).iterdir()}
        assert saved == {row.name for row in scores[:-1]}
    assert Image.open(out / "Set5" / "grey.png").mode == "L"
    hq = load_images(sets / "Set14" / "HR")
    kept: dict[str, np.ndarray] = {}
    score(evaluated_network(checkpoint), get_task("sr2"), hq, keep=kept.__setitem__)
    for name, pixels in kept.items():
        assert np.array_equal(np.asarray(Image.open(out / "Set14" / name)), pixels)
    for folder in (sets, sets / "Set5"):
        with pytest.raises(UserError, match="holds the benchmark itself"):
            evaluate_checkpoint(checkpoint, "Set5", data_root=sets, save_images=folder)
    with Image.open(sets / "Set14" / "HR" / hq.names[0]) as image:
        assert np.array_equal(np.asarray(image), hq.images[0])


def test_bicubic_saves_what_it_shows_in_colour(sets: Path, tmp_path: Path) -> None:
    evaluate_checkpoint(
        "bicubic", "Set5", get_task("sr2"), data_root=sets, save_images=tmp_path / "out"
    )
    images = load_images(sets / "Set5")
    for name, image in zip(images.names, images.images, strict=True):
        expected = bicubic_upscale(bicubic_downscale(image, 2), 2)
        assert np.array_equal(np.asarray(Image.open(tmp_path / "out" / "Set5" / name)), expected)


def test_all_takes_what_is_there(
    checkpoint: Path, sets: Path, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    found = evaluate_checkpoint("bicubic", "all", get_task("sr3"), data_root=sets)
    assert list(found) == ["Set5", "Set14"]
    assert "not found, so not scored: B100, Urban100, Manga109" in caplog.text
    with pytest.raises(UserError, match="none of the benchmarks of jpeg10 found"):
        evaluate_checkpoint("identity", "all", get_task("jpeg10"), data_root=tmp_path)


@pytest.mark.parametrize("prefix", ["", "network."])
def test_a_preset_with_weights(prefix: str, sets: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = build(load_design("bbcu-m", get_task("sr4")), get_task("sr4"))
    state = {f"{prefix}{name}": value for name, value in network.state_dict().items()}
    if prefix:
        state["adam.mean"] = torch.zeros(3)
    path = tmp_path / "weights.safetensors"
    save_file(state, path)
    found = evaluate_checkpoint("bbcu-m", sets / "Set5", get_task("sr4"), path, "cpu")
    assert found["Set5"] == score(network, get_task("sr4"), load_images(sets / "Set5"))
    first = next(iter(state))

    def refused(tensors: dict[str, torch.Tensor], message: str) -> None:
        save_file(tensors, path)
        with pytest.raises(UserError, match=message) as error:
            evaluate_checkpoint("bbcu-m", sets / "Set5", get_task("sr4"), path, "cpu")
        assert "\n" not in str(error.value)

    name = first.removeprefix(prefix)
    refused({k: v for k, v in state.items() if k != first}, f"missing: {name}")
    refused(state | {f"{prefix}more": torch.zeros(1)}, "too many: more")
    refused(state | {first: torch.zeros(7)}, rf"of another size: {name} is \(7,\) instead")
    path.write_bytes(b"\xff nonsense")
    with pytest.raises(UserError, match="not a whole safetensors file"):
        evaluate_checkpoint("bbcu-m", sets / "Set5", get_task("sr4"), path)


def test_what_cannot_be_evaluated(sets: Path, tmp_path: Path) -> None:
    for arguments, message in (
        (("bicubic", "Set5"), "--task"),
        (("bbcu-m", "Set5", get_task("sr4")), "no weights of its own"),
        (("bbcu-m", "Set5", None, tmp_path / "w"), "--task"),
        (("bbcu-m", "Set5", get_task("sr4"), tmp_path / "w"), "no such file of weights"),
        (("identity", "Set5", get_task("sr4")), "use bicubic"),
        (("bicubic", "Set6", get_task("sr4")), "Set6"),
        ((tmp_path / "c.safetensors", "Set5"), "no such checkpoint"),
    ):
        with pytest.raises(UserError, match=message):
            evaluate_checkpoint(*arguments, data_root=sets)


def test_output_that_is_not_finite(
    checkpoint: Path, sets: Path, recipe: Recipe, dataset: Dataset
) -> None:
    write(checkpoint, recipe, dataset, bias=float("nan"))
    with pytest.raises(UserError, match="not finite; choose an earlier checkpoint"):
        evaluate_checkpoint(checkpoint, "Set5", data_root=sets)


def test_evaluate_takes_models_and_images_of_all_kinds(
    checkpoint: Path, sets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BBNAS_DATA", str(sets))
    images = load_images(sets / "Set5")
    arrays = list(images.images)
    model: Callable[[torch.Tensor], torch.Tensor] = lambda lq: lq * 0.9  # noqa: E731
    expected = score(model, get_task("denoise25"), images)
    for given in ("Set5", sets / "Set5", images):
        assert bbnas.evaluate(model, get_task("denoise25"), given) == expected
    rows = bbnas.evaluate(model, bbnas.get_task("denoise25"), arrays)
    assert [row[1:] for row in rows] == [row[1:] for row in expected]
    assert [row.name for row in rows] == ["1", "2", "mean"]
    assert bbnas.evaluate("identity", get_task("jpeg10"), images) == score_baseline(
        "identity", get_task("jpeg10"), images
    )
    assert bbnas.evaluate(checkpoint, None, images) == score(
        evaluated_network(checkpoint), get_task("sr2"), images
    )
    assert not checkpoint.with_name("best.scores.json").exists()
    tiled = bbnas.evaluate(model, get_task("denoise25"), images, tile=40, reach=0)
    assert tiled == expected


def test_arrays_of_grey_images(sets: Path) -> None:
    values = np.random.default_rng(0).integers(0, 256, (40, 48), np.uint8)
    for image in (values, values[..., None]):
        row = bbnas.evaluate(torch.zeros_like, get_task("jpeg10"), [image])[0]
        error = np.mean(values.astype(float) ** 2)
        assert row.psnr == pytest.approx(10 * np.log10(255**2 / error), abs=1e-9)
    for wrong in (values / 255, np.zeros((4, 5, 4), np.uint8), np.zeros(3, np.uint8)):
        with pytest.raises(UserError, match="image 1 is"):
            bbnas.evaluate(torch.zeros_like, get_task("jpeg10"), [wrong])
    with pytest.raises(UserError, match="at least one"):
        bbnas.evaluate(torch.zeros_like, get_task("jpeg10"), [])
    with pytest.raises(UserError, match="task None"):
        bbnas.evaluate(torch.zeros_like, None, [values])
