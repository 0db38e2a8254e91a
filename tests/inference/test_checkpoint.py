from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from bbnas.errors import UserError
from bbnas.inference import load_checkpoint
from bbnas.inference.checkpoint import CheckpointInfo
from bbnas.recipe import Recipe
from bbnas.tasks import get_task
from bbnas.training import Training
from bbnas.training.state import save_checkpoint


def trained(recipe: Recipe, dataset) -> Training:  # type: ignore[no-untyped-def]
    """The recipe's network after four steps."""
    task = get_task(recipe.task)
    training = Training.of(recipe.design, task, recipe.protocol, dataset, "cpu")
    training.advance(4)
    return training


@pytest.fixture
def saved(recipe: Recipe, dataset, tmp_path: Path):  # type: ignore[no-untyped-def]
    training = trained(recipe, dataset)
    info = CheckpointInfo(
        recipe=recipe, iteration=4, psnr=27.5, ssim=0.8, data="abc", environment={"torch": "2"}
    )
    path = tmp_path / "last.safetensors"
    save_checkpoint(path, training, info)
    return path, training, info


def test_a_checkpoint_brings_back_the_network(saved) -> None:  # type: ignore[no-untyped-def]
    path, training, info = saved
    network, found = load_checkpoint(path)
    assert found == info
    assert not network.training
    lq = torch.rand(1, 3, 9, 7)
    assert torch.equal(network(lq), training.network.eval()(lq))


@pytest.mark.parametrize("share", [0.0, 0.00001, 0.3, 0.999])
def test_a_truncated_file_is_one_clear_line(saved, share: float) -> None:  # type: ignore[no-untyped-def]
    path = saved[0]
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(
        UserError, match=r"truncated or not a checkpoint|is an empty file"
    ) as caught:
        load_checkpoint(path)
    assert "\n" not in str(caught.value)


def edited(path: Path, change) -> None:  # type: ignore[no-untyped-def]
    """Rewrites the JSON of bbnas in a safetensors header, by the format's own definition."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    own = json.loads(header["__metadata__"]["bbnas"])
    change(own)
    header["__metadata__"]["bbnas"] = json.dumps(own)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda own: own.update(format=3), "format 3 is newer"),
        (lambda own: own.update(format=1), "format 1 is of an older"),
        (lambda own: own.pop("recipe"), "header is damaged"),
        (lambda own: own["recipe"]["design"].update(depth=5), "do not fit the design"),
    ],
)
def test_headers_that_do_not_fit(saved, change, message: str) -> None:  # type: ignore[no-untyped-def]
    edited(saved[0], change)
    with pytest.raises(UserError, match=message) as caught:
        load_checkpoint(saved[0])
    assert "\n" not in str(caught.value)


def test_files_that_are_no_checkpoint(tmp_path: Path) -> None:
    save_file({"w": torch.zeros(2)}, tmp_path / "foreign.safetensors")
    with pytest.raises(UserError, match="no checkpoint of bbnas"):
        load_checkpoint(tmp_path / "foreign.safetensors")
    (tmp_path / "text").write_text("no tensors here, only words " * 20)
    with pytest.raises(UserError, match="is a text file"):
        load_checkpoint(tmp_path / "text")
    (tmp_path / "a.bbn").write_bytes(b"\x89BBN\r\n\x1a\n")
    with pytest.raises(UserError, match=r"a packed model.*: give a checkpoint"):
        load_checkpoint(tmp_path / "a.bbn")
    with pytest.raises(UserError, match="is a folder"):
        load_checkpoint(tmp_path)
    with pytest.raises(UserError, match="no such checkpoint"):
        load_checkpoint(tmp_path / "nothing")
