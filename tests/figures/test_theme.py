from __future__ import annotations

import json
import re

import numpy as np
import pytest

from bbnas.figures import theme
from bbnas.figures.front import draw_front, front_figure
from bbnas.figures.theme import COLOURS, DARK, PAPER, SCALE, THEMES

# Dichromats' view of linear RGB: Machado, Oliveira and Fernandes, 2009, severity 1.
VISION = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
}
XYZ = np.array([[0.4125, 0.3576, 0.1804], [0.2127, 0.7152, 0.0722], [0.0193, 0.1192, 0.9503]])


def linear(colour: str) -> np.ndarray:
    rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    """The contrast ratio of WCAG 2."""
    low, high = sorted(float(linear(c) @ XYZ[1]) for c in (one, other))
    return (high + 0.05) / (low + 0.05)


def lab(colour: str, vision: str) -> np.ndarray:
    """CIELAB under D65 of the colour as it is seen."""
    seen = np.clip(VISION[vision] @ linear(colour), 0, 1)
    t = XYZ @ seen / XYZ.sum(1)
    f = np.where(t > 0.008856, np.cbrt(t), 7.787 * t + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def of(colour: str, name: str) -> str:
    return colour if name == "light" else DARK[colour]


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("name", THEMES)
def test_series_stay_apart_for_every_reader(name, vision):
    seen = [lab(of(c, name), vision) for c in (*COLOURS, theme.RECOMMENDED)]
    distances = [np.linalg.norm(a - b) for i, a in enumerate(seen) for b in seen[:i]]
    assert min(distances) > 14


@pytest.mark.parametrize("name", THEMES)
def test_every_colour_can_be_seen_on_its_page(name):
    page = of(PAPER, name)
    marks = (*COLOURS, theme.RECOMMENDED, theme.BASELINE, theme.PALE, *(c for _, c in SCALE))
    assert min(contrast(of(c, name), page) for c in marks) >= 3
    assert min(contrast(of(c, name), page) for c in (theme.INK, theme.MUTED)) >= 4.5  # text


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("name", THEMES)
def test_the_scale_departs_from_the_page_with_the_value(name, vision):
    page = lab(of(PAPER, name), vision)[0]
    distances = [abs(lab(of(c, name), vision)[0] - page) for _, c in SCALE]
    assert distances == sorted(distances)
    assert distances[-1] - distances[0] > 35


def colours(spec: dict) -> set[str]:
    return set(re.findall(r"#[0-9a-f]{3,6}\b", json.dumps(spec)))


def test_every_colour_of_a_figure_has_a_dark_counterpart(synthetic_study):
    spec = draw_front(front_figure(synthetic_study(60, baselines=("bbcu-m",)), 5, bicubic=25.0))
    assert colours(spec) <= set(DARK)
