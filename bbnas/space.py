"""Space: which values a Design may take, and every way of choosing among them."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol, Self, get_args, get_origin

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    field_serializer,
    field_validator,
    model_serializer,
    model_validator,
)

from bbnas.axes import (
    Activation,
    ActivationPosition,
    Estimator,
    Group,
    Kernel,
    Norm,
    Share,
    Unshuffle,
    Upsampler,
    in_turn,
)
from bbnas.design import (
    ABLATED,
    AXES,
    DEFAULTS,
    METHODS,
    STRUCTURE,
    UNIT_FIELDS,
    YOUNGER,
    Design,
    all_full,
    matters,
)
from bbnas.errors import UserError, short, unknown
from bbnas.resources import builtin
from bbnas.schema import Value, names_file, read_yaml, validate
from bbnas.tasks import TASKS, Part, Task

if TYPE_CHECKING:
    import optuna

# Chosen in this order, and before all other axes: whether another axis matters, and its values in
# canonical form, rest on these alone. Where few axes rest on one, they are named.
_SWITCHES: dict[str, tuple[str, ...]] = {
    "width": (),
    "depth": (),
    "upsampler": (),
    "unshuffle": ("activation_position",),
    "binarize": (),
    "method": (),
    "groups": ("convs_per_residual",),
    "tail_kernel": ("activation_position",),
    "convs_per_residual": ("activation_position",),
    "activation": ("activation_position",),
    "norm": ("weight_scale",),
}
_LEAVES = tuple(name for name in AXES if name not in (*_SWITCHES, *ABLATED))
_ORDER = (*_SWITCHES, *_LEAVES)

# Axes asked by rank, so that a sampler knows which values are neighbours.
_ORDERED = {"binarize", *(name for name, axis in AXES.items() if axis.measure)}

# Axes with a value that means absence: (yes/no parameter asked first, that value).
_OFF: dict[str, tuple[str, Any]] = {
    "k_ratio": ("align", None),
    "convs_per_residual": ("residual", 0),
}


class Random(Protocol):
    """What both random.Random and numpy.random.Generator offer."""

    def random(self) -> float: ...


class Ask(Protocol):
    """Chooses one of ``choices`` for the named parameter; ``ordered`` if they form a scale."""

    def __call__(self, name: str, choices: Sequence[Any], ordered: bool) -> Any: ...


class Axes(Value):
    """The values of each axis of a Design; an axis left out is fixed at Design's default.

    ``method`` names whole units (``bbnas.design.METHODS``) and so decides all axes of the unit,
    which are then left out. Values are kept in one order whatever the file's, so equal spaces
    have equal keys.
    """

    binarize: tuple[tuple[Part, ...], ...] = Field(min_length=1)
    method: tuple[str, ...] = ()
    norm: tuple[Norm, ...] = ("none",)
    k_ratio: tuple[Annotated[float, Field(gt=0, allow_inf_nan=False)] | None, ...] = (None,)
    activation: tuple[Activation, ...] = ("rprelu",)
    activation_position: tuple[ActivationPosition, ...] = ("residual_branch",)
    convs_per_residual: tuple[Annotated[int, Field(ge=0)], ...] = (1,)
    weight_scale: tuple[bool, ...] = (True,)
    estimator: tuple[Estimator, ...] = ("quadratic",)
    redistribution: tuple[bool, ...] = (False,)
    width: tuple[Annotated[int, Field(ge=3, le=1024)], ...] = (64,)
    depth: tuple[Annotated[int, Field(ge=1, le=256)], ...] = (32,)
    groups: tuple[Annotated[tuple[Group, ...], Field(max_length=64)], ...] = ((),)
    upsampler: tuple[Upsampler, ...] = ("steps",)
    hr_width: tuple[Share, ...] = (1.0,)
    tail_kernel: tuple[Kernel, ...] = (3,)
    head_kernel: tuple[Kernel, ...] = (3,)
    head_width: tuple[Share, ...] = (1.0,)
    unshuffle: tuple[Unshuffle, ...] = (1,)

    @model_serializer(mode="wrap")
    def _written(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        content: dict[str, Any] = handler(self)
        for name in YOUNGER & content.keys():  # keys are older than these axes
            if getattr(self, name) == (DEFAULTS[name],):
                del content[name]
        return content

    @field_validator("binarize", mode="before")
    @classmethod
    def _subsets(cls, value: Any) -> Any:
        if isinstance(value, Mapping):
            if set(value) != {"any_of"} or not isinstance(value["any_of"], list | tuple):
                raise ValueError("must be {any_of: [parts]} or a list of lists of parts")
            parts = _parts(value["any_of"])
            return [c for n in range(len(parts) + 1) for c in itertools.combinations(parts, n)]
        if not isinstance(value, list | tuple) or any(isinstance(item, str) for item in value):
            raise ValueError(
                "must be a list of lists, such as [[], [body]], or {any_of: [parts]} for every "
                "subset of those parts"
            )
        return [_parts(item) for item in value]

    @field_validator("k_ratio", mode="before")
    @classmethod
    def _off(cls, value: Any) -> Any:
        # YAML reads the bare word off as False.
        values = value if isinstance(value, list | tuple) else [value]
        if any(item is True for item in values):
            raise ValueError("must be off or numbers above 0")
        return [None if item is False or item == "off" else item for item in values]

    @field_validator("groups", mode="before")
    @classmethod
    def _divisions(cls, value: Any) -> Any:
        if isinstance(value, Mapping):
            names, number = value.get("each_of"), value.get("groups")
            if set(value) != {"each_of", "groups"} or not isinstance(names, list | tuple):
                raise ValueError("must be {each_of: [groups], groups: NUMBER} or a list of lists")
            if type(number) is not int or not 1 <= number <= 4:
                raise ValueError(f"groups {short(number)}: must be a number from 1 to 4")
            every = itertools.product(names, repeat=number)
            return [groups for groups in every if not all_full(groups)]
        if not isinstance(value, list | tuple) or any(isinstance(item, str) for item in value):
            raise ValueError(
                "must be a list of lists, such as [[], [full, own]], or "
                "{each_of: [groups], groups: NUMBER} for every succession of them"
            )
        return value

    @field_validator("groups")
    @classmethod
    def _some_1_bit(cls, value: tuple[tuple[Group, ...], ...]) -> tuple[tuple[Group, ...], ...]:
        for groups in value:
            if all_full(groups):
                raise ValueError(f"{in_turn(groups)}: leave it out, and body out of binarize")
        return value

    @field_validator("*", mode="before")
    @classmethod
    def _one_value_is_a_list(cls, value: Any) -> Any:
        return value if isinstance(value, list | tuple | Mapping) else [value]

    @field_validator("method")
    @classmethod
    def _known(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        units: dict[str, str] = {}
        for name in values:
            if name not in METHODS:
                raise ValueError(str(unknown("method", name, METHODS)))
            unit = json.dumps(METHODS[name], sort_keys=True)
            if name != units.setdefault(unit, name):
                raise ValueError(f"{name} is the same unit as {units[unit]}: leave one out")
        return values

    @model_validator(mode="after")
    def _one_unit(self) -> Self:
        for axis in UNIT_FIELDS:
            if self.method and axis != "method" and axis in self.model_fields_set:
                default = Axes.model_fields[axis].default
                if getattr(self, axis) != default:
                    raise ValueError(f"method decides {axis}: leave {axis} or method out")
        return self

    @field_validator("*", mode="after")
    @classmethod
    def _distinct_in_order(cls, values: tuple[Any, ...], info: Any) -> tuple[Any, ...]:
        if not values and info.field_name != "method":
            raise ValueError("must hold at least one value")
        if len(set(values)) < len(values):
            twice = next(value for value in values if values.count(value) > 1)
            raise ValueError(f"holds {_text(twice)} twice")
        return tuple(sorted(values, key=_RANK.get(info.field_name, _rank_number)))

    @field_serializer("binarize")
    def _plain_names(self, value: tuple[tuple[Part, ...], ...]) -> list[list[str]]:
        return [[str(part) for part in subset] for subset in value]


def _parts(names: Any) -> list[Part]:
    if not isinstance(names, list | tuple):
        raise ValueError(f"must be a list of parts ({', '.join(Part)}), not {names!r}")
    for name in names:
        if name not in list(Part):
            raise ValueError(str(unknown("part", name, Part)))
    return [part for part in Part if part in names]


def _rank_number(value: float | None) -> float:
    return -1.0 if value is None else float(value)


def _rank_subset(value: tuple[Part, ...]) -> tuple[int, list[int]]:
    return len(value), [list(Part).index(part) for part in value]


def _rank_groups(value: tuple[Group, ...]) -> tuple[int, list[int]]:
    return len(value), [get_args(Group).index(group) for group in value]


_RANK: dict[str, Callable[[Any], Any]] = {
    name: get_args(field.annotation).index
    for name, field in Design.model_fields.items()
    if get_origin(field.annotation) is Literal
}
_RANK |= {"binarize": _rank_subset, "method": list(METHODS).index, "groups": _rank_groups}


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return "+".join(value) or "nothing"
    if isinstance(value, bool):
        return "on" if value else "off"
    return "off" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


class Space(Value):
    """A design space. Designs that build the same network count once, everywhere."""

    version: Literal[1]
    name: str = Field(min_length=1)
    description: str = ""
    axes: Axes

    def suggest(self, trial: optuna.trial.BaseTrial) -> Design:
        """A canonical Design chosen through ``trial``; an axis is asked only when it matters.

        Ordered axes are integer parameters (the rank of the value, smallest first); part subsets
        are one yes/no parameter a part where every combination is allowed.
        """

        def ask(name: str, choices: Sequence[Any], ordered: bool) -> Any:
            if ordered:
                return choices[trial.suggest_int(name, 0, len(choices) - 1)]
            return trial.suggest_categorical(name, list(choices))

        return self._choose(ask)

    def sample(self, rng: Random) -> Design:
        """A canonical Design with every axis that matters drawn uniformly, as suggest asks it."""

        def ask(name: str, choices: Sequence[Any], ordered: bool) -> Any:
            return choices[int(rng.random() * len(choices))]

        return self._choose(ask)

    def params(self, design: Design) -> dict[str, Any]:
        """The Optuna parameters for which ``suggest`` returns this network.

        Raises:
            UserError: the space does not contain the design.
        """
        wanted = design.canonical()
        found: dict[str, Any] = {}
        if not self.axes.method and wanted.method != Design().method:
            raise UserError(
                f"method {wanted.method} is not in space {self.name!r}, which has none"
            )
        for axis in self._order:
            if not matters(axis, wanted):
                continue
            values = getattr(self.axes, axis)
            if axis != "method" and getattr(wanted, axis) in values:  # nearly always
                found |= self._answers(axis, getattr(wanted, axis), wanted)
                continue
            same = (
                value
                for value in values
                if wanted.replace(**_fields(axis, value)).canonical() == wanted
            )
            try:
                found |= self._answers(axis, next(same), wanted)
            except StopIteration:
                allowed = ", ".join(_text(value) for value in getattr(self.axes, axis))
                have = "of this unit" if axis == "method" else _text(getattr(wanted, axis))
                raise UserError(
                    f"{axis} {have} is not in space {self.name!r}: it holds {allowed}"
                ) from None
        return found

    def answers(self, design: Design) -> dict[str, tuple[Any, tuple[Any, ...]]]:
        """For each Optuna parameter of ``design``: its value itself, not a rank, and its choices.

        Raises:
            UserError: the space does not contain the design.
        """
        params, found = self.params(design), {}

        def ask(name: str, choices: Sequence[Any], ordered: bool) -> Any:
            value = choices[params[name]] if ordered else params[name]
            found[name] = value, tuple(choices)
            return value

        self._choose(ask)
        return found

    def contains(self, design: Design) -> bool:
        """Whether ``suggest`` can return this network."""
        try:
            self.params(design)
        except UserError:
            return False
        return True

    def neighbours(self, design: Design) -> list[Design]:
        """The distinct designs that differ from ``design`` in one axis that matters.

        Designs with one part more or less binarized come first, because parts have the largest
        effect; designs that exchange several parts come last.
        """
        found: dict[str, Design] = {}
        for axis in self._order:
            if matters(axis, design):
                for value in getattr(self.axes, axis):
                    near = design.replace(**_fields(axis, value)).canonical()
                    found[near.key] = near
        found.pop(design.key, None)

        def rank(near: Design) -> int:
            changed = len(set(near.binarize) ^ set(design.binarize))
            return {0: 1, 1: 0}.get(changed, 2)

        return sorted((near for near in found.values() if self.contains(near)), key=rank)

    def count(self) -> int:
        """The number of distinct designs, exactly."""
        total = 0
        leaves = self._leaves
        for chosen in self._switches():
            product = 1
            for axis in leaves:
                product *= len(self._options(axis, chosen))
            total += product
        return total

    def enumerate(self) -> Iterator[Design]:
        """Every distinct design once, canonical."""
        leaves = self._leaves
        for chosen in self._switches():
            options = [self._options(axis, chosen) for axis in leaves]
            for values in itertools.product(*options):
                yield chosen.replace(**dict(zip(leaves, values, strict=True))).canonical()

    @property
    def fixed(self) -> dict[str, Any]:
        """How the parts are built in all designs, where that is not as in the paper."""
        return {
            name: getattr(self.axes, name)[0]
            for name in STRUCTURE
            if DEFAULTS[name] not in getattr(self.axes, name)
        }

    def guided(self, order: Sequence[Part]) -> Self:
        """The same space with parts binarized in one order: none, the first, the first two …, all.

        Raises:
            UserError: no such prefix is in the space.
        """
        prefixes = [set(order[:n]) for n in range(len(order) + 1)]
        kept = [list(subset) for subset in self.axes.binarize if set(subset) in prefixes]
        if not kept:
            raise UserError(
                f"space {self.name!r} binarizes no prefix of {' > '.join(order)}; "
                "search it without a guide"
            )
        return self._with(binarize=kept)

    def fitted(self, task: Task) -> Self:
        """The same space without the parts that the task's backbone lacks, and with the axes of
        which the task has no choice at their defaults.
        """
        subsets = [[p for p in subset if p in task.parts] for subset in self.axes.binarize]
        fixed = {name: [DEFAULTS[name]] for name, axis in AXES.items() if not axis.fits(task)}
        return self._with(binarize=list(dict.fromkeys(map(tuple, subsets))), **fixed)

    def describe(self) -> dict[str, list[str]]:
        """The values of each axis in words, smallest first."""
        order = (axis for axis in Axes.model_fields if axis in self._order)
        return {axis: self._texts(axis) for axis in order}

    def _texts(self, axis: str) -> list[str]:
        words = in_turn if axis == "groups" else _text
        return list(map(words, getattr(self.axes, axis)))

    def to_dict(self) -> dict[str, Any]:
        """Plain names and numbers, from which ``from_dict`` makes the space again."""
        return self.model_dump(mode="json")

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], where: str | Path = "space") -> Self:
        """Raises UserError naming ``where``, the key and the allowed values."""
        return validate(cls, content, where)

    @property
    def key(self) -> str:
        """16 hexadecimal digits, equal for spaces that hold the same choices."""
        content = json.dumps(self.axes.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    @property
    def _order(self) -> tuple[str, ...]:
        """The axes to choose, in order: a method has the unit's decided, no method is no axis."""
        if self.axes.method:
            return tuple(axis for axis in _ORDER if axis == "method" or axis not in UNIT_FIELDS)
        return tuple(axis for axis in _ORDER if axis != "method")

    @property
    def _open(self) -> tuple[str, ...]:
        """The axes that are not fixed at their defaults, in order; a method sets many fields."""
        return tuple(
            axis
            for axis in self._order
            if axis == "method" or getattr(self.axes, axis) != (DEFAULTS[axis],)
        )

    @property
    def _leaves(self) -> tuple[str, ...]:
        """The open axes on which no other open axis rests."""
        axes = self._open
        return tuple(
            axis
            for axis in axes
            if axis in _LEAVES or (_SWITCHES[axis] and not set(_SWITCHES[axis]) & set(axes))
        )

    def _choose(self, ask: Ask) -> Design:
        # Filled in axis by axis: a copy for each would take most of the time of a proposal.
        chosen = Design().model_copy()
        for axis in self._open:
            if matters(axis, chosen):
                value = self._ask(axis, ask, chosen)
                if axis != "method":
                    value = AXES[axis].settled(chosen, value)
                vars(chosen).update(_fields(axis, value))
        return Design.model_validate(dict(vars(chosen))).canonical()

    def _ask(self, axis: str, ask: Ask, chosen: Design) -> Any:
        """The value of ``axis`` for a design with the axes before it ``chosen``."""
        values: tuple[Any, ...] = getattr(self.axes, axis)
        if axis == "binarize" and (free := self._free_parts()) is not None:
            always = set(values[0])
            built = AXES["binarize"].settled(chosen, tuple(free))
            added = {p for p in built if ask(f"binarize_{p}", (False, True), ordered=False)}
            return tuple(part for part in Part if part in always | added)
        if axis in _OFF and (off := _OFF[axis][1]) in values and len(values) > 1:
            if not ask(_OFF[axis][0], (False, True), ordered=False):
                return off
            values = tuple(value for value in values if value != off)
        return values[0] if len(values) == 1 else ask(axis, values, ordered=axis in _ORDERED)

    def _answers(self, axis: str, value: Any, chosen: Design) -> dict[str, Any]:
        """The parameters by which ``_ask`` returns ``value``."""
        answers: dict[str, Any] = {}

        def ask(name: str, choices: Sequence[Any], ordered: bool) -> Any:
            if name.startswith("binarize_"):
                choice = name.removeprefix("binarize_") in value
            elif axis in _OFF and name == _OFF[axis][0]:
                choice = value != _OFF[axis][1]
            else:
                choice = value
            answers[name] = choices.index(choice) if ordered else choice
            return choice

        self._ask(axis, ask, chosen)
        return answers

    def _free_parts(self) -> list[Part] | None:
        """The parts that are free to be binarized or not, if every combination is allowed."""
        always, ever = set(self.axes.binarize[0]), set().union(*self.axes.binarize)
        every = all(always <= set(subset) for subset in self.axes.binarize)
        if not every or len(self.axes.binarize) != 2 ** len(ever - always):
            return None
        return [part for part in Part if part in ever - always]

    def _switches(self) -> Iterator[Design]:
        """Every distinct choice of the axes on which others depend."""

        def deepen(chosen: Design, axes: tuple[str, ...]) -> Iterator[Design]:
            if not axes:
                yield chosen
                return
            if not matters(axes[0], chosen):
                yield from deepen(chosen, axes[1:])
                return
            for value in self._options(axes[0], chosen):
                yield from deepen(_set(chosen, axes[0], value), axes[1:])

        leaves = self._leaves
        return deepen(Design(), tuple(axis for axis in self._open if axis not in leaves))

    def _options(self, axis: str, chosen: Design) -> tuple[Any, ...]:
        """The values of an axis that make distinct networks, in canonical form."""
        if not matters(axis, chosen):
            return (getattr(chosen, axis),)
        if axis == "method":
            return self.axes.method
        settled = AXES[axis].settled
        return tuple(dict.fromkeys(settled(chosen, v) for v in getattr(self.axes, axis)))

    def _with(self, **changes: Any) -> Self:
        axes = Axes.model_validate(self.axes.model_dump() | changes)
        return self.model_copy(update={"axes": axes})


def _fields(axis: str, value: Any) -> dict[str, Any]:
    """The fields of a Design that a choice sets; a method sets all fields of the unit."""
    return UNIT_FIELDS | METHODS[value] if axis == "method" else {axis: value}


def _set(design: Design, axis: str, value: Any) -> Design:
    # Not validated: values of a Space are valid, and validation would dominate count().
    return design.model_copy(update=_fields(axis, value))


def load_space(name_or_path: str | Path, task: Task = TASKS["sr4"]) -> Space:
    """A built-in space by name, or one from a YAML file (named after the file).

    In the file ``depth: {of_backbone: [0.5, 1]}`` are shares of the depth of the task's backbone;
    no depth is that depth. Parts that the backbone lacks are left out.

    Raises:
        UserError: neither a built-in space nor a file, or the file is not a valid space.
    """
    text = str(name_or_path)
    known = builtin("search_spaces")
    path = known[text] if text in known else Path(text)
    if text not in known and not names_file(text):
        raise unknown("space (or a .yaml file)", text, known)
    content = {"name": path.stem} | read_yaml(path)
    if isinstance(content.get("axes"), Mapping):
        content["axes"] = _at_depth(dict(content["axes"]), task.backbone.depth, path)
    return Space.from_dict(content, path).fitted(task)


def _at_depth(axes: dict[str, Any], depth: int, where: Path) -> dict[str, Any]:
    """The axes with depths in convolutions."""
    given = axes.get("depth", {"of_backbone": [1]})
    if not isinstance(given, Mapping):
        return axes
    shares = given.get("of_backbone")
    shares = shares if isinstance(shares, list) else [shares]
    if set(given) != {"of_backbone"} or not all(
        isinstance(share, int | float) and 0 < share <= 1 for share in shares
    ):
        raise UserError(
            f"{where}: axes.depth: must be a list of convolutions, such as [16, 32], or "
            f"{{of_backbone: [shares in 0..1]}}, not {short(given)}"
        )
    return axes | {"depth": sorted({max(1, round(share * depth)) for share in shares})}
