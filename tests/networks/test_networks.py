"""Every point of the space builds and trains; the parts are what Fig. 3 draws."""

from __future__ import annotations

from typing import Any, get_args

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from bbnas import UserError
from bbnas.axes import Activation, Estimator
from bbnas.binary import BBCU, BinaryConv2d, BinaryWeightConv2d, FullConv2d
from bbnas.binary.functions import repeat_channels
from bbnas.design import AXES, Design
from bbnas.networks import build, calibrate
from bbnas.networks.parts import RGB_MEAN, BinaryBlock
from bbnas.networks.srresnet import ResidualBlock
from bbnas.presets import PRESETS, presets
from bbnas.tasks import TASKS, Part, get_task
from tests.helpers.structures import structures

designs = st.builds(
    Design,
    binarize=st.lists(st.sampled_from(list(Part)), unique=True),
    norm=st.sampled_from(["none", "batchnorm"]),
    k_ratio=st.sampled_from([None, 1 / 64, 1.0, 64.0]),
    activation=st.sampled_from(list(get_args(Activation))),
    activation_position=st.sampled_from(["after_addition", "residual_branch"]),
    convs_per_residual=st.sampled_from([0, 1, 2, 4, 32]),
    weight_scale=st.booleans(),
    estimator=st.sampled_from(get_args(Estimator)),
    redistribution=st.booleans(),
    width=st.sampled_from([3, 4, 7]),
    depth=st.sampled_from([2, 5]),
    break_at=st.none() | st.sampled_from([1, 2]),
)
# The fields that other backbones do not have.
blocks = st.none() | st.sampled_from([1, 2, 3, 32])


@settings(max_examples=60, deadline=None)
@given(
    design=designs,
    convs_per_block=blocks,
    built=st.just({}) | structures,
    task=st.sampled_from(["sr2", "sr3", "sr4", "denoise25", "jpeg10"]),
)
def test_every_design_builds_trains_and_has_the_right_shape(
    design: Design, convs_per_block: int | None, built: dict[str, Any], task: str
) -> None:
    torch.manual_seed(0)
    restored = get_task(task)
    if restored.upsamples():
        built = built | {"convs_per_block": convs_per_block}
    network = build(design.replace(**built), restored)
    network.set_progress(0.5)
    lq = torch.rand(2, restored.channels, 5, 7)
    calibrate(network, lq)
    out = network(lq)
    assert out.shape == (2, restored.channels, 5 * restored.scale, 7 * restored.scale)
    out.square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    network.eval()
    with torch.no_grad():
        assert network(lq).isfinite().all()


@pytest.mark.parametrize("name", ["sr2", "denoise25"])
@settings(max_examples=15, deadline=None)
@given(design=designs, convs_per_block=blocks, built=structures)
def test_equal_keys_build_the_same_function(
    name: str, design: Design, convs_per_block: int | None, built: dict[str, Any]
) -> None:
    """Of what the task has a choice of."""
    task, outputs = get_task(name), []
    own = {axis: value for axis, value in built.items() if AXES[axis].fits(task)}
    parts = [part for part in design.binarize if part in task.parts]
    blocks_of = convs_per_block if Part.UPSAMPLING in task.parts else None  # DnCNN has no blocks
    design = design.replace(convs_per_block=blocks_of, binarize=parts, **own)
    for same in (design, design.canonical()):
        torch.manual_seed(0)
        outputs.append(build(same, task)(torch.full((1, 3, 4, 4), 0.3)))
    assert torch.equal(*outputs)


@pytest.mark.parametrize("task", ["sr4", "denoise25", "jpeg10"])
def test_exactly_the_named_parts_are_binary(task: str) -> None:
    for name, preset in presets(get_task(task)).items():
        design = preset.replace(width=6, depth=4)
        network = build(design, get_task(task))
        for part in TASKS[task].parts:
            kinds = [
                type(layer)
                for layer in network.get_submodule(part).modules()
                if isinstance(layer, BinaryConv2d | BinaryWeightConv2d | nn.Conv2d)
            ]
            binary = BinaryWeightConv2d if name == "ma" else BinaryConv2d
            assert set(kinds) == {binary if design.binary(part) else FullConv2d}, name
            assert len(kinds) == {"head": 1, "body": 4, "upsampling": 3, "tail": 1}[part]


def test_residuals_span_the_convolutions_they_should() -> None:
    def sizes(span: int, depth: int) -> list[tuple[int, bool]]:
        design = PRESETS["bbcu-v4"].replace(convs_per_residual=span, depth=depth, width=4)
        blocks = build(design, get_task("sr2")).body
        assert all(isinstance(block, BinaryBlock) for block in blocks)
        return [(len(b.units), b.residual) for b in blocks if isinstance(b, BinaryBlock)]

    assert sizes(1, 3) == [(1, True)] * 3
    assert sizes(2, 5) == [(2, True), (2, True), (1, True)]
    assert sizes(32, 4) == [(4, True)]
    assert sizes(0, 4) == [(4, False)]


def test_full_precision_body_is_blocks_of_conv_relu_conv() -> None:
    block = build(PRESETS["srresnet"].replace(width=4, depth=4), get_task("sr2")).body[0]
    assert isinstance(block, ResidualBlock)
    x = torch.randn(1, 4, 5, 5)
    torch.testing.assert_close(block(x), x + block.convs[1](F.relu(block.convs[0](x))))


def test_a_residual_is_removed_at_one_place() -> None:
    design = Design(binarize=["body"], width=4, depth=6, break_at=4)
    assert [block.residual for block in build(design, get_task("sr2")).body] == [True] * 3 + [
        False
    ] + [True] * 2
    pairs = build(design.replace(convs_per_residual=2), get_task("denoise25")).body
    assert [block.residual for block in pairs] == [True, False, True]


def test_full_precision_blocks_are_of_as_many_convolutions_as_wanted() -> None:
    x = torch.randn(1, 4, 5, 5)

    def blocks(convs: int) -> list[ResidualBlock]:
        return list(build(Design(width=4, depth=7, convs_per_block=convs), get_task("sr2")).body)

    assert [len(block.convs) for block in blocks(4)] == [4, 3]
    first, second, third = (blocks(3)[0].convs[i] for i in range(3))
    block = ResidualBlock(4, 3, Design(width=4, depth=7, convs_per_block=3))
    block.convs = nn.ModuleList([first, second, third])
    assert torch.equal(block(x), x + third(F.relu(second(F.relu(first(x))))))
    one = blocks(1)[0]  # not linear
    assert torch.equal(one(x), x + F.relu(one.convs[0](x)))
    with pytest.raises(UserError, match="convs_per_block = 4"):
        build(Design(convs_per_block=4), get_task("denoise25"))


def test_alignment_multiplies_the_input_and_divides_the_output() -> None:
    # With biases of 0, as they start, leaky ReLUs and convolutions are homogeneous.
    torch.manual_seed(0)
    plain = build(Design(width=4, depth=2), get_task("sr2"))
    aligned = build(Design(width=4, depth=2, k_ratio=1.0), get_task("sr2"))
    aligned.load_state_dict(plain.state_dict())
    x = torch.rand(1, 3, 6, 6)
    torch.testing.assert_close(aligned(x), plain(x), rtol=1e-4, atol=1e-5)


def test_bbcu_m_is_the_authors_network() -> None:
    """Their forward pass, written down in plain torch."""
    torch.manual_seed(0)
    network = build(PRESETS["bbcu-m"].replace(width=6, depth=3), get_task("sr4"))
    with torch.no_grad():
        for parameter in network.parameters():  # thresholds and biases start at 0
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    state = network.state_dict()

    def sgn(t: torch.Tensor) -> torch.Tensor:
        return torch.where(t > 0, 1.0, -1.0)

    def unit(name: str, x: torch.Tensor) -> torch.Tensor:
        weight = state[f"{name}.conv.weight"]
        scale = weight.abs().mean((1, 2, 3), keepdim=True)
        y = sgn(x - state[f"{name}.conv.alpha"].view(1, -1, 1, 1))
        y = F.conv2d(y, scale * sgn(weight), padding=1)
        beta, gamma, zeta = (
            state[f"{name}.activation.{each}"].view(1, -1, 1, 1)
            for each in ("beta", "gamma", "zeta")
        )
        return torch.where(y > gamma, y - gamma, beta * (y - gamma)) + zeta

    def conv(name: str, x: torch.Tensor) -> torch.Tensor:
        return F.conv2d(x, state[f"{name}.weight"], state[f"{name}.bias"], padding=1)

    image = torch.rand(1, 3, 7, 9)
    x = image * network.design.k
    skip = F.interpolate(x, scale_factor=4, mode="bilinear", align_corners=False)
    x = F.leaky_relu(conv("head.layer", x), 0.1)
    for layer in range(3):
        x = unit(f"body.{layer}.units.0", x) + x
    for layer in range(2):
        nearest = F.interpolate(x, scale_factor=2, mode="nearest")
        x = F.pixel_shuffle(unit(f"upsampling.up.{layer}.unit", x), 2) + nearest
    x = F.leaky_relu(unit("upsampling.hr", x) + x, 0.1)
    expected = (conv("tail.layer", x) + skip) / network.design.k
    torch.testing.assert_close(network(image), expected)


def test_full_precision_starts_small_as_in_the_authors_code() -> None:
    """0.1 times Kaiming's √(2 / fan-in), in head, blocks, upsampling, conv_hr and tail."""
    torch.manual_seed(0)
    network = build(PRESETS["srresnet"].replace(depth=2), get_task("sr4"))
    for name, module in network.named_modules():
        if isinstance(module, FullConv2d):
            expected = 0.1 * (2 / (9 * module.in_channels)) ** 0.5
            assert float(module.weight.detach().std()) == pytest.approx(expected, rel=0.1), name
            assert module.bias is not None
            assert not module.bias.any()


@pytest.mark.parametrize(
    ("task", "preset", "biases"),
    [
        ("denoise25", "bbcu", False),
        ("denoise25", "dncnn", True),
        ("jpeg10", "bbcu", True),
        ("jpeg10", "dncnn3", True),
    ],
)
def test_dncnn_has_no_biases_in_the_1_bit_network_in_colour(
    task: str, preset: str, biases: bool
) -> None:
    network = build(PRESETS[preset].replace(width=4, depth=2), get_task(task))
    for layer in (network.head.layer, network.tail.layer):
        assert isinstance(layer, FullConv2d)
        assert (layer.bias is not None) == biases


def test_a_network_that_adds_nothing_is_bilinear_interpolation() -> None:
    for design in (Design(width=4, depth=2), PRESETS["bbcu-m"].replace(width=4, depth=2)):
        network = build(design, get_task("sr4"))
        nn.init.zeros_(network.tail.layer.weight)  # type: ignore[arg-type]
        x = torch.rand(1, 3, 5, 6)
        expected = F.interpolate(x, scale_factor=4, mode="bilinear")
        torch.testing.assert_close(network(x), expected)


@pytest.mark.parametrize(("channels", "expected"), [(3, "012"), (5, "01201"), (8, "00112201")])
def test_a_binary_head_repeats_the_image(channels: int, expected: str) -> None:
    x = torch.arange(3.0).view(1, 3, 1, 1)
    wanted = [float(digit) for digit in expected]
    assert repeat_channels(x, channels).flatten().tolist() == wanted


def test_thresholds_of_a_binary_head_start_at_the_mean_of_images() -> None:
    design = Design(binarize=(Part.HEAD,), k_ratio=1.0, width=6, depth=1)
    layer = build(design, get_task("sr4")).head.layer
    assert isinstance(layer, BBCU)
    torch.testing.assert_close(layer.conv.alpha.detach(), torch.tensor(RGB_MEAN) * design.k)


def test_calibration_starts_a_tail_that_sees_only_positive_values_at_their_mean() -> None:
    torch.manual_seed(0)
    design = Design(
        binarize=(Part.UPSAMPLING, Part.TAIL), activation="relu", width=4, depth=1,
        activation_position="after_addition",
    )  # fmt: skip
    network = build(design, get_task("sr2"))
    lq = torch.rand(2, 3, 6, 6)
    calibrate(network, lq)
    layer = network.tail.layer
    assert isinstance(layer, BBCU)
    with torch.no_grad():
        seen = network.upsampling(network.body(network.head(lq * design.k)))
    assert (seen >= 0).all()
    torch.testing.assert_close(layer.conv.alpha.detach(), seen.mean((0, 2, 3)))
    assert layer.conv.alpha.max() > 0


def test_seeds_reach_every_weight() -> None:
    states = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        states.append(
            build(PRESETS["bbcu-m"].replace(width=4, depth=2), get_task("sr2")).state_dict()
        )
    name = "body.0.units.0.conv.weight"
    assert torch.equal(states[0][name], states[1][name])
    assert not torch.equal(states[0][name], states[2][name])


def test_unknown_task() -> None:
    with pytest.raises(UserError, match=r"unknown task 'sr5'.*did you mean"):
        build(Design(), get_task("sr5"))
