"""Axes of a Design: the types of their values, and what bbnas knows of a choice beside them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import Field

from bbnas.tasks import Part, Task

Norm = Literal["none", "batchnorm"]
Activation = Literal["rprelu", "prelu", "relu", "hardtanh", "none", "leaky"]
ActivationPosition = Literal["after_addition", "residual_branch"]
Estimator = Literal["clip", "quadratic", "ede", "tanh"]
Method = Literal["bbcu", "bnn", "xnornet", "bireal", "irnet", "btm", "bam", "ma"]
# How SRResNet reaches the size of the output. ``steps``: ×2 twice for ×4, and conv_hr (the
# paper's); ``one_step``: one convolution and PixelShuffle, then the tail; ``direct``: the tail
# makes the image by a PixelShuffle, and nothing else is computed at high resolution.
Upsampler = Literal["steps", "one_step", "direct"]
Kernel = Literal[3, 1]
Unshuffle = Literal[1, 2]
# A group of the body: as ``binarize`` has it or in full precision, at the width or at half of it.
Group = Literal["own", "full", "half", "full half"]
# Channels relative to the width.
Share = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]


def k_star(width: int) -> float:
    """The best amplification factor for ``width`` channels: 130·n/64 (paper §4.5)."""
    return 130.0 * width / 64.0


# The ratios k / k* that count as aligned: beyond a factor of 8 one of the two branches dominates
# the sum (Fig. 6).
ALIGNED = (1 / 8, 8.0)


def aligned(k_ratio: float | None) -> bool:
    """Whether an amplification factor relative to k* is in the range ALIGNED."""
    return k_ratio is not None and ALIGNED[0] <= k_ratio <= ALIGNED[1]


def ranges(k_ratio: float | None) -> str:
    if k_ratio is None:
        return "off"
    if k_ratio < ALIGNED[0]:
        return "below 1/8"
    if k_ratio < 1 / 2:
        return "1/8 to 1/2"
    if k_ratio <= 2:
        return "1/2 to 2"
    return "2 to 8" if k_ratio <= ALIGNED[1] else "above 8"


def square(side: int) -> str:
    return f"{side}×{side}"


def of_width(share: float) -> str:
    return f"{share:.3g} of the width"


def channels_of(share: float, width: int) -> int:
    """The number of channels that is nearest to ``share`` of ``width``, at least 1."""
    return max(1, round(share * width))


def plain(value: Any) -> str:
    """A value in words: without underscores."""
    return str(value).replace("_", " ")


def in_turn(groups: tuple[Group, ...]) -> str:
    """Groups of the body in words."""
    return " – ".join(groups) or "one"


def lengths(depth: int, groups: int) -> list[int]:
    """How many of ``depth`` convolutions each of so many groups has: they differ by at most 1."""
    return [depth * (i + 1) // groups - depth * i // groups for i in range(groups)]


def half_of(width: int) -> int:
    """The channels of a group at half the width: no body has fewer than 3."""
    return max(3, round(width / 2))


@lru_cache(1 << 14)
def merged(groups: tuple[Group, ...], width: int, depth: int, one_bit: bool) -> tuple[Group, ...]:
    """The fewest groups that make the same body of ``depth`` convolutions of ``width`` channels;
    () for one like the rest of the network.

    More groups than convolutions are as none. In a body that is not ``one_bit`` all are in full
    precision.
    """
    same: dict[Group, Group] = {}
    if half_of(width) == width:
        same |= {"half": "own", "full half": "full"}
    if not one_bit:
        same |= {"full": "own", "full half": same.get("half", "half")}
    groups = tuple(same.get(group, group) for group in groups)
    if not groups or len(groups) > depth:
        return ()

    def spread(some: tuple[Group, ...]) -> list[Group]:
        each = zip(some, lengths(depth, len(some)), strict=True)
        return [group for group, length in each for _ in range(length)]

    convs = spread(groups)
    for count in range(1, len(groups)):
        fewer = tuple(convs[depth * i // count] for i in range(count))
        if spread(fewer) == convs:
            groups = fewer
            break
    return () if groups == ("own",) else groups


def switch(on: bool) -> str:
    """A yes or no in words."""
    return "on" if on else "off"


def _always(_: Any) -> bool:
    return True


def _as_it_is(_: Any, value: Any) -> Any:
    return value


@dataclass(frozen=True)
class Axis:
    """A choice of a Design; it stands in the annotation of the field.

    Spaces, costs, the surrogate, tables, findings and figures read it there, so a new axis needs a
    field of ``Design``, a field of ``bbnas.space.Axes``, and what it builds in ``bbnas.networks``.

    - ``title`` names it for people; without one it is no axis of tables and findings. ``words``
      names a value.
    - ``matters(design)``: whether it changes the network; else it is idle, and at its default in
      the canonical form. ``settled(design, value)`` is the value in canonical form, for a design
      in which it matters. Both read only axes that matter themselves whenever they do (then one
      pass gives the canonical form), and ``fits(task)`` says for which tasks there is a choice.
    - ``measure(design)``: a number whose differences say how much two designs differ here. Its
      values form a scale. Without it they are names.
    - ``unit``: it makes the unit, so a published method decides it.
    - ``builds``: the parts whose OPs and Params depend on it.
    - ``young``: it is written only where it is not at its default, since stored keys are older.
    """

    title: str = ""
    words: Callable[[Any], str] = plain
    matters: Callable[[Any], bool] = _always
    settled: Callable[[Any, Any], Any] = _as_it_is
    fits: Callable[[Task], bool] = _always
    measure: Callable[[Any], float] | None = None
    unit: bool = False
    builds: tuple[Part, ...] = ()
    young: bool = False
