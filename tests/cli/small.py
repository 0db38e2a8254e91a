"""A protocol and a space of a moment, and the search of them."""

from __future__ import annotations

from collections.abc import Callable

Run = Callable[..., tuple[int, str, str]]

PROTOCOL = {
    "iterations": 150,  # enough to beat interpolation
    "batch": 4,
    "patch": 32,
    "learning_rate": 2e-3,
    "width_scale": 0.25,
    "depth_scale": 0.1,
    "schedule": "onecycle",
    "validation_side": 64,
}
SPACE = {
    "version": 1,
    "axes": {
        "binarize": [[], ["upsampling"]],
        "k_ratio": [1, 4],
        "activation": ["rprelu", "prelu"],
        "width": [48, 64],
        "depth": 32,
    },
}
SEARCH = (
    "search",
    "--space",
    "small.yaml",
    "--protocol",
    "tiny.yaml",
    "--workers",
    "1",
    "--name",
    "first",
    "--data",
    "skimage",  # on which 150 iterations beat interpolation
)
