from __future__ import annotations

import itertools
import random
import time
from collections import Counter
from typing import get_args

import numpy as np
import optuna
import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st

from bbnas.axes import Activation, ActivationPosition, Estimator, Norm
from bbnas.design import METHODS, STRUCTURE, UNIT_FIELDS, Design
from bbnas.errors import UserError
from bbnas.presets import PRESETS, presets
from bbnas.space import Axes, Space, load_space
from bbnas.tasks import TASKS, Part, get_task
from tests.helpers.structures import values_of

optuna.logging.set_verbosity(optuna.logging.WARNING)


def some(values, most=3):
    return st.lists(st.sampled_from(values), min_size=1, max_size=most, unique=True)


subsets = [list(c) for n in range(5) for c in itertools.combinations(map(str, Part), n)]

binarize = st.one_of(
    st.lists(st.sampled_from(subsets), min_size=1, max_size=4, unique_by=tuple),
    some([str(part) for part in Part]).map(lambda parts: {"any_of": parts}),
)
unit_spaces = st.fixed_dictionaries(
    {
        "binarize": binarize,
        "norm": some(get_args(Norm)),
        # 1/130 is k = 1 at width 64: no alignment.
        "k_ratio": some([None, 0.25, 1.0, 4.0, 1 / 130]),
        "activation": some(get_args(Activation)),
        "activation_position": some(get_args(ActivationPosition)),
        "convs_per_residual": some([0, 1, 4, 8, 32], 4),
        "weight_scale": some([True, False]),
        "estimator": some(get_args(Estimator), 2),
        "redistribution": some([True, False], 2),
        "width": some([16, 64], 2),
        "depth": some([4, 8, 32], 2),
    }
)
method_spaces = st.fixed_dictionaries(
    {
        "binarize": binarize,
        "method": some([name for name in METHODS if name not in ("reactnet", "bbcu-v4")], 4),
        "width": some([16, 64], 2),
    }
)
# Few of these axes at once, or a space would be too large for brute force.
built = st.sets(st.sampled_from(STRUCTURE), max_size=2).flatmap(
    lambda names: st.fixed_dictionaries({name: some(values_of(name), 2) for name in names})
)
spaces = st.builds(lambda unit, more: unit | more, unit_spaces | method_spaces, built).map(
    lambda axes: Space.from_dict({"version": 1, "name": "small", "axes": axes})
)


def brute_force(space: Space) -> dict[str, Design]:
    """Every raw combination of the axes, by canonical key."""
    axes = space.axes.model_dump()
    methods = axes.pop("method")
    if methods:
        axes = {axis: values for axis, values in axes.items() if axis not in UNIT_FIELDS}
    plain = [
        Design(**dict(zip(axes, values, strict=True))).canonical()
        for values in itertools.product(*axes.values())
    ]
    # A method is a choice of unit: where nothing is binarized there is none to choose.
    found = [
        design.replace(**METHODS[method]) if design.binarize and method else design
        for design in plain
        for method in methods or ("",)
    ]
    return {design.key: design.canonical() for design in found}


def raw_size(space: Space) -> int:
    return int(np.prod([len(getattr(space.axes, axis)) or 1 for axis in Axes.model_fields]))


@given(spaces)
def test_count_and_enumerate_agree_with_brute_force(space: Space) -> None:
    assume(raw_size(space) <= 3000)
    expected = brute_force(space)
    found = list(space.enumerate())
    assert space.count() == len(expected) == len(found)
    assert {design.key for design in found} == set(expected)
    assert all(design.canonical() == design for design in found)


@given(spaces, st.integers(0, 2**32))
def test_params_are_what_suggest_asks(space: Space, seed: int) -> None:
    design = space.sample(random.Random(seed))
    assert design == design.canonical()
    assert space.contains(design)
    trial = optuna.trial.FixedTrial(space.params(design))
    assert space.suggest(trial) == design
    # FixedTrial records what was asked: nothing more, nothing less.
    assert set(trial.distributions) == set(space.params(design))


@given(spaces)
def test_every_design_enumerated_can_be_suggested(space: Space) -> None:
    assume(space.count() <= 60)
    for design in space.enumerate():
        assert space.suggest(optuna.trial.FixedTrial(space.params(design))) == design


@given(spaces)
def test_a_space_comes_back_from_its_dict_and_keeps_its_key(space: Space) -> None:
    again = Space.from_dict(yaml.safe_load(yaml.safe_dump(space.to_dict())))
    assert again == space
    assert again.key == space.key


@given(spaces, st.permutations(list(Part)))
def test_a_guided_space_is_the_part_that_follows_the_order(space: Space, order) -> None:
    assume("direct" not in space.axes.upsampler)  # there no prefix of the order holds
    prefixes = [set(order[:n]) for n in range(5)]
    kept = {key for key, d in brute_force(space).items() if set(d.binarize) in prefixes}
    if kept:
        assert {design.key for design in space.guided(order).enumerate()} == kept
    else:
        with pytest.raises(UserError, match="without a guide"):
            space.guided(order)


def test_suggestions_of_a_sampler_fill_the_space() -> None:
    space = Space.from_dict(
        {
            "version": 1,
            "name": "tiny",
            "axes": {
                "binarize": {"any_of": ["body"]},
                "k_ratio": [None, 1],
                "convs_per_residual": [0, 1, 2],
            },
        }
    )
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    found = Counter()
    for _ in range(200):
        trial = study.ask()
        found[space.suggest(trial).key] += 1
        study.tell(trial, 0.0)
    assert set(found) == {design.key for design in space.enumerate()}
    assert len(found) == 2 + 2 * 3


def test_sampling_takes_either_generator_and_repeats_by_seed() -> None:
    space = load_space("bbcu")
    for make in (random.Random, np.random.default_rng):
        rng_a, rng_b = make(3), make(3)
        a = [space.sample(rng_a).key for _ in range(20)]
        b = [space.sample(rng_b).key for _ in range(20)]
        assert a == b
        assert len(set(a)) > 15


def test_the_space_of_devices_is_large_and_counted_soon() -> None:
    for task, axis, fixed in [
        ("sr4", "upsampler", "unshuffle"), ("denoise25", "unshuffle", "upsampler"),
    ]:  # fmt: skip
        space = load_space("device", get_task(task))
        assert len(getattr(space.axes, axis)) > 1
        assert len(getattr(space.axes, fixed)) == 1
        started = time.process_time()
        count = space.count()
        assert time.process_time() - started < 2
        assert count > (1_000_000 if task == "sr4" else 100_000)


@pytest.mark.parametrize(
    ("groups", "says"),
    [
        ([["full", "full"]], "leave it out, and body out of binarize"),
        (["own", "full"], "must be a list of lists"),
        ({"each_of": ["own", "full"], "groups": 9}, "from 1 to 4"),
        ({"each_of": ["own", "bit"], "groups": 1}, "'own', 'full', 'half' or 'full half'"),
    ],
)
def test_groups_that_are_none(groups, says) -> None:
    axes = {"binarize": [["body"]], "groups": groups}
    with pytest.raises(UserError) as error:
        Space.from_dict({"version": 1, "name": "own", "axes": axes}, "own.yaml")
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_every_succession_of_groups_but_full_precision_alone() -> None:
    axes = {"binarize": [["body"]], "groups": {"each_of": ["own", "full"], "groups": 2}}
    space = Space.from_dict({"version": 1, "name": "own", "axes": axes})
    found = {design.groups for design in space.enumerate()}
    assert found == {(), ("own", "full"), ("full", "own")}


def test_the_built_in_space_covers_the_issue_s_axes() -> None:
    axes = load_space("bbcu").axes
    assert len(axes.binarize) == 16
    assert axes.norm == get_args(Norm)
    assert axes.activation == get_args(Activation)[:-1]  # all but LeakyReLU
    assert axes.activation_position == get_args(ActivationPosition)
    assert axes.estimator == ("clip", "quadratic", "ede")
    assert axes.redistribution == (False,)
    assert axes.weight_scale == (False, True)
    assert axes.convs_per_residual == (0, 1, 2, 4, 8, 16, 32)
    assert axes.k_ratio[0] is None
    steps = np.diff(np.log2([k for k in axes.k_ratio if k is not None]))
    assert np.allclose(steps, steps[0])
    assert min(axes.k_ratio[1:]) <= 1 / 64
    assert max(axes.k_ratio[1:]) >= 64


@pytest.mark.parametrize("task", ["sr4", "denoise25", "jpeg10"])
def test_the_built_in_spaces_contain_the_paper_s_designs(task) -> None:
    spaces = {name: load_space(name, get_task(task)) for name in ("bbcu", "methods")}
    for name, design in presets(get_task(task)).items():
        own_unit = design.method == "bbcu" and not name.endswith("-lite")
        assert spaces["bbcu"].contains(design) == own_unit, name
        ranked = name in {*METHODS, "bbcu-l", "bbcu-m"} - {"bbcu-v2", "bbcu-v3"}
        assert spaces["methods"].contains(design) == ranked, name


def test_a_method_decides_the_unit(tmp_path) -> None:
    file = tmp_path / "methods.yaml"
    file.write_text("version: 1\naxes: {binarize: [[body]], method: [bnn, reactnet, bbcu]}")
    found = list(load_space(file, get_task("denoise25")).enumerate())
    assert found == [presets(get_task("denoise25"))[name] for name in ("bnn", "reactnet", "bbcu")]


def test_depth_is_the_backbone_s_or_a_share_of_it(tmp_path) -> None:
    file = tmp_path / "deep.yaml"
    for written, sr, denoise in (
        ("", (32,), (18,)),
        (", depth: {of_backbone: [0.5, 1]}", (16, 32), (9, 18)),
        (", depth: [4, 8]", (4, 8), (4, 8)),
    ):
        file.write_text(f"version: 1\naxes: {{binarize: [[body]]{written}}}")
        assert load_space(file).axes.depth == sr
        assert load_space(file, get_task("denoise50")).axes.depth == denoise


def test_what_is_not_in_the_space_is_named() -> None:
    space = load_space("bbcu")
    assert not space.contains(PRESETS["srresnet-lite"])
    with pytest.raises(UserError, match="width 12 is not in space"):
        space.params(PRESETS["srresnet-lite"])


def test_counting_a_large_space_is_quick() -> None:
    space = load_space("bbcu")
    space.count()
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        assert space.count() > 100_000
        seconds.append(time.perf_counter() - started)
    assert min(seconds) < 0.1


def test_every_part_that_the_task_has_stays() -> None:
    space = load_space("bbcu")
    for task in ("sr2", "sr3", "sr4"):
        assert space.fitted(TASKS[task]).key == space.key


def test_a_part_that_the_task_lacks_goes() -> None:
    space = load_space("bbcu", get_task("denoise15"))
    assert len(space.axes.binarize) == 8
    assert not any(Part.UPSAMPLING in subset for subset in space.axes.binarize)


def test_an_axis_younger_than_stored_keys_leaves_them_as_they_were() -> None:
    keys = {name: load_space(name).key for name in ("bbcu", "methods", "bbcu-table")}
    assert keys == {
        "bbcu": "46d4d3c81733d617",
        "methods": "c2caae41f5c8f6f0",
        "bbcu-table": "4892fab46cf94629",
    }
    axes = {"binarize": [["body"]], "estimator": ["quadratic", "tanh"]}
    chosen = Space.from_dict(
        {"version": 1, "name": "own", "axes": axes | {"redistribution": [False, True]}}
    )
    assert chosen.count() == 4
    assert chosen.key != Space.from_dict({"version": 1, "name": "own", "axes": axes}).key


def test_the_order_of_values_in_the_file_is_no_difference(tmp_path) -> None:
    one = {"binarize": [["body"], []], "norm": ["batchnorm", "none"], "width": [64, 16]}
    two = {"width": [16, 64], "norm": ["none", "batchnorm"], "binarize": [[], ["body"]]}
    spaces = []
    for n, axes in enumerate((one, two)):
        file = tmp_path / f"space{n}.yaml"
        file.write_text(yaml.safe_dump({"version": 1, "axes": axes}))
        spaces.append(load_space(file))
    assert spaces[0].key == spaces[1].key
    assert [space.name for space in spaces] == ["space0", "space1"]
    three = Space.from_dict({"version": 1, "name": "space0", "axes": one | {"width": 16}})
    assert three.key != spaces[0].key


def test_one_value_fixes_an_axis_and_off_is_no_alignment(tmp_path) -> None:
    file = tmp_path / "fixed.yaml"
    file.write_text(
        "version: 1\naxes: {binarize: [[body]], k_ratio: off, estimator: ede, depth: 8}"
    )
    space = load_space(file)
    assert space.count() == 1
    (only,) = space.enumerate()
    assert only == Design(binarize=["body"], estimator="ede", depth=8)
    assert space.params(only) == {}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("axes: {binarize: {any_of: [bodyy]}}", "did you mean 'body'"),
        ("axes: {binarize: [body]}", "list of lists"),
        ("axes: {binarize: [[body]], norm: [none, batchnrm]}", "axes.norm.1 = 'batchnrm'"),
        ("axes: {binarize: [[body]], norm: [none, batchnrm]}", "'none' or 'batchnorm'"),
        ("axes: {binarize: [[body]], estimater: clip}", "did you mean 'estimator'"),
        ("axes: {binarize: [[body]], k_ratio: [off, 0]}", "greater than 0"),
        ("axes: {binarize: [[body]], k_ratio: []}", "at least one value"),
        ("axes: {binarize: [[body]], width: [16, 16]}", "16 twice"),
        ("axes: {binarize: [[head, body], [body, head]]}", "head+body twice"),
        ("axes: {binarize: [[body]], method: [bn]}", "did you mean 'bnn'"),
        ("axes: {binarize: [[body]], method: [reactnet, bbcu-v1]}", "the same unit"),
        ("axes: {binarize: [[body]], method: [bnn], norm: [batchnorm]}", "method decides norm"),
        ("axes: {binarize: [[body]], depth: {of_backbone: [2]}}", "shares in 0..1"),
        ("axs: {}", "did you mean 'axes'"),
        ("axes: {norm: none}", "'axes.binarize' is missing"),
        ("axes: {binarize: [[body]]}\nversion: 2", "version = 2: must be 1"),
        ("axes: [", "not valid YAML"),
    ],
)
def test_a_bad_space_is_one_line_naming_file_key_and_rule(text, says, tmp_path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text if "version" in text else f"version: 1\n{text}")
    with pytest.raises(UserError) as error:
        load_space(file)
    assert says in str(error.value)
    assert str(file) in str(error.value)
    assert "\n" not in str(error.value)


def test_an_unknown_space_suggests_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean 'bbcu'"):
        load_space("bbuc")


def test_neighbours_differ_from_a_design_in_one_choice() -> None:
    space = load_space("bbcu")
    design = space.sample(random.Random(3))
    while not design.binary(Part.BODY) or design.k_ratio is None:
        design = space.sample(random.Random(design.key))
    near = space.neighbours(design)
    assert len({other.key for other in near}) == len(near)
    assert design.key not in {other.key for other in near}
    by_hand = set()
    for axis, values in space.axes:
        for value in values:
            other = design.replace(**{axis: value}).canonical()
            if other != design:
                by_hand.add(other.key)
    assert {other.key for other in near} == by_hand
    assert all(space.contains(other) for other in near)


def test_neighbours_of_full_precision_bring_a_whole_unit_of_the_space() -> None:
    space = load_space("bbcu")
    near = space.neighbours(Design(width=64, depth=32))
    assert {d.binarize for d in near if d.binarize} == set(space.axes.binarize) - {()}
