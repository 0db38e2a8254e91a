from __future__ import annotations

import pytest

from bbnas.bench.sampler.bbcu import bbcu_like
from bbnas.presets import PRESETS, load_design
from bbnas.tasks import Part, get_task

M = PRESETS["bbcu-m"]


def test_nothing_sets_bbcu_m_apart_and_a_width_does_not() -> None:
    assert bbcu_like(M) == []
    assert bbcu_like(M.replace(width=32, estimator="clip", k_ratio=8.0)) == []
    assert bbcu_like(M.replace(k_ratio=0.125, activation="prelu")) == []


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"binarize": ["body"]}, "upsampling"),
        ({"binarize": ["upsampling"]}, "body"),
        ({"binarize": ["head", "body", "upsampling"]}, "head"),
        ({"binarize": ["body", "upsampling", "tail"]}, "tail"),
        ({"norm": "batchnorm"}, "batchnorm"),
        ({"k_ratio": None}, "aligned"),
        ({"k_ratio": 9.0}, "k is 9"),
        ({"k_ratio": 0.1}, "k is 0.1"),
        ({"activation": "none"}, "no activation"),
        ({"activation_position": "after_addition"}, "after the addition"),
        ({"convs_per_residual": 2}, "2 convolutions"),
        ({"convs_per_residual": 0}, "residual"),
        ({"method": "btm"}, "btm"),
    ],
)
def test_each_departure_is_named_and_alone(changes: dict[str, object], word: str) -> None:
    (found,) = bbcu_like(M.replace(**changes))
    assert word in found


def test_full_precision_and_a_network_without_upsampling() -> None:
    assert len(bbcu_like(PRESETS["srresnet"])) == 2
    parts = (Part.HEAD, Part.BODY, Part.TAIL)
    assert bbcu_like(load_design("bbcu", get_task("denoise25")), parts) == []
