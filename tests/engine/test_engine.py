"""Whole networks: the pixels of PyTorch, whatever the machine, the threads or the cache.

"How exact the engine is" in docs/guide/device.md states what is tested here.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import event, given, settings
from hypothesis import strategies as st

from bbnas.axes import Activation
from bbnas.binary import BinaryConv2d
from bbnas.binary.functions import binarize
from bbnas.design import METHODS, Design
from bbnas.engine import Model, compile_network, isas
from bbnas.engine.latency import shape_of
from bbnas.environment import environment_variables
from bbnas.errors import UserError
from bbnas.presets import presets
from bbnas.tasks import Part, get_task
from tests.engine.networks import (
    assert_same_pixels,
    distances,
    in_doubt,
    in_pytorch,
    levels,
    network,
    picture,
)
from tests.helpers.structures import structures

ISAS = [*isas(), "torch"]
CASES = [
    (task, name)
    for task in ("sr2", "sr3", "sr4", "denoise25", "jpeg10")
    for name in presets(get_task(task))
]


@pytest.mark.parametrize(("task", "name"), CASES)
def test_every_preset_on_every_backbone(task: str, name: str) -> None:
    net = network(presets(get_task(task))[name].replace(width=20, depth=5), task)
    image = picture(net, 13, 22)
    expected = levels(in_pytorch(net, image))
    program = compile_network(net, get_task(task))
    for isa in ISAS:
        assert_same_pixels(Model(program, isa)(image), expected)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("task", ["sr4", "denoise25"])
def test_every_method_in_every_part(task: str, method: str) -> None:
    design = Design(binarize=tuple(Part), width=16, depth=3, **METHODS[method])
    net = network(design, task)
    image = picture(net, 9, 11)
    expected = levels(in_pytorch(net, image))
    for isa in ISAS:
        assert_same_pixels(Model(compile_network(net), isa)(image), expected)


@pytest.mark.parametrize("preset", ["bbcu-l", "bbcu-m"])
def test_at_full_width_and_depth(preset: str) -> None:
    net = network(presets(get_task("sr4"))[preset], "sr4")
    image = picture(net, 24, 33)
    assert_same_pixels(Model(compile_network(net))(image), levels(in_pytorch(net, image)))


@pytest.mark.parametrize(
    "changes",
    [{"binarize": ("body",), "break_at": 2}, {"convs_per_block": 1}, {"convs_per_block": 3}],
)
def test_what_ablations_vary(changes: dict[str, object]) -> None:
    net = network(Design(width=16, depth=5, k_ratio=1.0).replace(**changes), "sr4")
    image = picture(net, 9, 11)
    for isa in ISAS:
        assert_same_pixels(Model(compile_network(net), isa)(image), levels(in_pytorch(net, image)))


designs = st.builds(
    Design,
    binarize=st.sets(st.sampled_from(list(Part)), min_size=1).map(tuple),
    norm=st.sampled_from(["none", "batchnorm"]),
    k_ratio=st.sampled_from([None, 0.25, 1.0, 4.0]),
    activation=st.sampled_from(get_args(Activation)),
    activation_position=st.sampled_from(["after_addition", "residual_branch"]),
    convs_per_residual=st.integers(0, 32),
    weight_scale=st.booleans(),
    redistribution=st.booleans(),
    width=st.integers(3, 70),
    depth=st.integers(1, 8),
)
built = st.just({}) | structures


@given(
    design=st.builds(lambda design, more: design.replace(**more), designs, built),
    task=st.sampled_from(["sr2", "sr3", "sr4", "denoise50", "jpeg40"]),
    height=st.integers(1, 12),
    width=st.integers(1, 20),
    seed=st.integers(0, 99),
)
@settings(max_examples=40)
def test_random_designs(design: Design, task: str, height: int, width: int, seed: int) -> None:
    """Where no value is in doubt, and that is two pictures of three, pixels are within a level."""
    net = network(design, task, seed)
    image = picture(net, height, width, seed)
    program = compile_network(net, get_task(task))
    ours = [Model(program, isa, n).run(image) for isa, n in zip(ISAS, itertools.cycle((1, 2, 3)))]
    for one, other in itertools.pairwise(ours[:-1]):
        np.testing.assert_array_equal(one, other)
    if in_doubt(net, image):
        return
    expected = in_pytorch(net, image)
    for found in ours:
        # Unscaled sums of a unit may be far outside 0..1, where 8-bit pixels are all clamped.
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=2e-3)
        assert_same_pixels(levels(found), levels(expected))


@given(
    design=designs,
    task=st.sampled_from(["denoise50", "jpeg40"]),
    height=st.integers(1, 9),
    width=st.integers(1, 40),
    seed=st.integers(0, 99),
)
@settings(max_examples=40)
def test_values_at_their_thresholds(
    design: Design, task: str, height: int, width: int, seed: int
) -> None:
    """Of quarters and halves every sum is exact: a value equal to its threshold gets the bit −1.

    The image is black and white; DnCNN has no slope of 0.1 and no interpolation.
    """
    design = design.replace(norm="none", k_ratio=None, depth=min(design.depth, 3))
    net = network(design, task, seed)
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if name.endswith("conv.weight"):  # 1-bit: all of one magnitude, which is the scale
                parameter.copy_(torch.where(parameter > 0, 0.25, -0.25))
            elif name.endswith(("beta", "gain")):
                parameter.copy_((parameter * 2).round() / 2)
            else:
                parameter.copy_((parameter * 4).round() / 4)
    image = picture(net, height, width, seed) // 128 * 255
    expected = in_pytorch(net, image)
    event(f"at a threshold: {(distances(net, image) == 0).any()}")
    np.testing.assert_array_equal(in_pytorch(net, image, torch.float32), expected)
    for isa in ISAS:
        np.testing.assert_array_equal(Model(compile_network(net), isa).run(image), expected)


@pytest.mark.parametrize("sign", [1.0, -1.0, 0.0, None])
@pytest.mark.parametrize("task", ["sr2", "denoise25"])
def test_a_redistribution_costs_a_threshold(task: str, sign: float | None) -> None:
    """Of one sign in every channel, or mixed."""
    plain = Design(binarize=tuple(Part), width=20, depth=3)
    for seed in itertools.count():
        net = network(plain.replace(redistribution=True, estimator="tanh"), task, seed)
        if sign is not None:
            with torch.no_grad():
                for name, parameter in net.named_parameters():
                    if name.endswith("gain"):
                        parameter.copy_(parameter.abs().clamp_min(0.1) * sign)
        image = picture(net, 4, 5, seed)
        if not in_doubt(net, image):
            break
    program = compile_network(net)
    assert shape_of(program) == shape_of(compile_network(network(plain, task)))
    expected = in_pytorch(net, image)
    for isa in ISAS:
        np.testing.assert_allclose(Model(program, isa).run(image), expected, rtol=1e-4, atol=2e-3)


numbers = st.lists(
    st.floats(allow_nan=False, allow_infinity=False, width=32), min_size=3, max_size=3
)


@given(gain=numbers, alpha=numbers, x=numbers)
@settings(max_examples=100)
def test_a_folded_redistribution_has_pytorchs_bits(
    gain: list[float], alpha: list[float], x: list[float]
) -> None:
    """For every finite float32: any, those about the threshold, and the largest."""
    net = network(Design(binarize=("body",), width=3, depth=1, redistribution=True), "denoise25")
    (conv,) = [module for module in net.modules() if isinstance(module, BinaryConv2d)]
    with torch.no_grad():
        conv.gain.copy_(torch.tensor(gain))
        conv.alpha.copy_(torch.tensor(alpha))
    ops = compile_network(net).ops
    (threshold,) = [op.arrays["threshold"] for op in ops if "threshold" in op.arrays]
    (weight,) = [op.arrays["weight"] for op in ops if op.kind == "binary"]
    flipped = weight != (conv.weight > 0).numpy()
    assert (flipped == flipped[:1, :, :1, :1]).all()  # whole input channels
    largest = np.finfo(np.float32).max
    with np.errstate(over="ignore"):
        near = [np.nextafter(threshold, end) for end in (np.inf, -np.inf)]
    values = np.stack([x, threshold, *near, np.full(3, largest)]).astype(np.float32)
    values = np.concatenate([values, -values]).clip(-largest, largest)
    _, minus = binarize(torch.from_numpy(values)[..., None, None], conv.alpha, conv.gain)
    bits = (values > threshold) ^ flipped[0, :, 0, 0]
    np.testing.assert_array_equal(bits, minus[..., 0, 0].detach().numpy() < 0)


@pytest.mark.parametrize("part", Part)
def test_values_in_doubt(part: Part) -> None:
    """Thresholds on values of the left column: PyTorch in float32 errs there as often.

    Beyond the network's reach nearly all pixels stay within a level.
    """
    beyond: dict[str, list[np.ndarray]] = {"engine": [], "PyTorch": []}
    for position, norm, seed in itertools.product(
        ("after_addition", "residual_branch"), ("none", "batchnorm"), range(3)
    ):
        design = Design(
            binarize=tuple({part, Part.TAIL}),  # a full-precision tail hides single bits
            activation_position=position,
            norm=norm,
            width=24,
            depth=3,
        )
        net = network(design, "sr2", seed)
        image = picture(net, 10, 40, seed)

        def onto_values(module: torch.nn.Module, given: tuple[torch.Tensor]) -> None:
            module.alpha.copy_(given[0][0, :, given[0].shape[2] // 2, 0])

        hooks = [
            module.register_forward_pre_hook(onto_values)
            for module in net.modules()
            if isinstance(module, BinaryConv2d)
        ]
        with environment_variables({"BBNAS_ISA": "torch"}), torch.no_grad():
            net(torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255)
        for hook in hooks:
            hook.remove()
        assert in_doubt(net, image)
        expected = levels(in_pytorch(net, image)).astype(int)
        ours = Model(compile_network(net))(image)
        theirs = levels(in_pytorch(net, image, torch.float32))
        for name, pixels in (("engine", ours), ("PyTorch", theirs)):
            beyond[name].append(np.abs(pixels - expected) > 1)
    apart = {name: np.array(found) for name, found in beyond.items()}
    far = apart["engine"][:, :, net.scale * (net.reach + 1) :]
    assert far.mean() < 1e-3, far.mean()  # a value may lie at its threshold by chance
    shares = {name: found.mean() for name, found in apart.items()}
    assert 0 < shares["engine"] <= 2 * shares["PyTorch"] + 0.01, shares


@pytest.mark.parametrize("position", ["after_addition", "residual_branch"])
@pytest.mark.parametrize("norm", ["none", "batchnorm"])
@pytest.mark.parametrize("activation", ["rprelu", "prelu", "hardtanh"])
@pytest.mark.parametrize("width", [24, 40])
def test_the_slope_after_a_binary_upsampling(
    position: str, norm: str, activation: str, width: int
) -> None:
    """The kernels have cases of their own for 33 to 64 channels."""
    design = Design(
        binarize=(Part.UPSAMPLING, Part.TAIL),
        activation_position=position,
        norm=norm,
        activation=activation,
        width=width,
        depth=1,
    )
    for parts in (design.binarize, design.binarize[:1]):
        net = network(design.replace(binarize=parts), "sr2")
        image = picture(net, 9, 11)
        expected = in_pytorch(net, image)
        program = compile_network(net)
        (sloped,) = [op for op in program.ops if op.slope != 1]
        without = [replace(op, slope=1.0) if op is sloped else op for op in program.ops]
        linear = Model(replace(program, ops=tuple(without)), "torch").run(image)
        assert np.abs(linear - expected).max() > 1e-3
        for isa in ISAS:
            np.testing.assert_allclose(Model(program, isa).run(image), expected, atol=1e-5)


@pytest.mark.skipif(not isas(), reason="no compiled library")
@pytest.mark.parametrize(
    ("task", "name"),
    [("sr4", "bbcu-m"), ("sr4", "bam"), ("sr3", "btm"), ("sr2", "srresnet"), ("denoise25", "bnn")],
)
def test_instruction_sets_threads_and_cache_change_nothing(
    monkeypatch: pytest.MonkeyPatch, task: str, name: str
) -> None:
    """A small cache cuts the network into many segments and strips."""
    net = network(presets(get_task(task))[name].replace(depth=9), task)
    image = picture(net, 19, 150)
    program = compile_network(net)
    expected = Model(program, isas()[0]).run(image)
    for cache in ("1", "60000", "300000", "1000000000"):
        monkeypatch.setenv("BBNAS_L2", cache)
        for isa, threads in ((isas()[0], 1), (isas()[:2][-1], 2), (isas()[0], 5)):
            np.testing.assert_array_equal(Model(program, isa, threads).run(image), expected)


@pytest.mark.parametrize("isa", [ISAS[0], "torch"])
@pytest.mark.parametrize(("task", "name"), [("sr4", "bbcu-m"), ("jpeg10", "reactnet")])
def test_tiles_equal_the_whole(isa: str, task: str, name: str) -> None:
    net = network(presets(get_task(task))[name].replace(width=16, depth=4), task)
    model = Model(compile_network(net, get_task(task)), isa, threads=2)
    image = picture(net, 75, 120)
    whole, tiled = model(image), model(image, tile=40)
    apart = np.abs(whole - tiled.astype(int))
    if isa == "torch":  # sums over pictures of another size may have another order
        assert (apart > 1).mean() < 0.01
    else:
        assert apart.max() == 0


def test_one_model_restores_images_of_any_size_in_turn() -> None:
    net = network(presets(get_task("sr2"))["bbcu-m"].replace(width=18, depth=3), "sr2")
    model = Model(compile_network(net), threads=2)
    for height, width in [(1, 1), (40, 3), (1, 50), (33, 64), (2, 2), (40, 3)]:
        image = picture(net, height, width)
        assert_same_pixels(model(image), levels(in_pytorch(net, image)))


def test_images_of_other_kinds() -> None:
    net = network(presets(get_task("jpeg10"))["bbcu"].replace(width=8, depth=2), "jpeg10")
    model = Model(compile_network(net))
    image = picture(net, 12, 15)
    expected = model(image)
    assert np.array_equal(model(image[..., 0]), expected[..., 0])
    assert np.array_equal(model(image / np.float32(255)), expected)
    assert np.array_equal(model(np.asfortranarray(image)), expected)
    wide = picture(net, 24, 30)
    assert np.array_equal(model(wide[::2, ::2]), model(wide[::2, ::2].copy()))
    with pytest.raises(UserError, match=r"\(12, 15, 3\).*\(H, W, 1\)"):
        model(np.zeros((12, 15, 3), np.uint8))
    with pytest.raises(UserError, match="int64"):
        model(np.zeros((12, 15), np.int64))
    with pytest.raises(UserError, match="shape"):
        model(np.zeros((0, 15), np.uint8))


@pytest.mark.skipif(not isas(), reason="no compiled library")
def test_memory_does_not_grow_with_the_depth() -> None:
    """Features stream through rings of rows; unfused, one map of 64 channels is 15 MB."""
    peaks = []
    for depth in (8, 32):
        net = network(presets(get_task("sr4"))["bbcu-m"].replace(depth=depth), "sr4")
        model = Model(compile_network(net))
        model(picture(net, 180, 320))
        peaks.append(model.peak_bytes)
    assert peaks[0] <= peaks[1] < 50e6
    assert sum(op.seconds for op in model.profile(20, 30, runs=1)) > 0


@pytest.mark.skipif(not isas(), reason="no compiled library")
def test_more_memory_than_there_is_is_an_error() -> None:
    net = network(
        presets(get_task("denoise25"))["dncnn"].replace(width=1024, depth=1), "denoise25"
    )
    model = Model(compile_network(net))
    with pytest.raises(UserError, match="131072×400"):
        model(np.broadcast_to(np.zeros(3, np.uint8), (400, 131072, 3)))


def test_an_instruction_set_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    net = network(presets(get_task("sr2"))["bbcu"].replace(width=8, depth=1), "sr2")
    program = compile_network(net)
    for isa in ISAS:
        monkeypatch.setenv("BBNAS_ISA", isa)
        assert Model(program).isa == isa
    monkeypatch.setenv("BBNAS_ISA", "avx51")
    with pytest.raises(UserError, match="'avx512'"):
        Model(program)
    monkeypatch.delenv("BBNAS_ISA")
    missing = {"neon", "avx2"} - set(isas())
    with pytest.raises(UserError, match="torch"):
        Model(program, missing.pop())
