from __future__ import annotations

import pytest
import torch

from bbnas.data import Dataset
from bbnas.design import Design
from bbnas.presets import PRESETS
from bbnas.protocol import PROTOCOLS, Protocol
from bbnas.tasks import get_task
from bbnas.training import Diverged, Training, learning_rate
from bbnas.training.loop import initialise

PROXY = PROTOCOLS["proxy"]


def start(design: Design, protocol: Protocol, dataset: Dataset) -> Training:
    return Training.of(design, get_task("sr4"), protocol, dataset, "cpu")


def weights(training: Training) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in training.network.state_dict().items()}


def equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("iterations", [4, 10, 250, 1001])
def test_onecycle_is_torchs(iterations: int) -> None:
    protocol = PROXY.model_copy(update={"iterations": iterations})
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    torchs = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=protocol.learning_rate, total_steps=iterations, cycle_momentum=False
    )
    for iteration in range(iterations):
        expected = torchs.get_last_lr()[0]
        assert learning_rate(protocol, iteration) == pytest.approx(expected, rel=1e-9, abs=1e-12)
        optimizer.step()
        if iteration < iterations - 1:
            torchs.step()


@pytest.mark.parametrize("iterations", [1, 2, 3])
def test_onecycle_of_hardly_any_iterations_stays_within_its_range(iterations: int) -> None:
    protocol = PROXY.model_copy(update={"iterations": iterations})
    rates = [learning_rate(protocol, i) for i in range(iterations)]
    assert all(0 < rate <= protocol.learning_rate for rate in rates)


def test_halving_is_torchs() -> None:
    protocol = PROTOCOLS["paper"].model_copy(update={"iterations": 50, "halve_every": 20})
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=protocol.learning_rate)
    torchs = torch.optim.lr_scheduler.StepLR(optimizer, step_size=20, gamma=0.5)
    for iteration in range(50):
        assert learning_rate(protocol, iteration) == pytest.approx(torchs.get_last_lr()[0])
        optimizer.step()
        torchs.step()


def test_a_step_is_adam_on_the_l1_loss(dataset: Dataset, quick: Protocol) -> None:
    """Ten steps against a plain transcription with torch's unfused Adam."""
    training = start(PRESETS["srresnet"], quick, dataset)
    network = initialise(PRESETS["srresnet"], get_task("sr4"), quick)
    optimizer = torch.optim.Adam(network.parameters(), betas=quick.betas, foreach=False)
    for iteration in range(10):
        lq, hq = training.batch_at(iteration)
        optimizer.param_groups[0]["lr"] = learning_rate(quick, iteration)
        optimizer.zero_grad()
        (network(lq) - hq).abs().mean().backward()
        optimizer.step()
    training.advance(10)
    for name, value in network.state_dict().items():
        torch.testing.assert_close(training.network.state_dict()[name], value)


@pytest.mark.parametrize("preset", ["srresnet", "bbcu-v1", "bbcu-m"])
def test_the_loss_falls(preset: str, dataset: Dataset, quick: Protocol) -> None:
    training = start(PRESETS[preset], quick.model_copy(update={"iterations": 150}), dataset)
    first = training.advance(15)
    while training.iteration < 135:
        training.advance(15)
    assert training.advance(15) < 0.95 * first


def test_equal_seeds_give_equal_bits_and_others_do_not(dataset: Dataset, quick: Protocol) -> None:
    runs = []
    for seed in (0, 0, 1):
        torch.manual_seed(len(runs))  # the caller's own random state must not matter
        training = start(PRESETS["bbcu-l"], quick.with_seed(seed), dataset)
        training.advance(5)
        runs.append(weights(training))
    assert equal(runs[0], runs[1])
    assert not equal(runs[0], runs[2])


def test_how_the_steps_are_cut_does_not_matter(dataset: Dataset, quick: Protocol) -> None:
    whole, cut = (start(PRESETS["bbcu-v1"], quick, dataset) for _ in range(2))
    whole.advance(9)
    for steps in (1, 3, 5):
        cut.network.eval()  # as a validation leaves it
        cut.advance(steps)
    assert equal(weights(whole), weights(cut))


def test_the_callers_random_state_is_left_alone(quick: Protocol) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    initialise(PRESETS["bbcu-m"], get_task("sr4"), quick)
    assert torch.equal(torch.rand(3), expected)


def test_advance_ends_with_the_protocol(dataset: Dataset, quick: Protocol) -> None:
    training = start(PRESETS["bbcu-l"], quick.model_copy(update={"iterations": 3}), dataset)
    training.advance(100)
    assert training.iteration == 3


def test_the_estimator_is_told_the_progress(dataset: Dataset, quick: Protocol) -> None:
    design = PRESETS["bbcu-l"].replace(estimator="ede")
    training = start(design, quick.model_copy(update={"iterations": 10}), dataset)
    training.advance(6)
    seen = {m.progress for m in training.network.modules() if hasattr(m, "progress")}
    assert seen == {0.5}  # the sixth step starts after five of ten


def test_a_loss_that_is_not_finite_is_told_with_its_iteration(
    dataset: Dataset, quick: Protocol
) -> None:
    training = start(PRESETS["srresnet"], quick, dataset)
    training.advance(3)
    with torch.no_grad():
        training.network.tail.layer.bias.fill_(float("nan"))
    with pytest.raises(Diverged, match="iteration 4: the training loss is nan"):
        training.advance(20)


def test_weights_that_the_last_step_broke_are_found(dataset: Dataset, quick: Protocol) -> None:
    protocol = quick.model_copy(update={"iterations": 1, "learning_rate": 1e39})
    training = start(PRESETS["srresnet"], protocol, dataset)
    with pytest.raises(Diverged, match="is not finite"):
        training.advance(1)
