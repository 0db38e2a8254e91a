from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

Write = Callable[..., Path]


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("BBNAS_CACHE", str(folder))
    return folder


@pytest.fixture
def photograph() -> Callable[..., np.ndarray]:
    """uint8 H×W×3 of smooth colours with noise, a different one for each seed."""

    def make(height: int = 120, width: int = 140, seed: int = 0) -> np.ndarray:
        rng = np.random.default_rng(seed)
        small = rng.integers(0, 256, (6, 6, 3), np.uint8)
        smooth = np.asarray(
            Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)
        )
        return np.clip(smooth + rng.normal(0, 8, smooth.shape), 0, 255).astype(np.uint8)

    return make


@pytest.fixture
def folder_of(tmp_path: Path, photograph: Callable[..., np.ndarray]) -> Write:
    """A folder with a PNG photograph for each relative name, all different."""

    def make(*names: str, root: str = "photos", height: int = 120, width: int = 140) -> Path:
        for seed, name in enumerate(names):
            path = tmp_path / root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(photograph(height, width, seed)).save(path)
        return tmp_path / root

    return make
