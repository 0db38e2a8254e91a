"""Binary units against the equations, a plain transcription and integer arithmetic."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from bbnas.bench.transcription import TranscribedUnit
from bbnas.binary import BBCU, BinaryConv2d, BinaryUpsample, RPReLU
from bbnas.design import Design
from bbnas.presets import PRESETS

V4 = PRESETS["bbcu-v4"]


def popcount_convolution(x: Tensor, alpha: Tensor, weight: Tensor) -> Tensor:
    """Σ over the taps inside the image of 1 − 2·(bit XOR bit): the sum of a 1-bit machine."""
    n, c_in, h, w = x.shape
    c_out = weight.shape[0]
    bits = x > alpha.view(1, -1, 1, 1)
    kernel = weight > 0
    out = torch.zeros(n, c_out, h, w, dtype=torch.int64)
    for i in range(h):
        for j in range(w):
            for di in range(3):
                for dj in range(3):
                    y, z = i + di - 1, j + dj - 1
                    if 0 <= y < h and 0 <= z < w:
                        differ = bits[:, None, :, y, z] ^ kernel[None, :, :, di, dj]
                        out[:, :, i, j] += c_in - 2 * differ.sum(2)
    return out


@settings(max_examples=15, deadline=None)
@given(c_in=st.integers(1, 9), c_out=st.integers(1, 9), h=st.integers(1, 6), w=st.integers(1, 6),
       scaled=st.booleans(), redistribution=st.booleans(), seed=st.integers(0, 99))  # fmt: skip
def test_forward_is_what_a_1_bit_machine_computes(
    c_in: int, c_out: int, h: int, w: int, scaled: bool, redistribution: bool, seed: int
) -> None:
    torch.manual_seed(seed)
    weights = "scaled" if scaled else "sign"
    conv = BinaryConv2d(c_in, c_out, weights=weights, redistribution=redistribution)
    # Small whole numbers: values equal to their threshold, and weights of exactly 0, are common.
    x = torch.randint(-2, 3, (2, c_in, h, w)).float()
    with torch.no_grad():
        assert conv.alpha is not None
        conv.alpha.copy_(torch.randint(-1, 2, (c_in,)))
        conv.weight.copy_(torch.randint(-2, 3, conv.weight.shape) / 4)
        if conv.gain is not None:
            conv.gain.copy_(torch.randint(-2, 3, (c_in,)))
    compared = x if conv.gain is None else x * conv.gain.view(1, -1, 1, 1)
    counts = popcount_convolution(compared, conv.alpha, conv.weight).float()
    scale = conv.weight.abs().mean((1, 2, 3)) if scaled else torch.ones(c_out)
    expected = counts * scale.view(1, -1, 1, 1)
    assert torch.equal(conv(x), expected)
    with torch.no_grad():
        assert torch.equal(conv(x), expected)


@pytest.mark.parametrize("channels_last", [False, True])
def test_fast_unit_is_the_transcription(channels_last: bool) -> None:
    torch.manual_seed(0)
    plain = TranscribedUnit(8)
    fast = BBCU(8, 8, V4)
    assert isinstance(fast.activation, RPReLU)
    assert fast.activation.gamma is not None
    assert fast.activation.zeta is not None
    pairs = [
        (plain.alpha, fast.conv.alpha), (plain.weight, fast.conv.weight),
        (plain.gamma, fast.activation.gamma), (plain.beta, fast.activation.beta),
        (plain.zeta, fast.activation.zeta),
    ]  # fmt: skip
    with torch.no_grad():
        for p, f in pairs:
            p.copy_(torch.randn_like(p) * 0.5)
            f.copy_(p.view_as(f))
    x = torch.randn(2, 8, 7, 5)
    a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
    c = b.contiguous(memory_format=torch.channels_last) if channels_last else b
    weights = torch.randn(2, 8, 7, 5)
    expected, found = plain(a), fast(c, c)
    (expected * weights).sum().backward()
    (found * weights).sum().backward()
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert a.grad is not None
    assert b.grad is not None
    torch.testing.assert_close(b.grad, a.grad, rtol=1e-4, atol=1e-4)
    for p, f in pairs:
        assert p.grad is not None
        assert f.grad is not None
        torch.testing.assert_close(f.grad, p.grad.view_as(f), rtol=1e-4, atol=1e-4)


def test_v2_adds_before_the_activation_and_v4_after_it() -> None:
    torch.manual_seed(1)
    unit = BBCU(4, 4, V4)
    x = torch.randn(1, 4, 5, 5)
    y = unit.conv(x)
    f = unit.activation
    torch.testing.assert_close(unit(x, x), f(y) + x)
    unit.place = "before"
    torch.testing.assert_close(unit(x, x), f(y + x))


@pytest.mark.parametrize("scale", [2, 3])
@pytest.mark.parametrize("preset", ["bbcu-v3", "bbcu-v4"])
def test_bbcu_u_repeats_channels_then_shuffles(preset: str, scale: int) -> None:
    torch.manual_seed(2)
    layer = BinaryUpsample(6, 6, scale, PRESETS[preset])
    x = torch.randn(1, 6, 4, 5)
    repeated = torch.stack([x] * scale**2, dim=2).flatten(1, 2)
    expected = F.pixel_shuffle(layer.unit(x, repeated), scale)
    torch.testing.assert_close(layer(x), expected)


def test_bisrnets_choices_change_nothing_at_the_start_of_the_forward_pass() -> None:
    plain, chosen = (
        BBCU(5, 5, V4.replace(**changes))
        for changes in ({}, {"estimator": "tanh", "redistribution": True})
    )
    missing = chosen.load_state_dict(plain.state_dict(), strict=False).missing_keys
    assert missing == ["conv.gain", "conv.steepness"]
    assert chosen.conv.gain is not None
    assert chosen.conv.gain.shape == (5,)
    assert chosen.conv.steepness is not None
    assert chosen.conv.steepness.shape == ()
    x = torch.randn(1, 5, 6, 6)
    assert torch.equal(chosen(x, x), plain(x, x))


def test_rprelu_at_its_start_is_prelu_of_a_quarter() -> None:
    y = torch.randn(2, 3, 4, 4)
    torch.testing.assert_close(RPReLU(3)(y), F.leaky_relu(y, 0.25))


@pytest.mark.parametrize("activation", ["rprelu", "prelu", "relu", "hardtanh", "none"])
@pytest.mark.parametrize("norm", ["none", "batchnorm"])
@pytest.mark.parametrize("position", ["residual_branch", "after_addition"])
def test_every_mixture_trains(activation: str, norm: str, position: str) -> None:
    torch.manual_seed(3)
    design = Design.from_dict(
        {"activation": activation, "norm": norm, "activation_position": position}
    )
    unit = BBCU(4, 4, design)
    x = torch.randn(2, 4, 6, 6) / 2
    unit(x, x).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in unit.parameters())
    assert unit.conv.weight.grad is not None
    assert unit.conv.weight.grad.abs().sum() > 0
