from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image
from skimage.data import astronaut, coffee

from bbnas.data import Dataset, load_dataset
from bbnas.design import PRESETS
from bbnas.protocol import PROTOCOLS
from bbnas.training import Recipe

torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def _cache(tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BBNAS_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of ten small photographs: crops of two that scikit-image ships."""
    folder = tmp_path_factory.mktemp("photographs")
    for name, image in (("astronaut", astronaut()), ("coffee", coffee())):
        for i in range(5):
            y, x = 40 * i, 80 * i
            Image.fromarray(image[y : y + 112, x : x + 120]).save(folder / f"{name}{i}.png")
    return folder


@pytest.fixture(scope="session")
def dataset(photographs: Path) -> Dataset:
    return load_dataset(photographs)


@pytest.fixture(scope="session")
def quick():  # type: ignore[no-untyped-def]
    """A protocol of a second or less."""
    return PROTOCOLS["proxy"].model_copy(
        update={
            "name": "quick",
            "depth_scale": 0.0625,
            "width_scale": 0.125,
            "iterations": 60,
            "batch": 4,
            "patch": 32,
            "validation_side": 64,
        }
    )


@pytest.fixture(scope="session")
def recipe(photographs: Path) -> Recipe:
    """A recipe of a second or two: a small BBCU-M, ×2, 60 iterations, three validations."""
    protocol = PROTOCOLS["paper"].model_copy(
        update={
            "iterations": 60,
            "batch": 2,
            "patch": 24,
            "learning_rate": 1e-3,
            "halve_every": 40,
            "validate_every": 20,
            "validation_side": 48,
        }
    )
    design = PRESETS["bbcu-m"].replace(width=6, depth=3, k_ratio=1.0)
    return Recipe(design=design, task="sr2", protocol=protocol, data=str(photographs))
