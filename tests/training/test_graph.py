"""What a CUDA graph needs of a step, as far as a machine without a GPU can tell."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from bbnas.binary.precision import computing_in
from bbnas.data import Dataset
from bbnas.design import Design
from bbnas.presets import PRESETS, load_design
from bbnas.protocol import Protocol
from bbnas.tasks import get_task
from bbnas.training import Training, learning_rate
from bbnas.training.graph import Now
from bbnas.training.loop import initialise

EVERYTHING = Design(
    binarize=("head", "body", "upsampling", "tail"), norm="batchnorm", estimator="ede", width=8
)
BISR = PRESETS["bbcu-m"].replace(estimator="tanh", redistribution=True)
DESIGNS = [
    ("sr4", "bbcu-m"), ("sr4", "bbcu-v1"), ("sr4", EVERYTHING), ("sr4", "srresnet"),
    ("sr4", "bnn"), ("sr2", "irnet"), ("sr4", BISR), ("sr4", "bam"), ("denoise25", "btm"),
    ("jpeg40", "xnornet"),
]  # fmt: skip


def design_of(task: str, name: str | Design) -> Design:
    return load_design(name, get_task(task)) if isinstance(name, str) else name


@pytest.mark.parametrize("design", [PRESETS["bbcu-m"], EVERYTHING], ids=["quadratic", "ede"])
def test_numbers_in_tensors_make_the_same_steps(
    design: Design, dataset: Dataset, quick: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``Now`` of tensors whose values change, as in a graph, against the loop's own numbers."""
    monkeypatch.setenv("BBNAS_ISA", "torch")
    plain, fed = (Training.of(design, get_task("sr4"), quick, dataset, "cpu") for _ in range(2))
    losses = [plain.advance(1) for _ in range(6)]
    double = torch.zeros(2, dtype=torch.float64)
    now = Now(*double.unbind(), number=torch.zeros(()))  # Adam counts in float32
    fed.advance(1)  # which also starts the thresholds of a binary tail
    for iteration in range(1, 6):
        values = iteration / quick.iterations, learning_rate(quick, iteration), iteration + 1
        for place, value in zip(now[:3], values, strict=True):
            assert isinstance(place, torch.Tensor)
            place.fill_(value)
        assert float(fed.step(*fed.batch_at(iteration), now)) == pytest.approx(
            losses[iteration], rel=1e-6
        )
    fed.iteration = 6
    for name, value in plain.state().items():
        torch.testing.assert_close(fed.state()[name], value, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("stage", ["none", "weights", "both"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize(("task", "name"), DESIGNS)
def test_a_step_reads_no_value_back(
    task: str,
    name: str | Design,
    precision: str,
    stage: Any,
    quick: Protocol,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On the device ``meta``, whose tensors have none; nor may it mix with tensors of a CPU."""
    steps: list[dict[str, Any]] = []
    # Torch has no kernel of it for the device.
    monkeypatch.setattr(
        torch, "_fused_adam_", lambda *tensors, **numbers: steps.append({**numbers, "t": tensors})
    )
    monkeypatch.setattr("bbnas.training.loop.resolve_device", torch.device)
    network = initialise(design_of(task, name), get_task(task), quick)
    scale = get_task(task).scale
    lq, hq = (
        torch.rand(2, network.channels, side, side, device="meta") for side in (8, 8 * scale)
    )
    training = Training(network, lambda _: (lq, hq), quick, "meta")
    now = Now(*torch.zeros(3, device="meta").unbind(), stage)
    with computing_in(precision):
        loss = training.step(lq, hq, now)
    assert loss.device.type == "meta"
    for step in steps:
        *tensors, count = (tensor for group in step["t"] for tensor in group)
        assert {tensor.device.type for tensor in tensors} == {"meta"}
        assert count is now.number
        assert step["lr"].device.type == "meta"


@pytest.mark.parametrize("name", ["bbcu-m", "bbcu-v1", "srresnet"])
def test_activations_stay_channels_last(
    name: str, quick: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As cuDNN's tensor cores read them, through the PixelShuffles too."""
    monkeypatch.setenv("BBNAS_ISA", "torch")
    network = initialise(load_design(name).replace(width=16), get_task("sr4"), quick)
    places: list[str] = []

    def look(module: torch.nn.Module, given: tuple[torch.Tensor, ...], out: torch.Tensor) -> None:
        if not all(t.is_contiguous(memory_format=torch.channels_last) for t in (given[0], out)):
            places.append(type(module).__name__)

    for part in (network.head, network.body, network.upsampling, network.tail):
        part.register_forward_hook(look)
    # Torch on a GPU makes contiguous tensors here.
    shuffled = torch.nn.functional.pixel_shuffle
    monkeypatch.setattr(
        torch.nn.functional, "pixel_shuffle", lambda x, factor: shuffled(x, factor).contiguous()
    )
    network(torch.rand(2, 3, 6, 7))
    assert places == []
