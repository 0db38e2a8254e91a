"""Design: one point of the design space."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_serializer,
    field_validator,
    model_serializer,
)

from bbnas.axes import (
    Activation,
    ActivationPosition,
    Axis,
    Estimator,
    Group,
    Kernel,
    Method,
    Norm,
    Share,
    Unshuffle,
    Upsampler,
    channels_of,
    half_of,
    in_turn,
    k_star,
    lengths,
    merged,
    of_width,
    ranges,
    square,
    switch,
)
from bbnas.errors import unknown
from bbnas.schema import Value, read_yaml, validate
from bbnas.tasks import Part, Task

# ---- when a choice changes the network, and its value in canonical form -------------------------


def _any_binary(design: Design) -> bool:
    return bool(design.binarize)


def _own_unit(design: Design) -> bool:
    return bool(design.binarize) and design.method == "bbcu"


def _has_addition(design: Design) -> bool:
    """Whether a unit adds a residual."""
    if design.binary(Part.BODY) and design.convs_per_residual > 0:
        return True
    if design.binary(Part.HEAD) or design.binary(Part.UPSAMPLING):
        return True
    # A convolution before the PixelShuffle of the image has no residual of its size.
    shuffled = design.upsampler == "direct" or design.unshuffle > 1
    return design.binary(Part.TAIL) and not (shuffled and design.tail_kernel == 3)


def _parts_built(design: Design, parts: tuple[Part, ...]) -> tuple[Part, ...]:
    lacking = set() if _upsamples(design) else {Part.UPSAMPLING}
    if design.method != "bam" and all_full(design.groups) and len(design.groups) <= design.depth:
        lacking.add(Part.BODY)
    return tuple(part for part in parts if part not in lacking)


def all_full(groups: tuple[Group, ...]) -> bool:
    """Whether the body is divided into groups that are all in full precision."""
    return bool(groups) and all(group.startswith("full") for group in groups)


def _varied(design: Design) -> float:
    """The share of the body in full precision, and that at half the width."""
    if not design.groups:
        return 0.0
    full = sum(group.startswith("full") for group in design.groups)
    half = sum(group.endswith("half") for group in design.groups)
    return (2 * full + half) / len(design.groups)


def _upsamples(design: Design) -> bool:
    return design.upsampler != "direct"


def _aligned_or_none(design: Design, k_ratio: float | None) -> float | None:
    one = k_ratio is not None and abs(k_ratio * k_star(design.width) - 1.0) < 1e-9
    return None if one else k_ratio


def _whole_channels(design: Design, share: float) -> float:
    return channels_of(share, design.width) / design.width


def _number(design: Design) -> int:
    """The number of groups of the body."""
    return len(merged(design.groups, design.width, design.depth, one_bit=True)) or 1


def _block(design: Design, convs: int | None) -> int | None:
    size = None if convs is None else min(convs, design.depth)
    return None if size == OWN_BLOCK else size


# The parts that may be 1-bit together, in the order of the network.
_SUBSETS = {parts: parts for n in range(len(Part) + 1) for parts in combinations(Part, n)}


_BEHIND = (Part.UPSAMPLING, Part.TAIL)  # the parts that read what the body makes


class Design(Value):
    """One binary restoration network: which parts are 1-bit, how their units are made, and how
    the parts are built.

    The axes from ``norm`` to ``redistribution`` make the unit of method ``bbcu``, the same for
    every binarized part. The units of other methods are fixed (``bbnas.binary.methods``; ``ma``
    binarizes weights alone), so these axes are idle. ``k_ratio`` is the amplification factor of
    residual alignment (paper Eq. 8) relative to ``k_star(width)``, so that it carries over
    between widths; None means no residual alignment. ``redistribution`` is that of BiSRNet
    (``bbnas.binary.unit.BinaryConv2d``).

    The axes from ``groups`` to ``unshuffle`` say how the parts are built, 1-bit or not.
    ``groups`` divides the convolutions of the body evenly into groups that follow one another:
    ``own`` as ``binarize`` has the body, ``full`` in full precision, ``half`` and ``full half`` at
    half the width.
    ``hr_width`` are the channels from the upsampling to the tail and ``head_width`` those of the
    head's convolution, as shares of ``width``; where the number of channels changes, features are
    repeated as in BBCU-H, or the first ones kept. ``tail_kernel`` 1 makes the image by a
    full-precision 1×1 convolution, after one 1-bit unit if the tail is binarized; ``head_kernel``
    is that of a full-precision head. ``unshuffle`` is the factor of a PixelUnshuffle of the image
    before the head, and of a PixelShuffle in the tail, for tasks without upsampling.

    Only the paper's ablations set the last two fields, and no space does. ``break_at`` is the
    convolution of the binary body, counted from 1, whose block has no residual (Table 5).
    ``convs_per_block`` is the number of convolutions in a residual block of the full-precision
    body (Fig. 5); None is the backbone's own.
    """

    binarize: Annotated[tuple[Part, ...], Axis(settled=_parts_built, builds=tuple(Part))] = ()
    method: Annotated[Method, Axis(matters=_any_binary, unit=True, builds=tuple(Part))] = "bbcu"
    norm: Annotated[Norm, Axis("normalisation", matters=_own_unit, unit=True)] = "none"
    k_ratio: Annotated[
        float | None,
        Axis(
            "alignment k / k*",
            ranges,
            matters=lambda d: d.method == "bbcu" or not d.binarize,
            settled=_aligned_or_none,
            measure=lambda d: math.log2(d.k / k_star(d.width)),
            unit=True,
        ),
        Field(gt=0, allow_inf_nan=False),
    ] = None
    activation: Annotated[Activation, Axis("activation", matters=_own_unit, unit=True)] = "rprelu"
    activation_position: Annotated[
        ActivationPosition,
        Axis(
            "activation position",
            matters=lambda d: _own_unit(d) and d.activation != "none" and _has_addition(d),
            unit=True,
        ),
    ] = "residual_branch"
    convs_per_residual: Annotated[
        int,
        Axis(
            "convolutions per residual",
            lambda span: str(span) if span else "no residual",
            matters=lambda d: _own_unit(d) and d.binary(Part.BODY),
            settled=lambda d, span: min(span, max(lengths(d.depth, _number(d)))),
            # A body without residual connections is as one of 64 convolutions for each.
            measure=lambda d: math.log2(d.convs_per_residual or 64),
            unit=True,
        ),
        Field(ge=0),
    ] = 1
    weight_scale: Annotated[
        bool,
        # BatchNorm cancels a scale of its channel.
        Axis(
            "weight scale",
            switch,
            matters=lambda d: _own_unit(d) and d.norm == "none",
            unit=True,
        ),
    ] = True
    estimator: Annotated[Estimator, Axis("estimator", matters=_own_unit, unit=True)] = "quadratic"
    redistribution: Annotated[
        bool, Axis("redistribution", switch, matters=_own_unit, unit=True, young=True)
    ] = False
    width: Annotated[
        int,
        Axis("width", measure=lambda d: math.log2(d.width), builds=tuple(Part)),
        Field(ge=3, le=1024),
    ] = 64
    depth: Annotated[
        int,
        Axis("depth", measure=lambda d: math.log2(d.depth), builds=(Part.BODY,)),
        Field(ge=1, le=256),
    ] = 32
    groups: Annotated[
        tuple[Group, ...],
        Axis(
            "groups of the body",
            in_turn,
            matters=lambda d: d.method != "bam" or not d.binary(Part.BODY),
            settled=lambda d, groups: merged(groups, d.width, d.depth, d.binary(Part.BODY)),
            measure=_varied,
            builds=(Part.BODY, *_BEHIND),
            young=True,
        ),
        Field(max_length=64),
    ] = ()
    upsampler: Annotated[
        Upsampler, Axis("upsampler", fits=Task.upsamples, builds=_BEHIND, young=True)
    ] = "steps"
    hr_width: Annotated[
        Share,
        Axis(
            "high-resolution width",
            of_width,
            matters=_upsamples,
            settled=_whole_channels,
            fits=Task.upsamples,
            measure=lambda d: math.log2(d.hr_width),
            builds=_BEHIND,
            young=True,
        ),
    ] = 1.0
    tail_kernel: Annotated[
        Kernel,
        Axis(
            "tail kernel",
            square,
            matters=lambda d: not (d.method == "ma" and d.binary(Part.TAIL)),
            builds=(Part.TAIL,),
            young=True,
        ),
    ] = 3
    head_kernel: Annotated[
        Kernel,
        Axis(
            "head kernel",
            square,
            matters=lambda d: not d.binary(Part.HEAD),
            builds=(Part.HEAD,),
            young=True,
        ),
    ] = 3
    head_width: Annotated[
        Share,
        Axis(
            "head width",
            of_width,
            settled=_whole_channels,
            measure=lambda d: math.log2(d.head_width),
            builds=(Part.HEAD,),
            young=True,
        ),
    ] = 1.0
    unshuffle: Annotated[
        Unshuffle,
        Axis(
            "PixelUnshuffle",
            lambda factor: f"×{factor}",
            fits=lambda task: not task.upsamples(),
            builds=(Part.HEAD, Part.BODY, Part.TAIL),
            young=True,
        ),
    ] = 1
    break_at: Annotated[
        int | None,
        Axis(
            matters=lambda d: (
                _own_unit(d) and d.binary(Part.BODY) and d.convs_per_residual > 0 and not d.groups
            ),
            unit=True,
            young=True,
        ),
        Field(ge=1),
    ] = None
    convs_per_block: Annotated[
        int | None,
        Axis(
            matters=lambda d: (not d.binary(Part.BODY) or d.method == "ma") and not d.groups,
            settled=_block,
            young=True,
        ),
        Field(ge=1),
    ] = None

    @field_validator("break_at")
    @classmethod
    def _in_the_body(cls, value: int | None, info: ValidationInfo) -> int | None:
        depth = info.data.get("depth")
        if value is not None and depth is not None and value > depth:
            raise ValueError(f"must be one of the {depth} convolutions of the body, from 1")
        return value

    @model_serializer(mode="wrap")
    def _written(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # Absent at their defaults, so that keys do not depend on these fields.
        content: dict[str, Any] = handler(self)
        return {
            name: value
            for name, value in content.items()
            if name not in YOUNGER or getattr(self, name) != DEFAULTS[name]
        }

    @field_validator("binarize", mode="before")
    @classmethod
    def _in_network_order(cls, value: Any) -> Any:
        if isinstance(value, str | Part):
            value = [value]
        try:
            if isinstance(value, tuple) and value in _SUBSETS:
                return _SUBSETS[value]
            wanted = set(value)
        except TypeError as error:
            raise ValueError(f"must be a list of {', '.join(Part)}") from error
        for name in wanted - set(Part):
            raise ValueError(str(unknown("part", name, list(Part))))
        return tuple(part for part in Part if part in wanted)

    @field_serializer("binarize", "groups")
    def _plain_names(self, value: tuple[str, ...]) -> list[str]:
        return [str(name) for name in value]

    @property
    def k(self) -> float:
        """The amplification factor itself: k_ratio · 130·n/64, or 1 without alignment."""
        return 1.0 if self.k_ratio is None else self.k_ratio * k_star(self.width)

    def binary(self, part: Part) -> bool:
        """Whether ``part`` is 1-bit."""
        return part in self.binarize

    def replace(self, **changes: Any) -> Self:
        """A validated copy with ``changes``."""
        return self.model_validate({**self.__dict__, **changes})

    @property
    def hr_channels(self) -> int:
        """Channels from the upsampling to the tail."""
        return channels_of(self.hr_width, self.width)

    @property
    def head_channels(self) -> int:
        """Output channels of the head's convolution."""
        return channels_of(self.head_width, self.width)

    @property
    def body_groups(self) -> list[Design]:
        """The body of each group as a design of its own, without groups."""
        if not self.groups:
            return [self]
        found = []
        for group, depth in zip(self.groups, lengths(self.depth, len(self.groups)), strict=True):
            full, half = group.startswith("full"), group.endswith("half")
            parts = tuple(part for part in self.binarize if part is not Part.BODY or not full)
            width = half_of(self.width) if half else self.width
            changes = {"binarize": parts, "width": width, "depth": depth, "groups": ()}
            found.append(self.model_copy(update=changes))
        return found

    def fitted(self, task: Task) -> Design:
        """The canonical design without the binarized parts that the task's backbone lacks, and
        with the axes of which the task has no choice at their defaults.
        """
        parts = [part for part in self.binarize if part in task.parts]
        changes = DEFAULTS.keys() - {name for name, axis in AXES.items() if axis.fits(task)}
        return self.replace(
            binarize=parts, **{name: DEFAULTS[name] for name in changes}
        ).canonical()

    def bare(self, **changes: Any) -> Design:
        """The design with what decides OPs and Params alone, and ``changes``; all else is at its
        default.
        """
        return Design(
            **{name: getattr(self, name) for name, axis in AXES.items() if axis.builds} | changes
        )

    def in_full_precision(self) -> Design:
        """The canonical network of the same structure in full precision, without alignment."""
        return self.bare(binarize=()).canonical()

    def canonical(self) -> Design:
        """The design that names the same network with every idle choice at its default.

        A design is made canonical where it enters: by ``load_design``, a Recipe, a Space, the
        store. Code that changes a canonical design by ``replace`` makes it canonical again.
        """
        return _canonical(self)

    @property
    def key(self) -> str:
        """16 hexadecimal digits, equal for designs that build the same network."""
        return _key(self)

    @property
    def published(self) -> str:
        """The name in ``METHODS`` of its unit; empty in full precision and for other units."""
        if not self.binarize or self.method != "bbcu":
            return self.method if self.binarize else ""
        return _published(self)

    def label(self) -> str:
        """A short name for tables and hovers: ``body, BBCU, 64×32``, or with the unit's axes."""
        size = ", ".join([f"{self.width}×{self.depth}", *self.built])
        k = "" if self.k_ratio is None else f", k {self.k_ratio:.3g} k*"
        if self.convs_per_block is not None:
            size += f", {self.convs_per_block} per block"
        if self.break_at is not None:
            size += f", residual {self.break_at} removed"
        if not self.binarize:
            return f"full precision{k}, {size}"
        words = ["+".join(self.binarize)]
        if self.published:
            return ", ".join([*words, TITLES[self.published], size])
        if self.norm != "none":
            words.append(self.norm)
        words.append("no alignment" if self.k_ratio is None else k.removeprefix(", "))
        if self.activation == "none":
            words.append("no activation")
        else:
            inside = self.activation_position == "residual_branch"
            words.append(f"{self.activation} {'in the branch' if inside else 'after the sum'}")
        if self.binary(Part.BODY):
            span = self.convs_per_residual
            words.append(f"{span} per residual" if span else "no residual")
        words += [self.estimator] + ([] if self.weight_scale else ["no scale"])
        words += [*(["redistribution"] if self.redistribution else []), size]
        return ", ".join(words)

    @property
    def built(self) -> list[str]:
        """How the parts are built, in words, where it is not as in the paper."""
        return [
            f"{axis.title} {axis.words(getattr(self, name))}"
            for name, axis in AXES.items()
            if name in STRUCTURE and getattr(self, name) != DEFAULTS[name]
        ]

    def to_dict(self) -> dict[str, Any]:
        """Plain names and numbers, as in YAML and JSON."""
        return self.model_dump()

    def to_yaml(self) -> str:
        return yaml.safe_dump(self.to_dict(), sort_keys=False)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], where: str | Path = "design") -> Design:
        """Raises UserError naming ``where``, the key and the rule."""
        return validate(cls, content, where)

    @classmethod
    def from_yaml(cls, path: str | Path) -> Design:
        return cls.from_dict(read_yaml(path), path)


# The axes of a Design by name, and their values where a design does not say otherwise.
AXES: dict[str, Axis] = {
    name: next(item for item in field.metadata if isinstance(item, Axis))
    for name, field in Design.model_fields.items()
}
DEFAULTS: dict[str, Any] = {name: field.default for name, field in Design.model_fields.items()}
# (field of Design, its name for people, the text of a value).
CHOICES: tuple[tuple[str, str, Callable[[Any], str]], ...] = tuple(
    (name, axis.title, axis.words) for name, axis in AXES.items() if axis.title
)
# The fields that a method decides, at their defaults.
UNIT_FIELDS: dict[str, Any] = {name: DEFAULTS[name] for name, axis in AXES.items() if axis.unit}
# The fields that are younger than stored keys.
YOUNGER = frozenset(name for name, axis in AXES.items() if axis.young)
# How the parts are built: what decides OPs and Params beside method, 1-bit parts, width and depth.
STRUCTURE = tuple(name for name, axis in AXES.items() if axis.builds and axis.young)
# The fields that only the paper's ablations vary.
ABLATED = ("break_at", "convs_per_block")
# The convolutions of a residual block of SRResNet, the one backbone that has such blocks.
OWN_BLOCK = 2


def matters(field: str, design: Design) -> bool:
    """Whether the choice ``field`` changes the network of ``design``."""
    return AXES[field].matters(design)


# Cached: a search asks for both hundreds of thousands of times, for a few hundred designs.
@lru_cache(1 << 16)
def _canonical(design: Design) -> Design:
    design = _settled(design)
    if design.break_at is not None:
        span = design.convs_per_residual
        first = (design.break_at - 1) // span * span + 1
        whole = {"break_at": None, "convs_per_residual": 0}  # the body's only residual
        changes = whole if span == design.depth else {"break_at": first}
        design = _settled(design.replace(**changes))
    return design


def _settled(design: Design) -> Design:
    """With each choice in canonical form, and idle ones at their defaults."""
    for name, axis in AXES.items():
        value = getattr(design, name)
        wanted = axis.settled(design, value) if axis.matters(design) else DEFAULTS[name]
        if wanted != value:
            design = design.model_copy(update={name: wanted})  # these values are valid
    return design


@lru_cache(1 << 16)
def _key(design: Design) -> str:
    fields = design.canonical().model_dump()
    if fields["method"] == "bbcu":
        del fields["method"]  # keys are older than the field
    content = json.dumps(fields, sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


# Cached: a page names the units of ten thousand designs.
@lru_cache(1 << 16)
def _published(design: Design) -> str:
    mine = design.canonical()
    units = ((name, UNIT_FIELDS | METHODS[name]) for name in _BY_AXES)
    return next(
        (name for name, unit in units if mine.model_copy(update=unit).canonical() == mine), ""
    )


_V4: dict[str, Any] = {"k_ratio": 1.0}
_V1: dict[str, Any] = {"norm": "batchnorm", "activation_position": "after_addition"}

# The methods of the paper's tables, as the fields of a Design that make their unit. ReActNet's
# unit is that of BBCU-V1 (paper Eq. 5; the two have equal figures in Tables 1 and 4).
METHODS: dict[str, dict[str, Any]] = {
    "bnn": {"method": "bnn"},
    "xnornet": {"method": "xnornet"},
    "bireal": {"method": "bireal"},
    "irnet": {"method": "irnet"},
    "reactnet": _V1,
    "bam": {"method": "bam"},
    "btm": {"method": "btm"},
    "ma": {"method": "ma"},
    "bbcu-v1": _V1,
    "bbcu-v2": {"activation_position": "after_addition"},
    "bbcu-v3": {"activation_position": "after_addition", **_V4},
    "bbcu-v4": _V4,
    "bbcu": _V4,
}

TITLES: dict[str, str] = {
    "bnn": "BNN",
    "xnornet": "XNOR-Net",
    "bireal": "Bi-Real",
    "irnet": "IR-Net",
    "reactnet": "ReActNet",
    "bam": "BAM",
    "btm": "BTM",
    "ma": "Ma et al.",
    "bbcu-v1": "BBCU-V1",
    "bbcu-v2": "BBCU-V2",
    "bbcu-v3": "BBCU-V3",
    "bbcu-v4": "BBCU-V4",
    "bbcu": "BBCU",
}

# The names of METHODS whose unit the axes make; one name where several have the same unit.
_BY_AXES = ("bbcu", "reactnet", "bbcu-v2", "bbcu-v3")
