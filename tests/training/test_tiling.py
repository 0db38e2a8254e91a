from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bbnas.design import PRESETS
from bbnas.networks import build
from bbnas.training import restore
from bbnas.training.tiling import _spans, forward, reach


def network(preset: str, task: str = "sr4", depth: int = 4):  # type: ignore[no-untyped-def]
    torch.manual_seed(0)
    return build(PRESETS[preset].replace(width=8, depth=depth), task).eval()


@pytest.mark.parametrize("task", ["sr2", "sr3", "sr4"])
def test_tiles_equal_the_whole(task: str) -> None:
    """Exactly, up to rounding; in float64, where rounding cannot hide a seam."""
    net = network("srresnet", task).double()
    lq = torch.rand(1, 3, 83, 61, dtype=torch.float64)
    whole = forward(net, lq, tile=100)
    torch.testing.assert_close(forward(net, lq, tile=40), whole, rtol=0, atol=1e-12)


def test_tiles_of_a_binary_network_equal_the_whole() -> None:
    image = np.random.default_rng(0).integers(0, 256, (70, 90, 3), dtype=np.uint8)
    net = network("bbcu-m")
    whole = restore(net, image, tile=128).astype(int)
    assert np.abs(restore(net, image, tile=48).astype(int) - whole).max() <= 1


@pytest.mark.parametrize("task", ["sr2", "sr3", "sr4"])
@pytest.mark.parametrize("depth", [1, 5])
def test_the_reach_covers_the_receptive_field(task: str, depth: int) -> None:
    """Measured by the gradient of one output pixel, and not by far too much."""
    net = network("srresnet", task, depth)
    size = 2 * reach(net) + 9
    lq = torch.rand(1, 3, size, size, requires_grad=True)
    centre = size // 2
    rows = slice(centre * net.scale, (centre + 1) * net.scale)
    net(lq)[..., rows, rows].square().sum().backward()
    _, _, y, x = torch.nonzero(lq.grad, as_tuple=True)
    field = int(torch.stack([(y - centre).abs(), (x - centre).abs()]).max())
    assert field <= reach(net) <= field + 4


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (300, 1), (2, 3), (33, 29)])
def test_any_size_is_restored(size: tuple[int, int]) -> None:
    image = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
    out = restore(network("bbcu-m"), image, tile=64)
    assert out.shape == (4 * size[0], 4 * size[1], 3)
    assert out.dtype == np.uint8


def test_the_network_sees_no_more_than_a_tile() -> None:
    seen = []
    net = network("srresnet")
    net.register_forward_pre_hook(lambda _, args: seen.append(args[0].shape[-2:]))
    forward(net, torch.rand(1, 3, 200, 150), tile=64)
    assert max(max(shape) for shape in seen) <= 64


def test_output_that_is_not_finite_is_no_image() -> None:
    net = network("srresnet")
    with torch.no_grad():
        net.tail.layer.bias.fill_(float("nan"))
    with pytest.raises(FloatingPointError, match="not finite"):
        restore(net, np.zeros((8, 8, 3), np.uint8))


@given(st.integers(1, 5000), st.integers(1, 400))
def test_spans_cover_a_side_evenly(length: int, inner: int) -> None:
    spans = list(_spans(length, inner))
    assert spans[0][0] == 0
    assert spans[-1][1] == length
    assert all(a[1] == b[0] for a, b in pairwise(spans))
    sizes = [end - start for start, end in spans]
    assert max(sizes) <= inner
    assert max(sizes) - min(sizes) <= 1
    assert len(spans) == -(-length // inner)
