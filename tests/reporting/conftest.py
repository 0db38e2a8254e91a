from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from bbnas.runs.pictures import Crop, Pictures


@pytest.fixture(scope="session")
def make_pictures() -> Callable[..., Pictures]:
    def make(trial: int = 7, bicubic: float = 25.3) -> Pictures:
        rng = np.random.default_rng(0)
        methods = ("bicubic interpolation", "full precision", "recommended", "HQ")
        images = {m: rng.integers(0, 255, (24, 32, 3), dtype=np.uint8) for m in methods}
        psnr = {"bicubic interpolation": 24.5, "full precision": 26.25, "recommended": 26.75}
        crops = tuple(Crop(name, images, psnr) for name in ("astronaut.png", "coffee.png"))
        means = {"bicubic interpolation": bicubic, "recommended": 26.0}
        return Pictures(trial, crops, means, "Trained again.")

    return make
