from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from bbnas.reporting.measured import measured, tally


def flat(study):
    return {name: value for _, pairs in measured(study) for name, value in pairs}


def test_counts(synthetic_study):
    study = synthetic_study(40, baselines=("srresnet", "bbcu-m"), diverged=0.2)
    numbers = tally(study)
    assert numbers["evaluated"] == 40
    assert numbers["feasible"] + numbers["diverged"] == 40
    assert (numbers["baselines"], numbers["duplicates"], numbers["rejected"]) == (2, 17, 3)
    assert flat(study)["diverged"] == str(numbers["diverged"])


def test_all_that_figures_depend_on_is_named(synthetic_study):
    study = synthetic_study(5, max_ops=5e9, sampler_options={"n_startup_trials": 40})
    study = replace(study, config=replace(study.config, seed=3))
    facts = flat(study)
    protocol = study.config.protocol
    assert facts["iterations"] == f"{protocol.iterations:,}"
    assert facts["limits"] == "OPs at most 5.00 G"
    assert facts["sampler"] == f"{study.config.sampler} (n_startup_trials 40)"
    assert (facts["search seed"], facts["training seed"]) == ("3", "0")
    assert facts["torch"] == "2.13.0"
    assert facts["data fingerprint"] == "fingerprint"
    assert facts["study"] == "first in sqlite:///studies/first.db"


def test_options_of_training_are_named_where_they_are_on(synthetic_study):
    study = synthetic_study(1)
    protocol = study.config.protocol
    assert flat(study)["learning rate"] == (
        "0.001, one cycle, × 0.1 for thresholds, shifts and normalisations"
    )
    options = {"weights scored", "progressive binarization", "distillation"}
    assert not options & flat(study).keys()
    changes = {"ema": 0.99, "progressive": 0.5, "distill": 0.3, "latent_rate": 0.5, "rungs": ()}
    changed = protocol.replace(schedule="cosine", shift_rate=1, **changes)
    facts = flat(replace(study, config=replace(study.config, protocol=changed)))
    assert facts["learning rate"] == "0.001, a cosine down to 0, × 0.5 for latent weights"
    assert facts["weights scored"] == "moving average, decay 0.99 a step"
    assert facts["progressive binarization"].startswith("full precision in the first 0.25 of")
    assert facts["distillation"] == (
        "0.3 × L1 of the output against the full-precision network of the same width and depth"
    )


def test_differing_environments_are_counted(synthetic_study):
    study = synthetic_study(3, references=False)
    other = replace(study.candidates[0].evaluation, environment={"torch": "2.14.0"})
    changed = (replace(study.candidates[0], evaluation=other), *study.candidates[1:])
    facts = flat(replace(study, candidates=changed))
    assert facts["torch"] == "2.14.0 (1) and 2.13.0 (2)"
    assert facts["device"] == "not recorded (1) and cpu (2)"


@pytest.mark.parametrize(
    "created",
    [
        datetime(2026, 1, 2, 3, 4, 5),  # noqa: DTZ001 - as the store keeps it
        datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        datetime(2026, 1, 2, 5, 4, 5, tzinfo=timezone(timedelta(hours=2))),
    ],
)
def test_moments_are_in_utc(synthetic_study, created):
    study = replace(synthetic_study(1), created=created)
    assert flat(study)["started"] == "2026-01-02 03:04:05 UTC"
    assert flat(replace(study, created=None))["started"] == "not recorded"


def test_a_study_of_another_task_says_its_own_backbone_and_score(synthetic_study):
    topics = dict(measured(synthetic_study(1, task="denoise25")))
    task = dict(topics["Task and data"])
    assert task["task"] == "denoise25: denoising, σ = 25, backbone DnCNN"
    assert task["score"].startswith("PSNR and SSIM on RGB; outputs rounded")
    assert "64×18 is trained as 16×" in dict(topics["Protocol"])["network trained"]
