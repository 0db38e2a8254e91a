"""Design: one point of the design space, and the presets of the paper."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import Field, field_serializer, field_validator

from bbnas.errors import unknown
from bbnas.schema import Value, read_yaml, validate


class Part(StrEnum):
    """The four parts of a restoration network, in network order (paper §3.2, Fig. 3)."""

    HEAD = "head"
    BODY = "body"
    UPSAMPLING = "upsampling"
    TAIL = "tail"


Norm = Literal["none", "batchnorm"]
Activation = Literal["rprelu", "prelu", "relu", "hardtanh", "none"]
ActivationPosition = Literal["after_addition", "residual_branch"]
Estimator = Literal["clip", "quadratic", "ede"]


def k_star(width: int) -> float:
    """The amplification factor that fits ``width`` channels best: 130·n/64 (paper §4.5)."""
    return 130.0 * width / 64.0


class Design(Value):
    """One binary restoration network: which parts are 1-bit, and how their units are made.

    The unit axes hold for every binarized part. ``k_ratio`` is the amplification factor of
    residual alignment (paper Eq. 8) relative to ``k_star(width)``, so that it carries over
    between widths; None means no residual alignment.
    """

    binarize: tuple[Part, ...] = ()
    norm: Norm = "none"
    k_ratio: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    activation: Activation = "rprelu"
    activation_position: ActivationPosition = "residual_branch"
    convs_per_residual: int = Field(default=1, ge=0)
    weight_scale: bool = True
    estimator: Estimator = "quadratic"
    width: int = Field(default=64, ge=3, le=1024)
    depth: int = Field(default=32, ge=1, le=256)

    @field_validator("binarize", mode="before")
    @classmethod
    def _in_network_order(cls, value: Any) -> Any:
        if isinstance(value, str | Part):
            value = [value]
        try:
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
        return self.model_validate(self.model_dump() | changes)

    @property
    def elementwise(self) -> int:
        """Operations on each activation of a binary unit beside its convolution and residual:
        scale 1, BatchNorm 2, RPReLU 3, other activations 1. OPs count none of them.
        """
        if not self.binarize:
            return 0
        shape = {"rprelu": 3, "none": 0}.get(self.activation, 1)
        return self.weight_scale + 2 * (self.norm == "batchnorm") + shape

    def canonical(self) -> Self:
        """The design that names the same network with every idle choice at its default."""
        design = self
        if design.convs_per_residual > design.depth:
            design = design.replace(convs_per_residual=design.depth)
        if design.k_ratio is not None and abs(design.k - 1.0) < 1e-9:
            design = design.replace(k_ratio=None)
        idle = {
            axis: Design.model_fields[axis].default
            for axis, matters in MATTERS.items()
            if not matters(design)
        }
        # Whether the position matters may rest on an axis that was idle a line above: the
        # predicates below read only axes that are never idle together with theirs.
        return design.replace(**idle) if idle else design

    @property
    def key(self) -> str:
        """16 hexadecimal digits, equal for designs that build the same network."""
        content = json.dumps(self.canonical().model_dump(), sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    def same_network(self, other: Design) -> bool:
        """Whether both build the same network."""
        return self.canonical() == other.canonical()

    def label(self) -> str:
        """A short name for tables and hovers, such as ``body+upsampling, k 1 k*, rprelu …``."""
        size = f"{self.width}×{self.depth}"
        k = "" if self.k_ratio is None else f", k {self.k_ratio:.3g} k*"
        if not self.binarize:
            return f"full precision{k}, {size}"
        words = ["+".join(self.binarize)]
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
        words += [self.estimator] + ([] if self.weight_scale else ["no scale"]) + [size]
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


def _any_binary(design: Design) -> bool:
    return bool(design.binarize)


def _has_addition(design: Design) -> bool:
    body_adds = design.binary(Part.BODY) and design.convs_per_residual > 0
    return body_adds or any(part is not Part.BODY for part in design.binarize)


# When a choice changes the network. An axis that is not here always does.
MATTERS: dict[str, Callable[[Design], bool]] = {
    "norm": _any_binary,
    "activation": _any_binary,
    "activation_position": lambda d: d.activation != "none" and _has_addition(d),
    "convs_per_residual": lambda d: d.binary(Part.BODY),
    "weight_scale": _any_binary,
    "estimator": _any_binary,
}

_V4 = Design(binarize=(Part.BODY,), k_ratio=1.0)

PRESETS: dict[str, Design] = {
    "srresnet": Design(),
    "srresnet-lite": Design(width=12),
    "bbcu-v1": _V4.replace(norm="batchnorm", k_ratio=None, activation_position="after_addition"),
    "bbcu-v2": _V4.replace(k_ratio=None, activation_position="after_addition"),
    "bbcu-v3": _V4.replace(activation_position="after_addition"),
    "bbcu-v4": _V4,
    "bbcu-l": _V4,
    "bbcu-m": _V4.replace(binarize=(Part.BODY, Part.UPSAMPLING)),
}


def load_design(name_or_path: str | Path) -> Design:
    """A preset by name, or a design from a YAML file.

    Raises:
        UserError: neither a preset nor a file, or the file is not a design.
    """
    text = str(name_or_path)
    if text in PRESETS:
        return PRESETS[text]
    if Path(text).suffix in {".yaml", ".yml"} or Path(text).exists():
        return Design.from_yaml(text)
    raise unknown("preset (or a .yaml file)", text, PRESETS)
