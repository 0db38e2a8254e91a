"""Training on a GPU against a CPU: one loop, other hardware."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bbnas.binary.precision import computing_in
from bbnas.data import Dataset, Patches
from bbnas.design import Design
from bbnas.inference import evaluate, load_checkpoint, score
from bbnas.networks import build
from bbnas.presets import PRESETS, load_design
from bbnas.protocol import Protocol
from bbnas.recipe import Recipe
from bbnas.runs.executors import TrainingEvaluator, usual_workers
from bbnas.runs.train import train
from bbnas.runs.train_all import Request, train_all
from bbnas.tasks import get_task
from bbnas.training import Training, evaluate_design
from bbnas.training.batches import Batches

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA GPU")

EVERYTHING = Design(
    binarize=("head", "body", "upsampling", "tail"), norm="batchnorm", estimator="ede", width=32
)
DESIGNS = [
    ("sr4", "bbcu-m"), ("sr4", "bbcu-v1"), ("sr4", EVERYTHING), ("sr4", "srresnet"),
    ("sr4", "bnn"), ("sr2", "irnet"), ("sr4", "bam"), ("denoise", "bbcu-m"), ("jpeg", "btm"),
    ("jpeg40", "xnornet"),
]  # fmt: skip


def start(
    task: str, name: str | Design, protocol: Protocol, dataset: Dataset, device: str
) -> Training:
    design = load_design(name, get_task(task)) if isinstance(name, str) else name
    return Training.of(design, get_task(task), protocol, dataset, device)


def plain(training: Training) -> Training:
    """The same training whose steps are launched one by one."""
    return Training(
        training.network,
        training.batch_at,
        training.protocol,
        training.device,
        training._teach,
        plain=True,
    )


@pytest.mark.parametrize(("task", "name"), DESIGNS)
def test_steps_are_those_of_a_cpu(
    task: str, name: str | Design, dataset: Dataset, quick: Protocol
) -> None:
    slow = quick.replace(learning_rate=2e-4)
    cpu, gpu = (start(task, name, slow, dataset, device) for device in ("cpu", "cuda"))
    assert gpu.environment["precision"] in ("tf32", "fp32")
    assert gpu.environment["gpu"] == torch.cuda.get_device_name(0)
    # TF32 rounds to 2^-11, and where a sign changes by it, losses differ by more.
    for _ in range(10):
        assert gpu.advance(1) == pytest.approx(cpu.advance(1), rel=0.02)


@pytest.mark.parametrize(("task", "name"), DESIGNS)
def test_a_graph_is_the_plain_loop(
    task: str, name: str | Design, dataset: Dataset, quick: Protocol
) -> None:
    slow = quick.replace(learning_rate=2e-4)
    graphed = start(task, name, slow, dataset, "cuda")
    single = plain(start(task, name, slow, dataset, "cuda"))
    losses = [(graphed.advance(4), single.advance(4)) for _ in range(6)]
    assert graphed.graph is not None
    assert graphed.graph.refused == ""
    assert graphed.graph._graph is not None
    for one, other in losses:
        assert one == pytest.approx(other, rel=0.02)  # sums on a GPU have no fixed order
    # Learning rate and progress are those of the step, not of the recording.
    assert graphed.adam.square.norm() == pytest.approx(float(single.adam.square.norm()), rel=0.1)


@pytest.mark.parametrize(
    "option", [{"progressive": 0.3}, {"ema": 0.9}, {"distill": 1.0}, {"latent_rate": 0.5}]
)
def test_a_graph_has_the_options_of_a_protocol(
    option: dict[str, float], dataset: Dataset, quick: Protocol
) -> None:
    """Progressive binarization has three stages, each with a graph of its own."""
    slow = quick.replace(learning_rate=2e-4, **option)
    graphed = start("sr4", "bbcu-m", slow, dataset, "cuda")
    single = plain(start("sr4", "bbcu-m", slow, dataset, "cuda"))
    for _ in range(6):
        assert graphed.advance(10) == pytest.approx(single.advance(10), rel=0.02)
    assert graphed.graph is not None
    assert graphed.graph.refused == ""
    assert graphed.graph._graph is not None
    norms = [
        sum(float(p.detach().norm()) for p in training.averaged.parameters())
        for training in (graphed, single)
    ]
    assert norms[0] == pytest.approx(norms[1], rel=1e-3)


def test_ede_in_a_graph_follows_the_progress(dataset: Dataset, quick: Protocol) -> None:
    design = PRESETS["bbcu-m"].replace(estimator="ede")
    training = start("sr4", design, quick, dataset, "cuda")
    training.advance(30)
    (seen,) = {float(m.progress) for m in training.network.modules() if hasattr(m, "progress")}
    assert seen == pytest.approx(29 / quick.iterations)


@pytest.mark.parametrize("name", ["sr4", "denoise", "jpeg"])
def test_batches_on_the_gpu_are_those_of_the_cpu(name: str, dataset: Dataset) -> None:
    patches = Patches(dataset.train, get_task(name), 32, 8, seed=5)
    ahead = Batches(patches.batch_at, torch.device("cuda", 0), end=30, ahead=2)
    for iteration in range(30):
        for found, expected in zip(ahead.at(iteration), patches.batch_at(iteration), strict=True):
            assert found.is_cuda
            assert torch.equal(found.cpu(), expected)


def test_bf16_decides_as_float32_does() -> None:
    """A convolution of signs is exact in float16, so a fully binary network has equal signs."""
    task = get_task("sr4")
    design = load_design("bbcu-v4", task).replace(
        width=64, depth=4, binarize=("head", "body", "upsampling", "tail")
    )
    torch.manual_seed(0)
    network = build(design, task).cuda()
    lq = torch.rand(2, 3, 24, 24, device="cuda")
    outputs = []
    for precision in ("fp32", "tf32", "bf16"):
        with computing_in(precision):
            outputs.append(network(lq).detach())
    assert torch.equal(outputs[0], outputs[1])
    assert torch.equal(outputs[0], outputs[2])


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("preset", ["bbcu-m", "bbcu-v1", "srresnet"])
def test_the_loss_falls(preset: str, precision: str, dataset: Dataset, quick: Protocol) -> None:
    protocol = quick.replace(iterations=300, precision=precision)
    training = start("sr4", preset, protocol, dataset, "cuda")
    first = training.advance(30)
    training.advance(240)
    assert training.advance(30) < 0.95 * first
    assert training.graph is not None
    assert training.graph.refused == ""


def test_a_run_is_resumed_on_either_device(recipe: Recipe, tmp_path: Path) -> None:
    folder = tmp_path / "run"

    def stop(event: object) -> None:
        raise KeyboardInterrupt

    for device in ("cuda", "cpu", "cuda"):
        with pytest.raises(KeyboardInterrupt):
            train(
                recipe,
                folder,
                resume=folder.exists(),
                device=device,
                on_event=stop,
                checkpoint_seconds=0,
            )
    info = train(recipe, folder, resume=True, device="cuda")
    assert info.iteration == 60
    assert info.psnr is not None


def test_a_candidate_pauses_and_goes_on(dataset: Dataset, quick: Protocol, tmp_path: Path) -> None:
    task, protocol = get_task("sr4"), quick.replace(rungs=(20,))
    stopped = evaluate_design(
        PRESETS["bbcu-m"], task, protocol, dataset, "cuda", until=20, paused=tmp_path
    )
    assert stopped.status == "stopped"
    ended = evaluate_design(PRESETS["bbcu-m"], task, protocol, dataset, "cuda", paused=tmp_path)
    assert ended.status == "ok"
    assert ended.rungs == stopped.rungs
    assert ended.environment["device"] == "cuda:0"


def test_a_checkpoint_scores_as_on_a_cpu(recipe: Recipe, dataset: Dataset, tmp_path: Path) -> None:
    train(recipe, tmp_path / "run", device="cuda")
    path = tmp_path / "run" / "best.safetensors"
    on = {
        device: evaluate(path, None, dataset.validation, device=device)[-1]
        for device in ("cpu", "cuda")
    }
    # Float32 on both: without that, TF32 alone would change PSNR by more.
    assert on["cuda"].psnr == pytest.approx(on["cpu"].psnr, abs=2e-3)
    network, _ = load_checkpoint(path)
    task = get_task(recipe.task)
    tiled = score(network, task, dataset.validation, "cuda", tile=24)[-1]
    assert tiled.psnr == pytest.approx(on["cuda"].psnr, abs=2e-3)


def test_two_workers_share_the_gpu(dataset: Dataset, quick: Protocol) -> None:
    evaluator = TrainingEvaluator(get_task("sr4"), quick, dataset, "cuda")
    assert 1 <= usual_workers(evaluator) <= 4 * torch.cuda.device_count()
    designs = {
        name: Request(PRESETS[name], quick, name) for name in ("bbcu-m", "bbcu-l", "bbcu-v1")
    }
    found = train_all(designs, evaluator, None, workers=2)
    for evaluation in found.values():
        assert evaluation.status == "ok"
        assert evaluation.environment["device"] == "cuda:0"
        assert evaluation.environment["precision"] in ("tf32", "fp32")


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="torch finds fewer than two GPUs")
@pytest.mark.parametrize("norm", ["none", "batchnorm"])
def test_a_training_on_two_gpus_follows_that_on_one(
    norm: str, recipe: Recipe, tmp_path: Path
) -> None:
    recipe = recipe.model_copy(update={"design": recipe.design.replace(norm=norm)})
    alone = train(recipe, tmp_path / "alone", device="cuda")
    both = train(recipe, tmp_path / "both", device="cuda", workers=2)
    assert both.psnr == pytest.approx(alone.psnr, abs=0.05)
