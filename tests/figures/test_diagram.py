"""The block diagram shows what the network of a design has."""

from __future__ import annotations

from typing import get_args
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from bbnas.axes import Activation, Estimator
from bbnas.binary import Accumulation, BinaryConv2d, BinaryWeightConv2d
from bbnas.cost import count
from bbnas.design import METHODS, Design
from bbnas.figures.diagram import Diagram, diagram
from bbnas.figures.diagram_svg import describe, svg
from bbnas.networks import build
from bbnas.networks.parts import BinaryBlock
from bbnas.networks.srresnet import ResidualBlock
from bbnas.presets import presets
from bbnas.tasks import Part, get_task
from tests.helpers.structures import structures

TASKS_OF_BACKBONES = ("sr2", "sr3", "sr4", "denoise25", "jpeg10")

units = st.fixed_dictionaries(
    {
        "norm": st.sampled_from(["none", "batchnorm"]),
        "k_ratio": st.sampled_from([None, 1 / 64, 1.0]),
        "activation": st.sampled_from(list(get_args(Activation))),
        "activation_position": st.sampled_from(["after_addition", "residual_branch"]),
        "convs_per_residual": st.sampled_from([0, 1, 2, 4, 32]),
        "weight_scale": st.booleans(),
        "estimator": st.sampled_from(get_args(Estimator)),
        "redistribution": st.booleans(),
        "break_at": st.none() | st.sampled_from([1, 2]),
    }
)
designs = st.builds(
    lambda unit, parts, width, depth, built: Design(
        binarize=parts, width=width, depth=depth, **unit, **built
    ),
    st.sampled_from(list(METHODS.values())) | units,
    st.lists(st.sampled_from(list(Part)), unique=True),
    st.sampled_from([3, 8]),
    st.sampled_from([2, 5, 8]),
    st.just({}) | structures,
)


@settings(max_examples=80, deadline=None)
@given(design=designs, name=st.sampled_from(TASKS_OF_BACKBONES))
def test_blocks_are_those_of_the_network(design: Design, name: str) -> None:
    task = get_task(name)
    drawn, network = diagram(design, task), build(design, task)
    cost = count(design, task)
    for part in drawn.parts:
        module = network.get_submodule(part.name)
        layers = [m for m in module.modules() if hasattr(m, "weight") and m.weight.dim() == 4]
        kinds = {BinaryConv2d: "1-bit", BinaryWeightConv2d: "1-bit weights"}
        wanted = [
            (kinds.get(type(layer), "full precision"), f"{c_in} → {c_out}")
            for layer in layers
            for c_out, c_in in [tuple(layer.weight.shape[:2])]
        ]
        assert [(conv.precision, conv.detail) for conv in part.convs] == wanted
        bits = sum(
            c_in * c_out * 3 * 3
            for conv in part.convs
            if conv.precision != "full precision"
            for c_in, c_out in [map(int, conv.detail.split(" → "))]
        )
        assert bits == cost.parts[part.name].params_binary
        assert bool(cost.parts[part.name].macs_binary) == ("1-bit" in part.precisions)
        norms = sum(isinstance(m, nn.BatchNorm2d) for m in module.modules())
        kinds_drawn = [op.kind for b in part.blocks for _ in range(b.repeated) for op in b.ops]
        assert kinds_drawn.count("norm") == norms


@settings(max_examples=40, deadline=None)
@given(design=designs, name=st.sampled_from(["sr4", "jpeg10"]))
def test_residuals_of_the_body_are_those_of_its_blocks(design: Design, name: str) -> None:
    body = build(design, get_task(name)).get_submodule("body")
    wanted = sum(
        isinstance(module, ResidualBlock | Accumulation)
        or (isinstance(module, BinaryBlock) and module.residual)
        for module in body.modules()
    )
    assert diagram(design, get_task(name)).parts[1].residuals == wanted


def one_bit(design: Design, task: str = "sr4") -> Diagram:
    return diagram(design.fitted(get_task(task)), get_task(task))


@pytest.mark.parametrize(
    ("method", "body"),
    [
        ("bnn", "sgn(x) | 3×3 conv | BatchNorm | Hardtanh"),
        ("xnornet", "BatchNorm | sgn(x) | 3×3 conv | × mean|W| | ReLU"),
        ("bireal", "sgn(x) | 3×3 conv | × mean|W| | BatchNorm | +"),
        ("irnet", "sgn(x) | 3×3 conv | × 2ˢ | BatchNorm | +"),
        ("reactnet", "sgn(x − α) | 3×3 conv | × mean|W| | BatchNorm | + | RPReLU"),
        ("bam", "sgn(x) | 3×3 conv | × mean|W| | BatchNorm | +"),
        ("bbcu-v2", "sgn(x − α) | 3×3 conv | × mean|W| | + | RPReLU"),
        ("bbcu-v3", "sgn(x − α) | 3×3 conv | × mean|W| | + | RPReLU"),
        ("bbcu-v4", "sgn(x − α) | 3×3 conv | × mean|W| | RPReLU | +"),
        ("ma", "3×3 conv | ReLU | 3×3 conv | +"),
    ],
)
def test_units_read_as_their_equations(method: str, body: str) -> None:
    drawn = one_bit(presets(get_task("sr4"))[method])
    one_each = [op for _, ops in drawn.parts[1].blocks[0].segments for op in ops]
    assert " | ".join(op.text for op in one_each) == body
    assert (drawn.entry == "× k = 130") == (method in ("bbcu-v3", "bbcu-v4"))


def test_a_residual_around_four_convolutions() -> None:
    design = Design(
        binarize=("body", "tail"), convs_per_residual=4, activation_position="after_addition"
    )
    body = one_bit(design.replace(depth=10)).parts[1]
    assert [(block.repeated, [times for times, _ in block.segments]) for block in body.blocks] == [
        (2, [3, 1]),
        (1, [1, 1]),
    ]
    assert (len(body.convs), body.residuals) == (10, 3)


@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("task", TASKS_OF_BACKBONES)
def test_every_preset_is_drawn(task: str, narrow: bool) -> None:
    for name, design in presets(get_task(task)).items():
        drawn = diagram(
            design.replace(binarize=tuple(Part)).fitted(get_task(task)), get_task(task)
        )
        root = ET.fromstring(svg(drawn, narrow=narrow))
        width = float(root.attrib["viewBox"].split()[2])
        assert width == 360 if narrow else width >= 1130
        assert {"role", "aria-label"} <= root.attrib.keys()
        texts = [element.text for element in root.iter() if element.tag.endswith("text")]
        assert "1-bit" in texts or name == "ma"
        assert "body: 32 conv" in describe(drawn) or task in ("denoise25", "jpeg10")


def test_text_is_escaped_and_a_file_has_its_theme() -> None:
    drawn = Diagram("<script>", one_bit(Design()).parts, "a<b", "&", "", ("<i>",))
    text = svg(drawn, theme="dark")
    root = ET.fromstring(text)
    assert "<script>" not in text
    assert "a<b" in {element.text for element in root.iter()}
    assert "--back:#11151c" in root.attrib["style"]


def test_tasks_differ_in_their_skip() -> None:
    skips = {name: diagram(Design(depth=2), get_task(name)).skip for name in TASKS_OF_BACKBONES}
    assert skips == {
        "sr2": "bilinear ×2",
        "sr3": "bilinear ×3",
        "sr4": "bilinear ×4",
        "denoise25": "",
        "jpeg10": "",
    }
