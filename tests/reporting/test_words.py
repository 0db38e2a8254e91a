from __future__ import annotations

from bbnas.design import METHODS, TITLES, Design
from bbnas.presets import PRESETS, load_design
from bbnas.reporting.words import describe, headline
from bbnas.tasks import Part, get_task

SR4 = get_task("sr4")


def test_a_design_is_rows_of_what_and_value():
    rows = dict(describe(PRESETS["bbcu-m"], SR4))
    assert list(rows) == ["1-bit parts", "size", "1-bit unit", "residual alignment"]
    assert rows["1-bit parts"].startswith("body and upsampling; head and tail")
    assert rows["size"] == "64 channels × 32 body convolutions"
    for choice in ("BBCU", "no BatchNorm", "RPReLU", "per channel", "quadratic"):
        assert choice in rows["1-bit unit"]
    assert "130" in rows["residual alignment"]
    assert headline(PRESETS["bbcu-m"]).startswith("1-bit body and upsampling (BBCU), 64 channels")


def test_every_choice_changes_the_words():
    base = Design(binarize=tuple(Part), k_ratio=0.5)
    changes = (
        {"binarize": (Part.TAIL,)},
        {"norm": "batchnorm"},
        {"k_ratio": None},
        {"activation": "hardtanh"},
        {"activation": "none"},
        {"activation_position": "after_addition"},
        {"convs_per_residual": 4},
        {"convs_per_residual": 0},
        {"weight_scale": False},
        {"estimator": "ede"},
        {"redistribution": True},
        {"width": 32},
        {"depth": 16},
    )
    texts = {str(describe(base.replace(**change), SR4)) for change in ({}, *changes)}
    assert len(texts) == len(changes) + 1


def test_idle_choices_are_not_mentioned():
    rows = dict(describe(Design(norm="batchnorm", estimator="ede"), SR4))
    assert list(rows) == ["1-bit parts", "size", "residual alignment"]
    assert rows["residual alignment"] == "none"
    one = dict(describe(Design(binarize=(Part.TAIL,)), SR4))
    assert "residual connection around" not in one["1-bit unit"]
    assert one["1-bit parts"].startswith("tail; head, body and upsampling")


def test_a_published_method_is_named_and_its_idle_axes_are_not():
    task = get_task("denoise25")
    design = load_design("bnn", task)
    assert headline(design) == "1-bit body (BNN), 64 channels × 18 body convolutions"
    rows = dict(describe(design, task))
    assert list(rows) == ["1-bit parts", "size", "1-bit unit"]
    assert rows["1-bit parts"].startswith("body; head and tail")
    assert rows["1-bit unit"].startswith("BNN: ")


def test_every_method_has_its_own_words():
    task = get_task("sr4")
    texts = {str(describe(load_design(name, task), task)) for name in METHODS}
    networks = {load_design(name, task).key for name in METHODS}
    assert len(texts) == len(networks) == len(METHODS) - 2  # ReActNet = V1, BBCU = V4
    for name in METHODS:
        design = load_design(name, task)
        assert TITLES[design.published] in headline(design)
        assert TITLES[design.published] in str(describe(design, task))


def test_k_is_compared_with_the_paper_s():
    task = get_task("denoise25")
    design = load_design("bbcu", task)
    assert dict(describe(design, task))["residual alignment"].startswith("k = 130, the paper's k*")
    twice = dict(describe(design.replace(k_ratio=2), task))["residual alignment"]
    assert twice.startswith("k = 260, 2 times")
    assert "130" in twice
