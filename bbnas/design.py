"""Design: one point of the design space."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from itertools import combinations
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_serializer,
    field_validator,
    model_serializer,
)

from bbnas.errors import unknown
from bbnas.schema import Value, read_yaml, validate
from bbnas.tasks import Part, Task

Norm = Literal["none", "batchnorm"]
Activation = Literal["rprelu", "prelu", "relu", "hardtanh", "none"]
ActivationPosition = Literal["after_addition", "residual_branch"]
Estimator = Literal["clip", "quadratic", "ede", "tanh"]
Method = Literal["bbcu", "bnn", "xnornet", "bireal", "irnet", "btm", "bam", "ma"]


def k_star(width: int) -> float:
    """The best amplification factor for ``width`` channels: 130·n/64 (paper §4.5)."""
    return 130.0 * width / 64.0


# The ratios k / k* that count as aligned: beyond a factor of 8 one of the two branches dominates
# the sum (Fig. 6).
ALIGNED = (1 / 8, 8.0)


def aligned(k_ratio: float | None) -> bool:
    """Whether an amplification factor relative to k* is in the range ALIGNED."""
    return k_ratio is not None and ALIGNED[0] <= k_ratio <= ALIGNED[1]


# The parts that may be 1-bit together, in the order of the network.
_SUBSETS = {parts: parts for n in range(len(Part) + 1) for parts in combinations(Part, n)}


class Design(Value):
    """One binary restoration network: which parts are 1-bit, and how their units are made.

    The axes from ``norm`` to ``redistribution`` make the unit of method ``bbcu``, the same for
    every binarized part. The units of other methods are fixed (``bbnas.binary.methods``; ``ma``
    binarizes weights alone), so these axes are idle. ``k_ratio`` is the amplification factor of
    residual alignment (paper Eq. 8) relative to ``k_star(width)``, so that it carries over
    between widths; None means no residual alignment. ``redistribution`` is that of BiSRNet
    (``bbnas.binary.unit.BinaryConv2d``).

    Only the paper's ablations set the last two fields, and no space does. They and
    ``redistribution`` are written only where they are set. ``break_at`` is the convolution of the
    binary body, counted from 1, whose block has no residual (Table 5). ``convs_per_block`` is the
    number of convolutions in a residual block of the full-precision body (Fig. 5); None is the
    backbone's own.
    """

    binarize: tuple[Part, ...] = ()
    method: Method = "bbcu"
    norm: Norm = "none"
    k_ratio: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    activation: Activation = "rprelu"
    activation_position: ActivationPosition = "residual_branch"
    convs_per_residual: int = Field(default=1, ge=0)
    weight_scale: bool = True
    estimator: Estimator = "quadratic"
    redistribution: bool = False
    width: int = Field(default=64, ge=3, le=1024)
    depth: int = Field(default=32, ge=1, le=256)
    break_at: int | None = Field(default=None, ge=1)
    convs_per_block: int | None = Field(default=None, ge=1)

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
        return {k: v for k, v in content.items() if k not in YOUNGER or v not in (None, False)}

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

    @field_serializer("binarize")
    def _plain_names(self, value: tuple[Part, ...]) -> list[str]:
        return [str(part) for part in value]

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

    def fitted(self, task: Task) -> Design:
        """The canonical design without the binarized parts that the task's backbone lacks."""
        if all(part in task.parts for part in self.binarize):
            return self.canonical()
        return self.replace(binarize=[p for p in self.binarize if p in task.parts]).canonical()

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
        mine = self.canonical()
        rest = self.binarize, self.width, self.depth, self.convs_per_block
        return next((name for name in _BY_AXES if _with_unit(name, *rest) == mine), "")

    def label(self) -> str:
        """A short name for tables and hovers: ``body, BBCU, 64×32``, or with the unit's axes."""
        size = f"{self.width}×{self.depth}"
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


# Cached: a search asks for both hundreds of thousands of times, for a few hundred designs.
@lru_cache(1 << 16)
def _canonical(design: Design) -> Design:
    if design.convs_per_residual > design.depth:
        design = design.replace(convs_per_residual=design.depth)
    if design.convs_per_block is not None:
        size = min(design.convs_per_block, design.depth)
        design = design.replace(convs_per_block=None if size == OWN_BLOCK else size)
    if design.break_at is not None and MATTERS["break_at"](design):
        span = design.convs_per_residual
        first = (design.break_at - 1) // span * span + 1
        whole = {"break_at": None, "convs_per_residual": 0}  # the body's only residual
        design = design.replace(**whole if span == design.depth else {"break_at": first})
    if design.k_ratio is not None and abs(design.k - 1.0) < 1e-9:
        design = design.replace(k_ratio=None)
    idle = {
        axis: Design.model_fields[axis].default
        for axis, matters in MATTERS.items()
        if not matters(design) and getattr(design, axis) != Design.model_fields[axis].default
    }
    return design.replace(**idle) if idle else design


@lru_cache(1 << 16)
def _key(design: Design) -> str:
    fields = design.canonical().model_dump()
    if fields["method"] == "bbcu":
        del fields["method"]  # keys are older than the field
    content = json.dumps(fields, sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


# Cached: a page names the units of ten thousand designs, of few sizes.
@lru_cache(1 << 12)
def _with_unit(
    name: str, binarize: tuple[Part, ...], width: int, depth: int, convs_per_block: int | None
) -> Design:
    """The canonical design of this size with the unit ``name`` of ``_BY_AXES``."""
    size = {"width": width, "depth": depth, "convs_per_block": convs_per_block}
    return Design.model_validate(
        {"binarize": binarize, **size, **UNIT_FIELDS, **METHODS[name]}
    ).canonical()


def _any_binary(design: Design) -> bool:
    return bool(design.binarize)


def _own_unit(design: Design) -> bool:
    return bool(design.binarize) and design.method == "bbcu"


def _has_addition(design: Design) -> bool:
    body_adds = design.binary(Part.BODY) and design.convs_per_residual > 0
    return body_adds or any(part is not Part.BODY for part in design.binarize)


# The fields that only the paper's ablations vary.
ABLATED = ("break_at", "convs_per_block")
# The fields that are younger than stored keys.
YOUNGER = (*ABLATED, "redistribution")
# The convolutions of a residual block of SRResNet, the one backbone that has such blocks.
OWN_BLOCK = 2

# When a choice changes the network; an axis that is not listed always does. A predicate must read
# only axes that matter whenever it returns True: one pass over MATTERS then gives the canonical
# form (tests/test_design.py checks that it is idempotent).
MATTERS: dict[str, Callable[[Design], bool]] = {
    "method": _any_binary,
    "k_ratio": lambda d: d.method == "bbcu" or not d.binarize,
    "norm": _own_unit,
    "activation": _own_unit,
    "activation_position": lambda d: _own_unit(d) and d.activation != "none" and _has_addition(d),
    "convs_per_residual": lambda d: _own_unit(d) and d.binary(Part.BODY),
    # BatchNorm cancels a scale of its channel.
    "weight_scale": lambda d: _own_unit(d) and d.norm == "none",
    "estimator": _own_unit,
    "redistribution": _own_unit,
    "break_at": lambda d: _own_unit(d) and d.binary(Part.BODY) and d.convs_per_residual > 0,
    "convs_per_block": lambda d: not d.binary(Part.BODY) or d.method == "ma",
}

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

# The fields that a method decides, at their defaults.
UNIT_FIELDS: dict[str, Any] = {
    name: Design.model_fields[name].default for name in MATTERS if name != "convs_per_block"
}
