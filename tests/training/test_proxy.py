from __future__ import annotations

import math
from pathlib import Path

import pytest

from bbnas.cost import count
from bbnas.data import Dataset
from bbnas.design import Design
from bbnas.evaluation import Evaluation
from bbnas.inference import score
from bbnas.native import kernels
from bbnas.presets import PRESETS
from bbnas.protocol import Protocol
from bbnas.tasks import Part, get_task
from bbnas.training import evaluate_design
from bbnas.training.loop import initialise


def figures(evaluation: Evaluation) -> tuple[object, ...]:
    return (evaluation.psnr, evaluation.ssim, evaluation.curve)


def test_an_evaluation_is_complete_and_repeatable(dataset: Dataset, quick: Protocol) -> None:
    design = PRESETS["bbcu-m"]
    seen: list[tuple[int, float]] = []
    evaluation = evaluate_design(
        design, get_task("sr4"), quick, dataset, progress=lambda *point: seen.append(point)
    )
    assert evaluation.status == "ok"
    assert evaluation.feasible
    assert evaluation.design == design
    assert evaluation.data == dataset.fingerprint
    assert 15 < evaluation.psnr < 40
    assert 0.3 < evaluation.ssim < 1
    # The cost is that of the design itself, not of the reduced network that was trained.
    assert evaluation.ops == count(design, get_task("sr4")).ops
    assert evaluation.params == count(design, get_task("sr4")).params
    assert evaluation.curve == tuple(seen)
    assert [i for i, _ in evaluation.curve] == list(range(1, 61))
    assert evaluation.environment["device"] == "cpu"
    assert evaluation.environment["kernels"] == kernels()
    assert evaluation.environment["torch"]
    assert evaluation.seconds > 0
    again = evaluate_design(design, get_task("sr4"), quick, dataset)
    assert figures(again) == figures(evaluation)
    other = evaluate_design(design, get_task("sr4"), quick.with_seed(1), dataset)
    assert figures(other) != figures(evaluation)


def test_training_improves_on_the_untrained_network(dataset: Dataset, quick: Protocol) -> None:
    untrained = initialise(PRESETS["bbcu-m"], get_task("sr4"), quick)
    before = score(untrained, get_task("sr4"), dataset.validation, side=quick.validation_side)[-1]
    after = evaluate_design(PRESETS["bbcu-m"], get_task("sr4"), quick, dataset)
    assert after.psnr > before.psnr + 0.05  # it starts at the skip


@pytest.mark.parametrize("iterations", [1, 63, 64, 65, 130])
def test_curves_have_at_most_64_points_and_reach_the_end(
    iterations: int, dataset: Dataset, quick: Protocol
) -> None:
    protocol = quick.model_copy(update={"iterations": iterations, "batch": 1})
    curve = evaluate_design(PRESETS["srresnet-lite"], get_task("sr4"), protocol, dataset).curve
    assert len(curve) <= 64
    assert curve[-1][0] == iterations


def test_divergence_is_an_evaluation_with_its_curve(dataset: Dataset, quick: Protocol) -> None:
    protocol = quick.model_copy(update={"learning_rate": 1e15})
    evaluation = evaluate_design(PRESETS["srresnet"], get_task("sr4"), protocol, dataset)
    assert evaluation.status == "diverged"
    assert not evaluation.feasible
    assert math.isnan(evaluation.psnr)
    assert math.isnan(evaluation.ssim)
    assert "diverged at iteration" in evaluation.error
    assert evaluation.ops == count(PRESETS["srresnet"], get_task("sr4")).ops
    assert 0 < len(evaluation.curve) < 60
    assert all(math.isfinite(loss) for _, loss in evaluation.curve)


@pytest.mark.parametrize(
    "design",
    [
        Design(width=3, depth=1),
        Design(binarize=tuple(Part), k_ratio=64.0, activation="none", convs_per_residual=0),
        Design(binarize=tuple(Part), norm="batchnorm", estimator="ede", weight_scale=False),
        Design(binarize=("body",), activation="hardtanh", estimator="clip", convs_per_residual=4),
    ],
    ids=lambda design: design.label(),
)
@pytest.mark.parametrize("task", ["sr2", "sr3"])
def test_designs_of_every_kind_are_evaluated(
    design: Design, task: str, dataset: Dataset, quick: Protocol
) -> None:
    protocol = quick.model_copy(update={"iterations": 5})
    assert evaluate_design(design, get_task(task), protocol, dataset).status == "ok"


def test_a_candidate_paused_at_a_rung_resumes_with_its_average(
    dataset: Dataset, quick: Protocol, tmp_path: Path
) -> None:
    design, task = PRESETS["bbcu-v1"], get_task("sr4")
    protocol = quick.replace(iterations=20, rungs=(8,), ema=0.8, progressive=0.2)
    whole = evaluate_design(design, task, protocol, dataset)
    stopped = evaluate_design(design, task, protocol, dataset, until=8, paused=tmp_path)
    assert (stopped.status, stopped.rungs) == ("stopped", whole.rungs)
    resumed = evaluate_design(design, task, protocol, dataset, paused=tmp_path)
    assert (figures(resumed), resumed.rungs) == (figures(whole), whole.rungs)
