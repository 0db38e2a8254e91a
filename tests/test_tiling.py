from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bbnas.errors import UserError
from bbnas.inference.adapter import on_arrays
from bbnas.networks import RestorationNetwork, build
from bbnas.presets import load_design
from bbnas.tasks import get_task
from bbnas.tiling import (
    MOST_OVERLAP,
    TILE,
    Restorer,
    overlap,
    restore_tiled,
    smallest_tile,
    spans,
    tiles,
)


def network(preset: str, task: str = "sr4", depth: int = 4) -> RestorationNetwork:
    torch.manual_seed(0)
    return build(
        load_design(preset, get_task(task)).replace(width=8, depth=depth), get_task(task)
    ).eval()


def restorer(net: RestorationNetwork) -> Restorer:
    return on_arrays(net, net.scale, net.reach)


def in_double(net: RestorationNetwork) -> Restorer:
    net = net.double()

    def run(image: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            hq = net(torch.from_numpy(image.transpose(2, 0, 1).astype(float))[None])
        return hq[0].permute(1, 2, 0).numpy()

    return Restorer(run, net.scale, net.reach)


def assembled(model: Restorer, image: np.ndarray, tile: int | None) -> np.ndarray:
    """The output in floating point, where rounding to 8 bits cannot hide a seam."""
    height, width, channels = image.shape
    out = np.full((height * model.scale, width * model.scale, channels), np.nan)
    for rows, columns, output in tiles(model, image, tile):
        assert np.isnan(out[rows, columns]).all()
        out[rows, columns] = output
    return out


@pytest.mark.parametrize(
    ("preset", "task"),
    [
        ("srresnet", "sr2"),
        ("srresnet", "sr3"),
        ("srresnet", "sr4"),
        ("dncnn", "denoise25"),
        ("dncnn3", "jpeg10"),
    ],
)
@given(
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    tile=st.integers(16, 60),
    seed=st.integers(0, 99),
)
@settings(max_examples=8)
def test_tiles_equal_the_whole(
    preset: str, task: str, height: int, width: int, tile: int, seed: int
) -> None:
    """Exactly, up to rounding in float64."""
    net = network(preset, task, depth=3)
    model = in_double(net)
    image = np.random.default_rng(seed).random((height, width, net.channels), np.float32)
    np.testing.assert_allclose(
        assembled(model, image, tile), assembled(model, image, None), rtol=0, atol=1e-12
    )


@pytest.mark.parametrize(("preset", "task"), [("bbcu-m", "sr4"), ("bbcu-v1", "jpeg40")])
def test_tiles_of_a_binary_network_equal_the_whole(preset: str, task: str) -> None:
    net = network(preset, task)
    shape = (70, 90, net.channels)
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    whole = restore_tiled(restorer(net), image, tile=None).astype(int)
    assert np.abs(restore_tiled(restorer(net), image, tile=48).astype(int) - whole).max() <= 1


@pytest.mark.parametrize("task", ["sr2", "sr3", "sr4", "denoise15", "jpeg10"])
@pytest.mark.parametrize("depth", [1, 5])
def test_the_reach_covers_the_receptive_field(task: str, depth: int) -> None:
    """Measured by the gradient of one output pixel, and not by far too much."""
    preset = {"s": "srresnet", "d": "dncnn", "j": "dncnn3"}[task[0]]
    net = network(preset, task, depth)
    size = 2 * net.reach + 9
    lq = torch.rand(1, net.channels, size, size, requires_grad=True)
    centre = size // 2
    rows = slice(centre * net.scale, (centre + 1) * net.scale)
    net(lq)[..., rows, rows].square().sum().backward()
    _, _, y, x = torch.nonzero(lq.grad, as_tuple=True)
    field = int(torch.stack([(y - centre).abs(), (x - centre).abs()]).max())
    assert field <= net.reach <= field + 4


def test_a_model_of_unknown_reach_is_shown_whole_images_only() -> None:
    seen = []

    def model(lq: np.ndarray) -> np.ndarray:
        seen.append(lq.shape)
        return lq / np.float32(255)

    image = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    assert np.array_equal(restore_tiled(Restorer(model, 1, None), image, tile=None), image)
    assert seen == [(50, 70, 3)]
    with pytest.raises(UserError, match="give its reach"):
        restore_tiled(Restorer(model, 1, None), image, tile=64)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (300, 1), (2, 3), (33, 29)])
def test_any_size_is_restored(size: tuple[int, int]) -> None:
    image = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
    out = restore_tiled(restorer(network("bbcu-m")), image, tile=64)
    assert out.shape == (4 * size[0], 4 * size[1], 3)
    assert out.dtype == np.uint8


def test_the_network_sees_no_more_than_a_tile() -> None:
    seen = []
    net = network("srresnet")
    net.register_forward_pre_hook(lambda _, args: seen.append(args[0].shape[-2:]))
    restore_tiled(restorer(net), np.zeros((200, 150, 3), np.uint8), tile=64)
    assert max(max(shape) for shape in seen) <= 64


@pytest.mark.parametrize("size", [(200, 150), (30, 300), (64, 64)])
@pytest.mark.parametrize("tile", [16, 32, 64])
def test_the_overlap_is_what_the_network_sees_twice(size: tuple[int, int], tile: int) -> None:
    """Counted on the images that the model is given."""
    seen = []
    net = network("bbcu-m")
    model = Restorer(lambda lq: seen.append(lq[..., 0].size) or lq, 1, net.reach)
    parts: list[float] = []
    restore_tiled(model, np.zeros((*size, 3), np.uint8), tile=tile, on_part=parts.append)
    assert overlap(net.reach, *size, tile) == pytest.approx(1 - size[0] * size[1] / sum(seen))
    assert parts == sorted(parts)
    assert (len(parts), parts[-1]) == (len(seen), 1)


@pytest.mark.parametrize("preset", ["bbcu-m", "srresnet"])
def test_the_smallest_tile_is_the_smallest(preset: str) -> None:
    reach = network(preset, depth=32).reach
    best = smallest_tile(reach, 1500, 2000)
    assert overlap(reach, 1500, 2000, best) <= MOST_OVERLAP
    assert all(overlap(reach, 1500, 2000, t) > MOST_OVERLAP for t in range(16, best, 16))
    assert best <= TILE


def test_output_that_is_not_finite_is_no_image() -> None:
    net = network("srresnet")
    with torch.no_grad():
        net.tail.layer.bias.fill_(float("nan"))
    with pytest.raises(FloatingPointError, match="not finite"):
        restore_tiled(restorer(net), np.zeros((8, 8, 3), np.uint8))


@given(st.integers(1, 5000), st.integers(1, 400))
def test_spans_cover_a_side_evenly(length: int, inner: int) -> None:
    parts = list(spans(length, inner))
    assert parts[0][0] == 0
    assert parts[-1][1] == length
    assert all(a[1] == b[0] for a, b in pairwise(parts))
    sizes = [end - start for start, end in parts]
    assert max(sizes) <= inner
    assert max(sizes) - min(sizes) <= 1
    assert len(parts) == -(-length // inner)
