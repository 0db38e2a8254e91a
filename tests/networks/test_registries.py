"""Every method and backbone on every task: builds, trains, is written and costs what it should."""

from __future__ import annotations

import pytest
import torch
import yaml

from bbnas.cost import count
from bbnas.design import METHODS, Design
from bbnas.networks import build
from bbnas.presets import PRESETS, presets
from bbnas.protocol import Protocol
from bbnas.tasks import BACKBONES, TASKS, Part, get_task
from bbnas.training import Training

WIDTH, DEPTH, SIDE = 8, 4, 16
STEPS = 20

# One name for each network: bbcu-l, bbcu-v4 and bbcu name the same one.
CASES = [
    (task, name)
    for task in TASKS
    for name in {design.key: name for name, design in presets(get_task(task)).items()}.values()
]


class OneBatch:
    """The same degraded pattern in every step, which a network must be able to memorise."""

    def __init__(self, task: str) -> None:
        found = TASKS[task]
        generator = torch.Generator().manual_seed(0)
        side = SIDE * found.scale
        self.hq = torch.nn.functional.interpolate(
            torch.rand(2, found.channels, 6, 6, generator=generator), size=side, mode="bilinear"
        )
        self.lq = self.hq[..., :: found.scale, :: found.scale]
        self.lq = self.lq + 0.1 * torch.randn(self.lq.shape, generator=generator)

    def batch_at(self, iteration: int) -> tuple[torch.Tensor, torch.Tensor]:
        return self.lq, self.hq


def test_every_row_label_of_the_tables_is_a_name() -> None:
    assert set(METHODS) == {
        "bnn", "xnornet", "bireal", "irnet", "reactnet", "bam", "btm", "ma",
        "bbcu", "bbcu-v1", "bbcu-v2", "bbcu-v3", "bbcu-v4",
    }  # fmt: skip
    full = {f"{name}{suffix}" for name in BACKBONES for suffix in ("", "-lite")}
    assert set(PRESETS) == {*METHODS, *full, "bbcu-l", "bbcu-m"}


@pytest.mark.parametrize(("task", "name"), CASES)
def test_every_method_on_every_backbone_and_task(task: str, name: str) -> None:
    width = 12 if name.endswith("-lite") else WIDTH
    design = presets(get_task(task))[name].replace(width=width, depth=DEPTH)
    assert Design.from_dict(yaml.safe_load(design.to_yaml())) == design

    torch.manual_seed(0)
    network = build(design, get_task(task))
    batch = OneBatch(task)
    out = network(batch.lq)
    assert out.shape == batch.hq.shape
    out.square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())

    protocol = Protocol(name="test", iterations=STEPS, batch=2, patch=8, learning_rate=3e-3)
    training = Training(network, batch.batch_at, protocol, torch.device("cpu"))
    first, *_, last = [training.advance(1) for _ in range(STEPS)]
    assert last < first

    macs, weights = formula(task, width)
    found = count(design, get_task(task), (1, 1))
    binary = {part: design.binary(part) for part in TASKS[task].parts}
    weights_only = design.method == "ma"
    accumulated = DEPTH * (DEPTH + 1) // 2 if design.method == "bam" else 0
    assert found.unknown == {}
    assert (
        found.params
        == sum(weights[part] / (32 if one else 1) for part, one in binary.items())
        + 2 * accumulated
    )
    assert found.ops == pytest.approx(
        sum(macs[part] / (64 if one and not weights_only else 1) for part, one in binary.items())
        + accumulated * width * (1 + 1 / 64)
    )


def formula(task: str, n: int) -> tuple[dict[Part, int], dict[Part, int]]:
    """MACs an LQ pixel and weights by part, from the shapes in methods.md."""
    found = TASKS[task]
    scale = found.scale
    macs = {Part.HEAD: 9 * found.channels * n, Part.BODY: DEPTH * 9 * n * n}
    weights = dict(macs)
    if found.backbone.name == "srresnet":
        macs[Part.UPSAMPLING] = weights[Part.UPSAMPLING] = 0
        area = 1
        for step in (2, 2) if scale == 4 else (scale,):
            macs[Part.UPSAMPLING] += area * 9 * n * n * step**2
            weights[Part.UPSAMPLING] += 9 * n * n * step**2
            area *= step**2
        macs[Part.UPSAMPLING] += area * 9 * n * n  # conv_hr
        weights[Part.UPSAMPLING] += 9 * n * n
    weights[Part.TAIL] = 9 * n * found.channels
    macs[Part.TAIL] = scale**2 * weights[Part.TAIL]
    return macs, weights
