"""The methods' binarizers and units against float64 arithmetic written from their papers."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from bbnas.axes import Method
from bbnas.binary import (
    BBCU,
    UNITS,
    WEIGHTS,
    Accumulation,
    BinaryConv2d,
    BinaryWeightConv2d,
    Unit,
    unit,
)
from bbnas.binary.methods import XNORNet
from bbnas.design import METHODS
from bbnas.presets import PRESETS

shapes = st.tuples(st.integers(1, 5), st.integers(1, 5))


def sgn(x: np.ndarray) -> np.ndarray:
    return np.where(x > 0, 1.0, -1.0)


def brute_force_weights(name: str, weight: np.ndarray) -> np.ndarray:
    """scale · sgn as the papers have it, filter by filter."""
    out = np.empty_like(weight)
    for o, kernel in enumerate(weight):
        if name == "sign":
            out[o] = sgn(kernel)
        elif name == "scaled":
            out[o] = np.abs(kernel).mean() * sgn(kernel)
        else:
            standard = (kernel - kernel.mean()) / kernel.std(ddof=1)
            out[o] = 2.0 ** np.round(np.log2(np.abs(standard).mean())) * sgn(standard)
    return out


def test_every_weight_binarizer_is_tested() -> None:
    assert set(WEIGHTS) == {"sign", "scaled", "libra"}


@pytest.mark.parametrize("name", WEIGHTS)
@settings(max_examples=20, deadline=None)
@given(shape=shapes, seed=st.integers(0, 99))
def test_weights_are_binarized_as_published(name: str, shape, seed: int) -> None:
    """A unit impulse reads the binary kernel out of the convolution."""
    torch.manual_seed(seed)
    conv = BinaryConv2d(*shape, weights=name, threshold=False)
    expected = brute_force_weights(name, conv.weight.detach().double().numpy())
    plus, minus = torch.ones(1, shape[0], 3, 3), -torch.ones(1, shape[0], 3, 3)
    with torch.no_grad():
        # Flipping one input flips the sign of one tap of the sum.
        base = conv(minus)[0, :, 1, 1]
        for c in range(shape[0]):
            for i in range(3):
                for j in range(3):
                    flipped = minus.clone()
                    flipped[0, c, i, j] = plus[0, c, i, j]
                    tap = (conv(flipped)[0, :, 1, 1] - base) / 2
                    np.testing.assert_allclose(tap.numpy(), expected[:, c, i, j], rtol=1e-5)


def weight_gradient(name: str, weight: Tensor, arrived: Tensor, progress: float) -> Tensor:
    """The gradient in float64, by autograd of each paper's surrogate for sgn."""
    w = weight.detach().double().requires_grad_()
    scale = 1.0
    if name == "sign":
        surrogate = w
    elif name == "scaled":
        surrogate = w.clamp(-1, 1)
    else:
        v = (w - w.mean((1, 2, 3), keepdim=True)) / w.std((1, 2, 3), keepdim=True)
        scale = 2.0 ** v.detach().abs().mean((1, 2, 3), keepdim=True).log2().round()
        t = 10 ** (-3 + 4 * progress)
        surrogate = max(1 / t, 1) * torch.tanh(t * v)
    (surrogate * scale * arrived.double()).sum().backward()
    assert w.grad is not None
    return w.grad


@pytest.mark.parametrize("name", WEIGHTS)
@pytest.mark.parametrize("progress", [0.0, 0.5, 1.0])
def test_gradients_of_weights_are_those_of_the_surrogate(name: str, progress: float) -> None:
    torch.manual_seed(4)
    conv = BinaryConv2d(3, 2, weights=name, threshold=False)
    with torch.no_grad():
        conv.weight.mul_(6)  # beyond ±1, where clip ends
    conv.progress = progress
    x, out = torch.randn(2, 3, 6, 5), torch.randn(2, 2, 6, 5)
    (conv(x) * out).sum().backward()
    # The gradient of the binary kernel is that of a convolution of the binary input.
    arrived = torch.nn.grad.conv2d_weight(
        torch.where(x > 0, 1.0, -1.0), conv.weight.shape, out, padding=1
    )
    expected = weight_gradient(name, conv.weight, arrived, progress)
    torch.testing.assert_close(conv.weight.grad, expected.float(), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", WEIGHTS)
def test_1_bit_weights_on_full_precision_activations(name: str) -> None:
    """The stages of progressive training; clip's soft sgn is a clamp."""
    torch.manual_seed(5)
    conv = BinaryConv2d(3, 2, weights=name, estimator="clip", threshold=False)
    conv.progress = 0.5
    x, out = torch.randn(2, 3, 6, 5), torch.randn(2, 2, 6, 5)
    bounded = x.clamp(-1, 1)
    conv.stage = "none"
    full = F.conv2d(bounded, conv.latent, padding=1)
    torch.testing.assert_close(conv(x), full)
    conv.stage = "weights"
    kernel = brute_force_weights(name, conv.weight.detach().double().numpy())
    y = conv(x)
    expected = F.conv2d(bounded.double(), torch.from_numpy(kernel), padding=1)
    torch.testing.assert_close(y, expected.float(), rtol=1e-4, atol=1e-5)
    (y * out).sum().backward()
    arrived = torch.nn.grad.conv2d_weight(bounded, conv.weight.shape, out, padding=1)
    gradient = weight_gradient(name, conv.weight, arrived, 0.5)
    torch.testing.assert_close(conv.weight.grad, gradient.float(), rtol=1e-3, atol=1e-4)
    conv.eval()
    signs = torch.where(x > 0, 1.0, -1.0).double()
    one_bit = F.conv2d(signs, torch.from_numpy(kernel), padding=1)
    torch.testing.assert_close(conv(x), one_bit.float(), rtol=1e-4, atol=1e-5)


def test_weights_of_bnn_stay_within_one_after_a_step() -> None:
    conv = BinaryConv2d(2, 2, weights="sign")
    other = BinaryConv2d(2, 2, weights="scaled")
    with torch.no_grad():
        conv.weight.fill_(3.0)
        other.weight.fill_(3.0)
    conv.after_step()
    other.after_step()
    assert conv.weight.max() == 1.0
    assert other.weight.max() == 3.0


def plain_conv(layer: Unit, x: Tensor, weights: str) -> Tensor:
    kernel = brute_force_weights(weights, layer.conv.weight.detach().double().numpy())
    return F.conv2d(torch.where(x > 0, 1.0, -1.0).double(), torch.from_numpy(kernel), padding=1)


def normalised(norm: nn.Module, y: Tensor) -> Tensor:
    """BatchNorm in training, γ = 1 and β = 0 as they start."""
    mean, var = y.mean((0, 2, 3), keepdim=True), y.var((0, 2, 3), keepdim=True, unbiased=False)
    return (y - mean) / (var + norm.eps).sqrt()


@pytest.mark.parametrize("name", UNITS)
def test_units_are_their_equations(name: str) -> None:
    torch.manual_seed(5)
    layer = UNITS[name](4, 4)
    x = torch.randn(2, 4, 6, 7)
    r = x.double()
    match name:
        case "bnn":
            expected = normalised(layer.norm, plain_conv(layer, x, "sign")).clamp(-1, 1)
        case "xnornet":
            first = normalised(layer.norm, x.double()).float()
            expected = plain_conv(layer, first, "scaled").clamp(min=0)
        case "bireal" | "bam":
            expected = normalised(layer.norm, plain_conv(layer, x, "scaled")) + r
        case "irnet":
            expected = normalised(layer.norm, plain_conv(layer, x, "libra")) + r
        case _:
            expected = F.leaky_relu(plain_conv(layer, x, "scaled"), 0.25) + r
    torch.testing.assert_close(layer(x, x), expected.float(), rtol=1e-3, atol=1e-3)
    assert layer.place == ("none" if name in ("bnn", "xnornet") else "after")


def test_xnor_s_activation_scale_is_the_mean_magnitude_of_3_by_3() -> None:
    torch.manual_seed(6)
    layer = XNORNet(3, 2, activation_scale=True).eval()
    x = torch.randn(1, 3, 5, 5)
    plain = XNORNet(3, 2).eval()
    plain.load_state_dict(layer.state_dict())
    k = torch.zeros(1, 1, 5, 5)
    seen = layer.norm(x).abs().mean(1)
    for i in range(5):
        for j in range(5):
            box = seen[0, max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2]
            k[0, 0, i, j] = box.sum() / 9
    # K is not negative, so it may follow the ReLU.
    torch.testing.assert_close(layer(x), plain(x) * k, rtol=1e-4, atol=1e-5)


def test_bi_real_with_rprelu_at_its_start_is_reactnet() -> None:
    torch.manual_seed(7)
    bireal = unit(5, 5, PRESETS["bireal"])
    reactnet = unit(5, 5, PRESETS["reactnet"])
    assert isinstance(reactnet, BBCU)
    missing = reactnet.load_state_dict(bireal.state_dict(), strict=False)
    assert {key.split(".")[-1] for key in missing.missing_keys} == {
        "alpha",
        "beta",
        "gamma",
        "zeta",
    }
    assert not missing.unexpected_keys
    x = torch.randn(2, 5, 6, 6)
    a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
    ours, theirs = reactnet(a, a), F.leaky_relu(bireal(b, b), 0.25)
    torch.testing.assert_close(ours, theirs)
    ours.square().sum().backward()
    theirs.square().sum().backward()
    torch.testing.assert_close(a.grad, b.grad)
    torch.testing.assert_close(
        reactnet.conv.weight.grad, bireal.conv.weight.grad, rtol=1e-4, atol=1e-4
    )


def test_v3_with_k_1_is_v2() -> None:
    v3 = PRESETS["bbcu-v3"].replace(width=8)
    assert v3.replace(k_ratio=1 / (130 * 8 / 64)).key == PRESETS["bbcu-v2"].replace(width=8).key


def test_folded_batchnorm_is_batchnorm_in_evaluation() -> None:
    torch.manual_seed(8)
    layer = unit(4, 4, PRESETS["reactnet"])
    assert isinstance(layer, BBCU)
    assert isinstance(layer.norm, nn.BatchNorm2d)
    norm = layer.norm
    for _ in range(5):
        x = torch.randn(4, 4, 8, 8)
        layer(x, x)
    layer.eval()
    with torch.no_grad():
        norm.weight.copy_(torch.randn(4))
        norm.bias.copy_(torch.randn(4))
        factor = norm.weight / (norm.running_var + norm.eps).sqrt()
        shift = norm.bias - norm.running_mean * factor
        y = layer.conv(x) * factor.view(1, -1, 1, 1) + shift.view(1, -1, 1, 1)
        torch.testing.assert_close(layer(x, x), layer.activation(y + x), rtol=1e-5, atol=1e-5)


def test_accumulation_is_the_weighted_sum_of_signs() -> None:
    torch.manual_seed(9)
    layer = Accumulation(3)
    with torch.no_grad():
        layer.scales.copy_(torch.tensor([0.5, -1.0, 2.0]))
        layer.thresholds.copy_(torch.tensor([0.0, 0.3, -0.2]))
    inputs = [torch.randn(1, 2, 3, 3, requires_grad=True) for _ in range(3)]
    with torch.no_grad():
        inputs[0][0, 0, 0, 0] = 0.0
    out = layer(inputs)
    x, y, z = inputs
    a, b, c = (torch.where(seen > 0, 1.0, -1.0) for seen in (x, y - 0.3, z + 0.2))
    torch.testing.assert_close(out, 0.5 * a - b + 2 * c)
    out.sum().backward()
    expected = 2.0 * ((z + 0.2).abs() <= 1).float()
    torch.testing.assert_close(z.grad, expected)
    assert layer.thresholds.grad is not None
    torch.testing.assert_close(layer.thresholds.grad[2], -expected.sum())


def test_binary_weights_alone_convolve_full_precision() -> None:
    torch.manual_seed(10)
    layer = BinaryWeightConv2d(3, 2, bias=True)
    nn.init.normal_(layer.weight)
    assert layer.bias is not None
    nn.init.normal_(layer.bias)
    kernel = brute_force_weights("scaled", layer.weight.detach().double().numpy())
    x, out = torch.randn(2, 3, 5, 5), torch.randn(2, 2, 5, 5)
    expected = F.conv2d(x.double(), torch.from_numpy(kernel), layer.bias.double(), padding=1)
    torch.testing.assert_close(layer(x), expected.float(), rtol=1e-4, atol=1e-4)
    with torch.no_grad():
        torch.testing.assert_close(layer(x), expected.float(), rtol=1e-4, atol=1e-4)
    (layer(x) * out).sum().backward()
    arrived = torch.nn.grad.conv2d_weight(x, layer.weight.shape, out, padding=1)
    inside = (layer.weight.abs() <= 1).float()
    torch.testing.assert_close(layer.weight.grad, arrived * inside, rtol=1e-4, atol=1e-4)


def test_every_method_has_a_unit_or_is_made_of_axes() -> None:
    assert set(get_args(Method)) == {*UNITS, "bbcu", "ma"}
    for name, fields in METHODS.items():
        assert PRESETS[name].method == fields.get("method", "bbcu")
