from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from bbnas.binary import BinaryConv2d, BinaryWeightConv2d, Unit
from bbnas.data import Dataset
from bbnas.design import METHODS, Design
from bbnas.inference import score
from bbnas.inference.tensors import weights_of
from bbnas.presets import PRESETS, load_design
from bbnas.protocol import PROTOCOLS, Protocol
from bbnas.tasks import get_task
from bbnas.training import Diverged, Training, evaluate_design, learning_rate
from bbnas.training.loop import initialise, teacher_of

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


def test_cosine_is_torchs() -> None:
    protocol = PROXY.replace(iterations=50, schedule="cosine", rungs=())
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=protocol.learning_rate)
    torchs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=50)
    for iteration in range(50):
        expected = torchs.get_last_lr()[0]
        assert learning_rate(protocol, iteration) == pytest.approx(expected, rel=1e-9)
        optimizer.step()
        torchs.step()
    assert 0 < learning_rate(protocol, 49) < 0.001 * protocol.learning_rate


def assert_ten_steps_as(
    optimizer: torch.optim.Optimizer, rates: list[float], network: nn.Module, training: Training
) -> None:
    """Ten steps of ``training`` are those of ``optimizer``, whose groups have these rates."""
    for iteration in range(10):
        lq, hq = training.batch_at(iteration)
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * learning_rate(training.protocol, iteration)
        optimizer.zero_grad()
        (network(lq) - hq).abs().mean().backward()
        optimizer.step()
    training.advance(10)
    for name, value in network.state_dict().items():
        torch.testing.assert_close(training.network.state_dict()[name], value)


def test_a_step_is_adam_on_the_l1_loss(dataset: Dataset, quick: Protocol) -> None:
    """Ten steps against a plain transcription with torch's unfused Adam."""
    training = start(PRESETS["srresnet"], quick, dataset)
    network = initialise(PRESETS["srresnet"], get_task("sr4"), quick)
    optimizer = torch.optim.Adam(network.parameters(), betas=quick.betas, foreach=False)
    assert_ten_steps_as(optimizer, [1.0], network, training)


@pytest.mark.parametrize("preset", ["bbcu-v1", "ma"])
def test_rates_of_shifts_and_latent_weights_are_those_of_parameter_groups(
    preset: str, dataset: Dataset, quick: Protocol
) -> None:
    """Ten steps against torch's Adam with a group for each rate."""
    protocol = quick.replace(shift_rate=0.2, latent_rate=0.5)
    training = start(PRESETS[preset], protocol, dataset)
    network = initialise(PRESETS[preset], get_task("sr4"), protocol)
    shifts, latents = [], []
    for module in network.modules():
        if isinstance(module, Unit):
            shifts += [p for n, p in module.named_parameters() if n not in ("conv.weight", BETA)]
        if isinstance(module, BinaryConv2d | BinaryWeightConv2d):
            latents.append(module.weight)
    assert latents
    grouped = {*shifts, *latents}
    rest = [p for p in network.parameters() if p not in grouped]
    groups = [{"params": group} for group in (shifts, latents, rest) if group]
    optimizer = torch.optim.Adam(groups, betas=protocol.betas, foreach=False)
    rates = [0.2] * bool(shifts) + [0.5, 1.0]
    assert_ten_steps_as(optimizer, rates, network, training)


BETA = "activation.beta"  # RPReLU's slopes, which only multiply


@pytest.mark.parametrize("preset", ["bbcu-l", "bbcu-v1"])  # bbcu-v1 has BatchNorm
def test_the_average_is_that_of_the_weights_after_each_step(
    preset: str, dataset: Dataset, quick: Protocol
) -> None:
    """m = Σ dᵗ⁻ⁱ·wᵢ / Σ dᵗ⁻ⁱ over the steps i, for each weight and statistic."""
    training = start(PRESETS[preset], quick.replace(ema=0.75), dataset)
    plain = start(PRESETS[preset], quick, dataset)
    latest = []
    for _ in range(6):
        training.advance(1)
        plain.advance(1)
        latest.append(weights(training))
    assert equal(latest[-1], weights(plain))  # averaging leaves the training as it is
    factors = torch.tensor([0.75 ** (5 - i) for i in range(6)], dtype=torch.float64)
    averaged = training.averaged.state_dict()
    for name, value in averaged.items():
        if value.is_floating_point():
            steps = torch.stack([w[name].double() for w in latest], dim=-1)
            expected = (steps * factors).sum(-1) / factors.sum()
            torch.testing.assert_close(value.double(), expected, rtol=1e-5, atol=1e-7)
        else:
            assert value == 6  # batches that BatchNorm has seen
    assert not equal(averaged, latest[-1])
    assert plain.averaged is plain.network


def test_the_average_is_scored_and_saved(dataset: Dataset, quick: Protocol) -> None:
    task, protocol = get_task("sr4"), quick.replace(ema=0.9)
    training = start(PRESETS["bbcu-l"], protocol, dataset)
    training.advance(protocol.iterations)
    saved = weights_of(training.state())
    assert equal(saved, training.averaged.state_dict())
    images, side = dataset.validation, protocol.validation_side
    average, latest = (
        score(network, task, images, "cpu", side)[-1].psnr
        for network in (training.averaged, training.network)
    )
    assert evaluate_design(PRESETS["bbcu-l"], task, protocol, dataset).psnr == average != latest


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


def soft(x: torch.Tensor) -> torch.Tensor:
    """Bi-Real's ApproxSign, whose derivative is the estimator max(0, 2 − 2|x|)."""
    inside = torch.where(x < 0, 2 * x + x**2, 2 * x - x**2)
    return torch.where(x.abs() > 1, x.sign(), inside)


def stages(network: torch.nn.Module, lq: torch.Tensor) -> dict[str, torch.Tensor]:
    """The output for each stage: convolutions computed here, the rest by the network."""
    found = {}
    for stage in ("none", "weights"):
        hooks = []
        for conv in (m for m in network.modules() if isinstance(m, BinaryConv2d)):

            def replaced(conv, args, _, stage=stage):  # type: ignore[no-untyped-def]
                weight = conv.weight
                if stage == "weights":
                    ones = torch.where(weight > 0, 1.0, -1.0)
                    weight = ones * weight.abs().mean((1, 2, 3), keepdim=True)
                x = soft(args[0] - conv.alpha.view(1, -1, 1, 1))
                return torch.nn.functional.conv2d(x, weight, padding=1)

            hooks.append(conv.register_forward_hook(replaced))
        network.set_progress(0.0, "none")  # which calls the convolutions one by one
        found[stage] = network(lq)
        for hook in hooks:
            hook.remove()
    network.set_progress(0.0)
    return found | {"both": network(lq)}


@pytest.mark.parametrize("preset", ["bbcu-l", "bbcu-m", "bbcu-v1"])
def test_binarization_comes_in_three_stages(
    preset: str, dataset: Dataset, quick: Protocol
) -> None:
    """Losses of steps 0 to 9: full precision, 1-bit weights, both."""
    protocol = quick.replace(iterations=10, progressive=0.6, learning_rate=1e-4)
    training = start(PRESETS[preset], protocol, dataset)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():  # away from the start, where all branches are small
        for parameter in training.network.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.3)
    for iteration in range(10):
        lq, hq = training.batch_at(iteration)
        expected = {
            stage: (output - hq).abs().mean().item()
            for stage, output in stages(copy.deepcopy(training.network), lq).items()
        }
        low, middle, high = sorted(expected.values())
        assert min(middle - low, high - middle) / low > 1e-4
        stage = "none" if iteration < 3 else "weights" if iteration < 6 else "both"
        # To the bit once both are 1-bit, by the same kernels.
        tolerance = 0.0 if stage == "both" else 1e-5
        assert training.advance(1) == pytest.approx(expected[stage], rel=tolerance, abs=0)
        # Evaluation is that of the 1-bit network at any time.
        network = copy.deepcopy(training.network).eval()
        output = network(lq)
        network.set_progress(0.0)
        assert torch.equal(network(lq), output)


@pytest.mark.parametrize("preset", METHODS)
@pytest.mark.parametrize("task", ["sr2", "denoise25"])
def test_every_method_has_the_stages(
    preset: str, task: str, dataset: Dataset, quick: Protocol
) -> None:
    found = get_task(task)
    protocol = quick.replace(iterations=6, progressive=0.67, learning_rate=1e-4, ema=0.5)
    training = Training.of(load_design(preset, found), found, protocol, dataset, "cpu")
    training.advance(6)  # Diverged, if a loss or a weight is not finite
    for parameter in training.network.parameters():
        assert parameter.grad is not None
        assert parameter.grad.isfinite().all()


def test_gradients_before_binarization_are_autograds(dataset: Dataset, quick: Protocol) -> None:
    network = initialise(PRESETS["bbcu-l"], get_task("sr4"), quick)
    lq = torch.rand(2, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    network.set_progress(0.0, "none")
    network(lq).square().sum().backward()
    found = {n: p.grad.clone() for n, p in network.named_parameters() if p.grad is not None}
    network.zero_grad()
    stages(network, lq)["none"].square().sum().backward()
    assert any(name.endswith("conv.alpha") for name in found)
    for name, gradient in found.items():
        torch.testing.assert_close(network.get_parameter(name).grad, gradient)


def test_ma_begins_in_full_precision(dataset: Dataset, quick: Protocol) -> None:
    """Its activations always are, so the last two stages are one."""
    protocol = quick.replace(iterations=4, progressive=0.5)
    ma, full = (
        initialise(PRESETS[name], get_task("sr4"), protocol) for name in ("ma", "srresnet")
    )
    full.load_state_dict(ma.state_dict())
    lq = torch.rand(2, 3, 6, 6)
    outputs = {}
    for stage in ("none", "weights", "both"):
        ma.set_progress(0.0, stage)
        outputs[stage] = ma(lq)
    torch.testing.assert_close(outputs["none"], full(lq))
    assert torch.equal(outputs["weights"], outputs["both"])
    assert not torch.equal(outputs["none"], outputs["both"])


def test_the_teacher_is_the_full_precision_twin(dataset: Dataset, quick: Protocol) -> None:
    design, task = PRESETS["bbcu-m"], get_task("sr4")
    options = {"ema": 0.8, "latent_rate": 0.5, "progressive": 0.5}  # the last two are idle
    protocol = quick.replace(distill=0.5, iterations=8, **options)
    teacher = teacher_of(design, task, protocol, dataset, "cpu")
    twin = Design(width=design.width, depth=design.depth)
    plain = start(twin, quick.replace(iterations=8, ema=0.8), dataset)
    plain.advance(8)
    assert equal(teacher.state_dict(), plain.averaged.state_dict())
    # Trained once, whatever the unit of the student.
    other = teacher_of(PRESETS["bbcu-v1"], task, protocol.replace(distill=2), dataset, "cpu")
    assert other is teacher
    assert teacher_of(design, task, protocol.with_seed(1), dataset, "cpu") is not teacher


def test_a_step_of_distillation(dataset: Dataset, quick: Protocol) -> None:
    """Five steps against L1 + 0.5·L1 to the teacher, with torch's Adam."""
    design, protocol = PRESETS["bbcu-l"], quick.replace(distill=0.5, iterations=8)
    training = start(design, protocol, dataset)
    network = initialise(design, get_task("sr4"), protocol)
    teacher = teacher_of(design, get_task("sr4"), protocol, dataset, "cpu").eval()
    shifts = [s for unit in network.modules() if isinstance(unit, Unit) for s in unit.shifts]
    rest = [p for p in network.parameters() if p not in set(shifts)]
    optimizer = torch.optim.Adam(
        [{"params": shifts}, {"params": rest}], betas=quick.betas, foreach=False
    )
    for iteration in range(5):
        lq, hq = training.batch_at(iteration)
        for group, factor in zip(optimizer.param_groups, (protocol.shift_rate, 1), strict=True):
            group["lr"] = factor * learning_rate(protocol, iteration)
        optimizer.zero_grad()
        output = network(lq)
        loss = (output - hq).abs().mean()
        (loss + 0.5 * (output - teacher(lq).detach()).abs().mean()).backward()
        optimizer.step()
        # Curves show the loss against HQ, which other trainings have too.
        assert training.advance(1) == pytest.approx(loss.item(), rel=1e-5)
    for name, value in network.state_dict().items():
        torch.testing.assert_close(training.network.state_dict()[name], value)


def test_distilled_features_are_compared_at_equal_size(dataset: Dataset, quick: Protocol) -> None:
    """The gradient of the first step against the loss written out, with the tail's inputs taken
    by hooks; a stream k times as large changes nothing.
    """
    task, design = get_task("sr4"), PRESETS["bbcu-l"]
    protocol = quick.replace(distill=0.5, distill_features=0.1, iterations=8)
    training = start(design, protocol, dataset)
    network = initialise(design, task, protocol)
    teacher = teacher_of(design, task, protocol, dataset, "cpu").eval()
    inputs: dict[str, torch.Tensor] = {}
    for name, one in {"own": network, "teacher": teacher}.items():
        one.tail.register_forward_pre_hook(lambda _, args, n=name: inputs.update({n: args[0]}))
    lq, hq = training.batch_at(0)
    output, target = network(lq), teacher(lq).detach()
    own, theirs = (x / x.abs().mean((1, 2, 3), keepdim=True) for x in inputs.values())
    loss = (output - hq).abs().mean() + 0.5 * (output - target).abs().mean()
    (loss + 0.1 * (own - theirs.detach()).abs().mean()).backward()
    training.advance(1)
    found = dict(training.network.named_parameters())
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None
        torch.testing.assert_close(found[name].grad, parameter.grad, msg=name)
    assert not torch.allclose(own, theirs)


def test_a_teacher_that_diverges_is_told(dataset: Dataset, quick: Protocol) -> None:
    protocol = quick.replace(distill=1, iterations=3, learning_rate=1e30)
    found = evaluate_design(PRESETS["bbcu-l"], get_task("sr4"), protocol, dataset)
    assert found.status == "diverged"
    assert "the teacher diverged at iteration" in found.error
