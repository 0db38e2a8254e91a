from __future__ import annotations

from bbnas.design import METHODS, TITLES, Design
from bbnas.presets import PRESETS, load_design
from bbnas.reporting.words import describe, headline
from bbnas.tasks import Part, get_task

SR4 = get_task("sr4")


def test_bbcu_m_in_words():
    parts, unit, aligned = describe(PRESETS["bbcu-m"], SR4)
    assert parts == (
        "The network is 64 channels wide with 32 body convolutions; body and upsampling are "
        "1-bit, head and tail stay in full precision."
    )
    assert unit == (
        "Its 1-bit units are those of BBCU: no BatchNorm, RPReLU inside the residual branch, "
        "before the addition, a residual connection around every body convolution, weights scaled "
        "per channel and the quadratic estimator for sgn's gradient."
    )
    assert aligned.startswith("Residual alignment: the LQ image is multiplied by k = 130 ")
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
        {"width": 32},
        {"depth": 16},
    )
    texts = {" ".join(describe(base.replace(**change), SR4)) for change in ({}, *changes)}
    assert len(texts) == len(changes) + 1


def test_idle_choices_are_not_mentioned():
    parts, aligned = describe(Design(norm="batchnorm", estimator="ede"), SR4)
    assert parts.endswith("all of it stays in full precision.")
    assert aligned == "No residual alignment."
    one = " ".join(describe(Design(binarize=(Part.TAIL,)), SR4))
    assert "residual connection around" not in one
    assert "tail is 1-bit, head, body and upsampling stay in full precision" in one


def test_a_published_method_is_named_and_its_idle_axes_are_not():
    task = get_task("denoise25")
    design = load_design("bnn", task)
    assert headline(design) == "1-bit body (BNN), 64 channels × 18 body convolutions"
    parts, unit = describe(design, task)
    assert parts.endswith("body is 1-bit, head and tail stay in full precision.")
    assert unit.startswith("Its 1-bit units are those of BNN: ")


def test_every_method_has_its_own_words():
    task = get_task("sr4")
    texts = {" ".join(describe(load_design(name, task), task)) for name in METHODS}
    networks = {load_design(name, task).key for name in METHODS}
    assert len(texts) == len(networks) == len(METHODS) - 2  # ReActNet = V1, BBCU = V4
    for name in METHODS:
        design = load_design(name, task)
        assert TITLES[design.published] in headline(design)
        assert TITLES[design.published] in " ".join(describe(design, task))


def test_k_is_told_against_the_paper_s():
    design = load_design("bbcu", "denoise25")
    assert describe(design, get_task("denoise25"))[-1].endswith(
        "divided by it, the paper's k* for this width."
    )
    twice = describe(design.replace(k_ratio=2), get_task("denoise25"))[-1]
    assert "k = 260" in twice
    assert twice.endswith("2 times the paper's k* = 130 for this width.")
