"""The library's kernels against float64 autograd, the torch path, and themselves.

Tolerances are of float32 sums of some thousand terms; sums of signs are whole numbers, exact.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import get_args

import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from bbnas.axes import Activation, Estimator
from bbnas.binary import BBCU, ESTIMATORS, UNITS, BinaryConv2d, BinaryUpsample, FullConv2d
from bbnas.binary.kernels import Place, native, run_chain
from bbnas.design import Design
from bbnas.errors import UserError
from bbnas.native import choose_isa, isas
from bbnas.presets import PRESETS

pytestmark = pytest.mark.skipif(not isas(), reason="no compiled library")

ISAS = st.sampled_from(isas() or ("torch",))
SIDES = st.integers(1, 19)
CHANNELS = st.integers(1, 21)
CLOSE = {"rtol": 2e-4, "atol": 2e-4}


@contextmanager
def path(isa: str) -> Iterator[None]:
    before = os.environ.get("BBNAS_ISA")
    os.environ["BBNAS_ISA"] = isa
    try:
        yield
    finally:
        del os.environ["BBNAS_ISA"]
        if before is not None:
            os.environ["BBNAS_ISA"] = before


def gradients(
    module: nn.Module, inputs: list[Tensor], run: Callable[[list[Tensor]], Tensor], isa: str
) -> list[Tensor | None]:
    """The output and the gradients of inputs and parameters, computed by the path ``isa``."""
    leaves = [x.clone().requires_grad_() for x in inputs]
    module.zero_grad()
    with path(isa):
        out = run([leaf * 1.0 for leaf in leaves])
        weights = torch.randn(out.shape, generator=torch.Generator().manual_seed(1))
        (out * weights).sum().backward()
    grads = [p.grad for p in module.parameters()]
    return [out.detach(), *(leaf.grad for leaf in leaves), *grads]


def assert_same(found: list[Tensor | None], expected: list[Tensor | None]) -> None:
    for a, b in zip(found, expected, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            torch.testing.assert_close(a, b, **CLOSE)


def shaken(module: nn.Module) -> nn.Module:
    """The module with its parameters moved away from their start, some of them negative."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    return module


designs = st.builds(
    lambda activation, norm, position, scaled, estimator, redistribution: Design(
        activation=activation, norm=norm, activation_position=position, weight_scale=scaled,
        estimator=estimator, redistribution=redistribution, binarize=PRESETS["bbcu-l"].binarize,
    ),
    st.sampled_from(list(get_args(Activation))),
    st.sampled_from(["none", "batchnorm"]),
    st.sampled_from(["residual_branch", "after_addition"]),
    st.booleans(),
    st.sampled_from(get_args(Estimator)),
    st.booleans(),
)  # fmt: skip


@settings(max_examples=40)
@given(isa=ISAS, design=designs, n=st.integers(1, 3), c_in=CHANNELS, c_out=CHANNELS, h=SIDES,
       w=SIDES, residual=st.sampled_from(["none", "input", "other"]), progress=st.floats(0, 1),
       seed=st.integers(0, 99))  # fmt: skip
def test_a_unit_is_that_of_torch(
    isa: str, design: Design, n: int, c_in: int, c_out: int, h: int, w: int, residual: str,
    progress: float, seed: int,
) -> None:  # fmt: skip
    # Two or three values may be nearly equal, and BatchNorm then amplifies rounding errors.
    assume(design.norm == "none" or n * h * w > 8)
    torch.manual_seed(seed)
    if residual == "input":
        c_out = c_in
    unit = shaken(BBCU(c_in, c_out, design))
    unit.conv.progress = progress
    x, other = torch.randn(n, c_in, h, w), torch.randn(n, c_out, h, w)

    def run(given: list[Tensor]) -> Tensor:
        out: Tensor = unit(
            given[0], {"none": None, "input": given[0], "other": given[-1]}[residual]
        )
        return out

    inputs = [x, other] if residual == "other" else [x]
    assert_same(gradients(unit, inputs, run, isa), gradients(unit, inputs, run, "torch"))


@settings(max_examples=25)
@given(isa=ISAS, weights=st.sampled_from(["sign", "scaled", "libra"]), threshold=st.booleans(),
       redistribution=st.booleans(), estimator=st.sampled_from(list(ESTIMATORS)), c_in=CHANNELS,
       c_out=CHANNELS, h=SIDES, w=SIDES, progress=st.floats(0, 1),
       seed=st.integers(0, 99))  # fmt: skip
def test_every_binarizer_and_estimator_is_that_of_torch(
    isa: str, weights: str, threshold: bool, redistribution: bool, estimator: str, c_in: int,
    c_out: int, h: int, w: int, progress: float, seed: int,
) -> None:  # fmt: skip
    torch.manual_seed(seed)
    conv = shaken(
        BinaryConv2d(
            c_in,
            c_out,
            weights=weights,
            estimator=estimator,
            threshold=threshold,
            redistribution=redistribution,
        )
    )
    conv.progress = progress
    x = [torch.randn(2, c_in, h, w)]
    run = lambda given: conv(given[0])  # noqa: E731
    found, expected = gradients(conv, x, run, isa), gradients(conv, x, run, "torch")
    assert_same(found, expected)
    with torch.no_grad(), path(isa):
        inferred = conv(x[0])
    with torch.no_grad(), path("torch"):
        assert torch.equal(inferred, conv(x[0]))  # whole numbers, by the same scale


@settings(max_examples=25)
@given(isa=ISAS, c_in=CHANNELS, quarter=st.integers(1, 5), h=SIDES, w=SIDES,
       shuffle=st.integers(1, 3), slope=st.sampled_from([1.0, 0.1, 0.0]),
       bias=st.booleans())  # fmt: skip
def test_a_full_precision_convolution_is_float64s(
    isa: str, c_in: int, quarter: int, h: int, w: int, shuffle: int, slope: float, bias: bool
) -> None:
    torch.manual_seed(c_in)
    activation = {1.0: None, 0.1: nn.LeakyReLU(0.1), 0.0: nn.ReLU()}[slope]
    wide = quarter * shuffle**2
    conv = shaken(FullConv2d(c_in, wide, bias=bias, activation=activation, shuffle=shuffle))
    x = [torch.randn(2, c_in, h, w)]
    found = gradients(conv, x, lambda given: conv(given[0]), isa)
    exact = nn.Conv2d(c_in, wide, 3, padding=1, bias=bias).double()
    exact.load_state_dict(conv.state_dict())

    def run(given: list[Tensor]) -> Tensor:
        return F.pixel_shuffle(F.leaky_relu(exact(given[0].double()), slope), shuffle)

    expected = gradients(exact, [x[0].double()], run, "torch")
    # A z within rounding of 0 may fall on either side of the kink.
    if slope == 1.0 or exact(x[0].double()).abs().min() > 1e-5:
        assert_same(found, [None if e is None else e.float() for e in expected])


@pytest.mark.parametrize("isa", isas())
def test_an_estimator_is_autograds_of_its_formula_in_float64(isa: str) -> None:
    torch.manual_seed(0)
    for estimator, derivative in {
        "identity": torch.ones_like,
        "clip": lambda u: (u.abs() <= 1).double(),
        "quadratic": lambda u: (2 - 2 * u.abs()).clamp_min(0),
        "ede": lambda u: 10**-1 * 10 * (1 - torch.tanh(u * 10**-1) ** 2),
    }.items():
        conv = shaken(BinaryConv2d(3, 4, weights="sign", estimator=estimator))
        conv.progress = 0.5
        x = torch.randn(2, 3, 5, 4) * 2
        _, found, *_ = gradients(conv, [x], lambda given, conv=conv: conv(given[0]), isa)
        assert found is not None
        weights = torch.randn(2, 4, 5, 4, generator=torch.Generator().manual_seed(1)).double()
        signs = torch.where(conv.weight > 0, 1.0, -1.0).double()
        arrived = F.conv_transpose2d(weights, signs, padding=1)
        assert conv.alpha is not None
        expected = arrived * derivative((x - conv.alpha.view(1, -1, 1, 1)).double())
        torch.testing.assert_close(found, expected.float(), **CLOSE)
        torch.testing.assert_close(conv.alpha.grad, -found.sum((0, 2, 3)), **CLOSE)


@pytest.mark.parametrize("isa", [*isas(), "torch"])
def test_bisrnets_gradients_are_autograds_of_tanh_in_float64(isa: str) -> None:
    """As in its code: sgn in the forward pass, tanh(βz), z = k·x + b, in the backward pass."""
    torch.manual_seed(0)
    conv = BinaryConv2d(3, 4, weights="sign", estimator="tanh", redistribution=True)
    x = torch.randn(2, 3, 6, 5)
    with torch.no_grad():
        conv.gain.copy_(torch.tensor([1.7, -0.6, 0.0]))
        conv.alpha.copy_(torch.tensor([0.2, -0.1, -0.3]))
        conv.steepness.fill_(2.2)
    out, grad_x, *_ = gradients(conv, [x], lambda given: conv(given[0]), isa)

    leaves = [
        p.detach().double().requires_grad_() for p in (conv.gain, -conv.alpha, conv.steepness)
    ]
    x = x.double().requires_grad_()
    k, b, beta = leaves
    z = k.view(1, -1, 1, 1) * x + b.view(1, -1, 1, 1)
    soft = torch.tanh(beta * z)
    signs = torch.where(z > 0, 1.0, -1.0) - soft.detach() + soft
    expected = F.conv2d(signs, torch.where(conv.weight > 0, 1.0, -1.0).double(), padding=1)
    weights = torch.randn(out.shape, generator=torch.Generator().manual_seed(1))
    (expected * weights).sum().backward()
    torch.testing.assert_close(out, expected.float(), **CLOSE)
    found = [grad_x, conv.gain.grad, -conv.alpha.grad, conv.steepness.grad]
    for ours, theirs in zip(found, [x, *leaves], strict=True):
        torch.testing.assert_close(ours, theirs.grad.float(), **CLOSE)


@pytest.mark.parametrize("isa", isas())
@pytest.mark.parametrize("name", UNITS)
def test_every_methods_unit_trains_alike(isa: str, name: str) -> None:
    torch.manual_seed(0)
    unit = shaken(UNITS[name](6, 6))
    x = [torch.randn(2, 6, 5, 7)]
    run = lambda given: unit(given[0], given[0])  # noqa: E731
    assert_same(gradients(unit, x, run, isa), gradients(unit, x, run, "torch"))


@pytest.mark.parametrize("isa", isas())
def test_a_batchnorm_keeps_its_running_statistics(isa: str) -> None:
    design = Design(norm="batchnorm", binarize=PRESETS["bbcu-l"].binarize)
    torch.manual_seed(0)
    x = torch.randn(3, 6, 7, 5)
    states = []
    for name in (isa, "torch"):
        torch.manual_seed(1)
        unit = BBCU(6, 9, design)
        with path(name):
            for _ in range(3):
                unit(x)
            with torch.no_grad():
                unit.eval()(x)
        states.append(unit.norm.state_dict())
    for key, expected in states[1].items():
        torch.testing.assert_close(states[0][key], expected)
    assert states[0]["num_batches_tracked"] == 3
    with path(isa), pytest.raises(ValueError, match="more than 1 value"):
        unit.train()(torch.zeros(1, 6, 1, 1))


@pytest.mark.parametrize("isa", isas())
@pytest.mark.parametrize("scale", [2, 3])
@pytest.mark.parametrize("preset", ["bbcu-v3", "bbcu-v4"])
def test_an_upsampling_unit_is_that_of_torch(isa: str, scale: int, preset: str) -> None:
    torch.manual_seed(0)
    layer = shaken(BinaryUpsample(5, 5, scale, PRESETS[preset]))
    x = [torch.randn(2, 5, 6, 11)]
    run = lambda given: layer(given[0])  # noqa: E731
    assert_same(gradients(layer, x, run, isa), gradients(layer, x, run, "torch"))


@pytest.mark.parametrize("isa", isas())
@pytest.mark.parametrize("place", ["after", "before"])
def test_a_chain_is_its_units_one_by_one(isa: str, place: Place) -> None:
    torch.manual_seed(0)
    units = nn.ModuleList(shaken(BBCU(4, 4, PRESETS["bbcu-v4"])) for _ in range(5))
    for unit in units:
        unit.place = place
    adds = [(1, None), (0, None), (0, 1), (0, 0), (0, 4)]  # times; the residual's place in it
    x = [torch.randn(2, 4, 6, 5)]

    def chained(given: list[Tensor]) -> Tensor:
        steps = [
            unit.step(adds=times > 0 or residual is not None, times=times, residual=residual)
            for unit, (times, residual) in zip(units, adds, strict=True)
        ]
        return run_chain(steps, given[0])

    def alone(given: list[Tensor]) -> Tensor:
        seen = [given[0]]
        for unit, (times, residual) in zip(units, adds, strict=True):
            added = seen[-1] if times else None if residual is None else seen[residual]
            seen.append(unit(seen[-1], added))
        return seen[-1]

    assert_same(gradients(units, x, chained, isa), gradients(units, x, alone, isa))


def test_bits_do_not_depend_on_where_memory_lies() -> None:
    torch.manual_seed(0)
    unit = shaken(BBCU(5, 7, PRESETS["bbcu-v4"]))
    plain = torch.randn(2, 5, 9, 13)
    results = []
    for offset in range(4):

        def run(given: list[Tensor], offset: int = offset) -> Tensor:
            room = torch.empty(plain.numel() + offset)[offset:].view(plain.shape)
            out: Tensor = unit(room.copy_(given[0]))
            return out

        results.append(gradients(unit, [plain], run, isas()[0]))
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            assert torch.equal(a, b)


def test_other_memory_formats_and_gradients_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    conv = FullConv2d(3, 4, bias=True)
    x = torch.randn(2, 3, 5, 6)
    last = x.contiguous(memory_format=torch.channels_last)
    assert torch.equal(conv(x), conv(last))
    conv(last).sum().backward()  # an expanded gradient
    monkeypatch.setenv("BBNAS_ISA", "torch")
    assert not native(x)
    assert not native(x.double())


@pytest.mark.filterwarnings("ignore:.torch.jit.trace:DeprecationWarning")
def test_what_the_kernels_do_not_take_is_torchs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BBNAS_ISA", raising=False)
    x = torch.randn(1, 3, 4, 4)
    assert native(x) == bool(choose_isa())
    assert not native(x.double())
    assert not native(x.to("meta"))
    traced = torch.jit.trace(FullConv2d(3, 2, bias=False).eval(), x)
    assert "aten::_convolution" in str(traced.inlined_graph)
    monkeypatch.setenv("BBNAS_ISA", "avx51")
    with pytest.raises(UserError, match="avx51"):
        native(x)
