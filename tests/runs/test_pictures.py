from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bbnas.data import bicubic_upscale, validation_pairs
from bbnas.inference import skip_psnr
from bbnas.metrics import psnr
from bbnas.presets import PRESETS, load_design
from bbnas.runs.pictures import most_detailed, restored_crops
from bbnas.runtime.colour import to_y
from bbnas.study import Candidate, Study, StudyConfig
from bbnas.tasks import get_task
from bbnas.training import evaluate_design


@pytest.fixture(scope="module")
def study(dataset, quick) -> Study:
    evaluation = evaluate_design(PRESETS["bbcu-m"], get_task("sr4"), quick, dataset)
    return Study(
        config=StudyConfig(
            name="tiny",
            space={},
            task="sr4",
            protocol=quick,
            data=dataset.fingerprint,
            data_description=dataset.description,
        ),
        storage="sqlite:///tiny.db",
        candidates=(Candidate(3, evaluation),),
    )


def test_the_networks_of_the_study_come_back(study, dataset):
    pictures = restored_crops(study, study.candidates[0], dataset)
    assert pictures.trial == 3
    assert list(pictures.mean_psnr) == ["bicubic interpolation", "full precision", "recommended"]
    # Trained again from the same seed: the very score that the study holds.
    assert pictures.mean_psnr["recommended"] == pytest.approx(study.candidates[0].evaluation.psnr)
    task = get_task("sr4")
    pairs = validation_pairs(dataset.validation, task, study.config.protocol.validation_side)
    bicubic = [psnr(bicubic_upscale(lq, 4), hq, 4, to_y) for lq, hq in pairs]
    assert pictures.bicubic == pytest.approx(np.mean(bicubic))


def test_crops_are_of_one_place_and_scored_there(study, dataset):
    pictures = restored_crops(study, study.candidates[0], dataset)
    assert [crop.name for crop in pictures.crops] == list(dataset.validation.names[:4])
    for crop in pictures.crops:
        assert list(crop.images) == [
            "bicubic interpolation",
            "full precision",
            "recommended",
            "HQ",
        ]
        assert {image.shape for image in crop.images.values()} == {(64, 64, 3)}
        for method, figure in crop.psnr.items():
            assert figure == psnr(crop.images[method], crop.images["HQ"], on=to_y)
            assert figure > 10  # they do show the same place


@pytest.mark.parametrize("task", ["denoise25", "jpeg10"])
def test_other_tasks_show_the_degraded_image(task, quick, dataset):
    protocol = quick.model_copy(update={"iterations": 5})
    evaluation = evaluate_design(
        load_design("bbcu", get_task(task)), get_task(task), protocol, dataset
    )
    config = StudyConfig("tiny", {}, task, protocol, dataset.fingerprint, dataset.description)
    pictures = restored_crops(
        Study(config, "", (Candidate(0, evaluation),)), Candidate(0, evaluation), dataset
    )
    assert list(pictures.mean_psnr) == ["the degraded image", "full precision", "recommended"]
    assert pictures.bicubic is None
    skip = skip_psnr(get_task(task), dataset.validation, protocol.validation_side)
    assert pictures.mean_psnr["the degraded image"] == skip
    for crop in pictures.crops:
        assert {image.shape for image in crop.images.values()} == {(64, 64, 3)}
        for method, figure in crop.psnr.items():
            assert figure == pytest.approx(psnr(crop.images[method], crop.images["HQ"]))


def test_a_network_that_diverges_is_left_out_and_named(study, dataset):
    wild = study.config.protocol.model_copy(update={"learning_rate": 1e20})
    study = replace(study, config=replace(study.config, protocol=wild))
    pictures = restored_crops(study, study.candidates[0], dataset)
    assert list(pictures.mean_psnr) == ["bicubic interpolation"]
    assert "recommended is missing: diverged at iteration" in pictures.note


def test_the_most_detailed_window_is_found():
    image = np.full((40, 50, 3), 100, np.uint8)
    image[12:20, 30:38] = np.random.default_rng(0).integers(0, 255, (8, 8, 3))
    y, x = most_detailed(image, 10, 10)
    assert 10 <= y <= 12
    assert 28 <= x <= 30
    assert most_detailed(image, 40, 50) == (0, 0)
