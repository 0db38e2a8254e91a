from __future__ import annotations

import itertools
import json
from typing import get_args

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from bbnas.axes import Activation, ActivationPosition, Estimator, Method, Norm, k_star
from bbnas.design import AXES, METHODS, STRUCTURE, YOUNGER, Design, matters
from bbnas.errors import UserError
from bbnas.presets import PRESETS, load_design, presets
from bbnas.protocol import Protocol
from bbnas.tasks import TASKS, Part, get_task
from tests.helpers.structures import values_of

designs = st.builds(
    Design,
    binarize=st.lists(st.sampled_from(list(Part)), unique=True),
    # Most designs of the method whose unit has axes.
    method=st.just("bbcu") | st.sampled_from(get_args(Method)),
    norm=st.sampled_from(get_args(Norm)),
    k_ratio=st.none() | st.floats(1e-3, 1e3) | st.sampled_from([1 / 130, 1.0]),
    activation=st.sampled_from(get_args(Activation)),
    activation_position=st.sampled_from(get_args(ActivationPosition)),
    convs_per_residual=st.sampled_from([0, 1, 2, 4, 8, 16, 32, 64]),
    weight_scale=st.booleans(),
    estimator=st.sampled_from(get_args(Estimator)),
    redistribution=st.booleans(),
    width=st.sampled_from([3, 16, 64]),
    depth=st.sampled_from([8, 32]),
    break_at=st.none() | st.integers(1, 8),
    convs_per_block=st.none() | st.sampled_from([1, 2, 4, 64]),
    **{name: st.sampled_from(values_of(name)) for name in STRUCTURE},
)


@given(designs)
def test_canonical_is_idempotent_and_keeps_the_key(design: Design) -> None:
    once = design.canonical()
    assert once.canonical() == once
    assert once.key == design.key


@given(designs, designs)
def test_keys_are_equal_iff_canonical_forms_are(a: Design, b: Design) -> None:
    assert (a.key == b.key) == (a.canonical() == b.canonical())


@given(designs)
def test_yaml_and_json_round_trip(design: Design) -> None:
    assert Design.from_dict(yaml.safe_load(design.to_yaml())) == design
    assert Design.from_dict(json.loads(json.dumps(design.to_dict()))) == design


@given(designs)
def test_an_idle_axis_changes_nothing_and_any_other_does(design: Design) -> None:
    others = {
        "norm": get_args(Norm),
        "activation": get_args(Activation),
        "activation_position": get_args(ActivationPosition),
        "weight_scale": (True, False),
        "estimator": get_args(Estimator),
        "redistribution": (True, False),
        **{name: values_of(name) for name in STRUCTURE},
    }
    design = design.canonical()
    for axis, values in others.items():
        for value in set(values) - {getattr(design, axis)}:
            changed = design.replace(**{axis: value})
            same = AXES[axis].settled(design, value) == getattr(design, axis)
            idle = same or not matters(axis, design)
            assert (design == changed.canonical()) == idle, axis


@pytest.mark.parametrize(
    ("a", "b"),
    [
        # Nothing is binarized: there is no unit to make.
        (Design(), Design(norm="batchnorm", activation="relu", estimator="ede")),
        (Design(), Design(estimator="tanh", redistribution=True)),
        # The convolutions per residual are the body's.
        (Design(binarize=["tail"]), Design(binarize=["tail"], convs_per_residual=4)),
        # A span longer than the body is the whole body.
        (
            Design(binarize=["body"], depth=8, convs_per_residual=8),
            Design(binarize=["body"], depth=8, convs_per_residual=32),
        ),
        # Multiplying by k = 1 aligns nothing.
        (Design(k_ratio=1 / 130), Design(k_ratio=None)),
        # The unit of an earlier method has no axes.
        (
            Design(binarize=["body"], method="bnn"),
            Design(binarize=["body"], method="bnn", norm="batchnorm", k_ratio=4.0),
        ),
        # A scale per channel does not survive BatchNorm.
        (
            Design(binarize=["body"], norm="batchnorm"),
            Design(binarize=["body"], norm="batchnorm", weight_scale=False),
        ),
        # Without an activation, or without a sum, it has no position.
        (
            Design(binarize=["body"], activation="none"),
            Design(binarize=["body"], activation="none", activation_position="after_addition"),
        ),
        (
            Design(binarize=["body"], convs_per_residual=0),
            Design(binarize=["body"], convs_per_residual=0, activation_position="after_addition"),
        ),
        # Nothing to remove where the body has no units, or no residuals.
        (Design(binarize=["tail"]), Design(binarize=["tail"], break_at=3)),
        (
            Design(binarize=["body"], convs_per_residual=0),
            Design(binarize=["body"], convs_per_residual=0, break_at=3),
        ),
        # A residual over several convolutions is removed as a whole.
        (
            Design(binarize=["body"], convs_per_residual=4, break_at=5),
            Design(binarize=["body"], convs_per_residual=4, break_at=8),
        ),
        (
            Design(binarize=["body"], depth=8, convs_per_residual=8, break_at=2),
            Design(binarize=["body"], depth=8, convs_per_residual=0),
        ),
        # Groups that are as the body is, or equal to their neighbours; and more than convolutions.
        (Design(binarize=["body"], depth=8), Design(binarize=["body"], depth=8, groups=["own"])),
        (
            Design(binarize=["body"], depth=8, groups=["half", "half", "own", "own"]),
            Design(binarize=["body"], depth=8, groups=["half", "own"]),
        ),
        (Design(depth=2), Design(depth=2, groups=["half", "own", "own"])),
        # A body whose groups are all in full precision is not binarized.
        (Design(depth=8), Design(binarize=["body"], depth=8, groups=["full", "full"])),
        (Design(groups=["half", "own"]), Design(groups=["full half", "full"])),
        # Nothing is at high resolution where the tail makes the image.
        (
            Design(binarize=["body"], upsampler="direct"),
            Design(binarize=["body", "upsampling"], upsampler="direct", hr_width=0.5),
        ),
        # A binarized head has the unit's kernel.
        (Design(binarize=["head"]), Design(binarize=["head"], head_kernel=1)),
        # Blocks of two are the backbone's own; a binary body has none.
        (Design(), Design(convs_per_block=2)),
        (Design(depth=8, convs_per_block=8), Design(depth=8, convs_per_block=32)),
        (Design(binarize=["body"]), Design(binarize=["body"], convs_per_block=4)),
    ],
)
def test_designs_that_build_the_same_network_have_one_key(a: Design, b: Design) -> None:
    assert a.key == b.key


def test_what_is_younger_than_keys_is_written_where_it_is_set() -> None:
    """So keys and databases that are older than it hold."""
    assert not set(YOUNGER) & set(PRESETS["bbcu"].to_dict())
    assert PRESETS["bbcu"].key == "5de708cb996e3795"
    broken = PRESETS["bbcu"].replace(break_at=5)
    assert Design.from_dict(yaml.safe_load(broken.to_yaml())) == broken
    assert broken.label().endswith("1 per residual, quadratic, 64×32, residual 5 removed")
    assert PRESETS["srresnet"].replace(convs_per_block=4).label().endswith("64×32, 4 per block")
    keys = {PRESETS["bbcu"].replace(break_at=n).key for n in (None, 1, 5, 32)}
    assert len(keys) == 4
    shifted = PRESETS["bbcu"].replace(redistribution=True)
    assert shifted.to_dict()["redistribution"] is True
    assert (
        shifted.label() == "body, k 1 k*, rprelu in the branch, 1 per residual, quadratic, "
        "redistribution, 64×32"
    )


def test_a_break_is_in_the_body_and_stays_at_its_share_of_the_depth() -> None:
    with pytest.raises(UserError, match=r"break_at = 9: must be one of the 8 convolutions"):
        Design.from_dict({"binarize": ["body"], "depth": 8, "break_at": 9})
    half = Protocol(
        name="half", depth_scale=0.5, iterations=1, batch=1, patch=8, learning_rate=1e-3
    )
    broken = Design(binarize=["body"], depth=32, break_at=20)
    assert (half.trained(broken).depth, half.trained(broken).break_at) == (16, 10)


def test_position_matters_where_another_part_adds() -> None:
    inside = Design(binarize=["body", "tail"], convs_per_residual=0)
    assert inside.key != inside.replace(activation_position="after_addition").key


def test_key_does_not_depend_on_the_order_of_parts() -> None:
    keys = {Design(binarize=order).key for order in itertools.permutations(Part)}
    assert len(keys) == 1


def test_k_is_130_at_width_64_and_carries_over() -> None:
    assert k_star(64) == 130
    design = Design(k_ratio=2.0, width=16)
    assert design.k == pytest.approx(2 * 130 / 4)
    assert design.replace(width=32).k == pytest.approx(130)
    assert Design(k_ratio=None).k == 1.0


def test_presets_are_the_paper_s() -> None:
    v1, v2, v3, v4 = (PRESETS[f"bbcu-v{n}"] for n in (1, 2, 3, 4))
    assert v1.norm == "batchnorm"
    assert {v2.norm, v3.norm, v4.norm} == {"none"}
    assert [d.k_ratio for d in (v1, v2, v3, v4)] == [None, None, 1.0, 1.0]
    assert [d.activation_position for d in (v3, v4)] == ["after_addition", "residual_branch"]
    assert all(d.binarize == (Part.BODY,) for d in (v1, v2, v3, v4))
    assert PRESETS["bbcu-l"].binarize == (Part.BODY,)
    assert PRESETS["bbcu-m"].binarize == (Part.BODY, Part.UPSAMPLING)
    assert PRESETS["srresnet"] == Design(width=64, depth=32)
    assert PRESETS["srresnet-lite"].width == 12


@pytest.mark.parametrize("task", TASKS)
def test_every_preset_is_canonical_and_loads_by_name_and_from_a_file(task, tmp_path) -> None:
    file = tmp_path / "design.yaml"
    for name, preset in presets(get_task(task)).items():
        assert preset.canonical() == preset
        assert load_design(name, get_task(task)) == preset
        assert preset.depth == TASKS[task].backbone.depth
        file.write_text(preset.to_yaml())
        assert load_design(file) == preset


def test_reactnet_is_bbcu_v1_and_every_other_method_its_own() -> None:
    keys: dict[str, set[str]] = {}
    for name in METHODS:
        keys.setdefault(PRESETS[name].key, set()).add(name)
    shared = [names for names in keys.values() if len(names) > 1]
    assert shared == [{"reactnet", "bbcu-v1"}, {"bbcu-v4", "bbcu"}]
    assert "ReActNet" in PRESETS["reactnet"].label()
    assert PRESETS["bnn"].label() == "body, BNN, 64×32"


def test_a_backbone_of_other_tasks_is_no_preset() -> None:
    with pytest.raises(UserError, match="'dncnn' is not the backbone of task sr4: use srresnet"):
        load_design("dncnn", get_task("sr4"))
    assert load_design("bbcu-m", get_task("jpeg10")) == load_design("bbcu-l", get_task("jpeg10"))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("binarize: [bdy]", "did you mean 'body'"),
        ("widht: 64", "did you mean 'width'"),
        ("norm: layernorm", "'none' or 'batchnorm'"),
        ("width: 0", "greater than or equal to 3"),
        ("k_ratio: -1", "greater than 0"),
        ("k_ratio: .inf", "finite"),
        ("upsampler: dierct", "'steps', 'one_step' or 'direct'"),
        ("tail_kernel: 5", "3 or 1"),
        ("hr_width: 2", "less than or equal to 1"),
        ("groups: [bit]", "'own', 'full', 'half' or 'full half'"),
        ("[1, 2]", "must hold keys and values"),
        ("a: [", "not valid YAML"),
    ],
)
def test_a_bad_file_is_one_line_that_names_it(text, says, tmp_path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(UserError) as error:
        load_design(file)
    assert says in str(error.value)
    assert str(file) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_preset_goes_by_the_names_of_the_paper_too(tmp_path, monkeypatch) -> None:
    for text, name in [("IRNet", "irnet"), ("IR-Net", "irnet"), ("Ma et al.", "ma")]:
        assert load_design(text, get_task("denoise25")) == presets(get_task("denoise25"))[name]
    assert load_design("DnCNN-3-Lite", get_task("jpeg10")).width == 12
    with pytest.raises(UserError, match="'dncnn3' is not the backbone of task sr4"):
        load_design("DnCNN-3", get_task("sr4"))
    # A file of the user's goes before a spelling, as everything that is no preset's name.
    monkeypatch.chdir(tmp_path)
    (tmp_path / "BNN").write_text("width: 24")
    assert load_design("BNN").width == 24


def test_an_unknown_preset_suggests_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean 'bbcu-m'"):
        load_design("BCU-M")
    with pytest.raises(UserError, match="did you mean 'bbcu-m'"):
        load_design("bcu-m")


def test_a_missing_file_says_so(tmp_path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        load_design(tmp_path / "none.yaml")
