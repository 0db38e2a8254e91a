"""What a design costs: operations and parameters by part, counted by fvcore.

The paper's convention (§4.1): a multiply-accumulate of a convolution is one operation, a binary
one 1/64 of it, and a binary weight 1/32 of a parameter. Nothing else counts except BAM's
accumulation (Table 1). The honest figures also count every parameter, the element-wise work and
the bytes of a packed model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from math import prod
from typing import Any, NamedTuple

import torch
from fvcore.nn import FlopCountAnalysis
from torch import nn
from torch.overrides import TorchFunctionMode

from bbnas.binary import Accumulation, BinaryConv2d, BinaryWeightConv2d
from bbnas.design import AXES, Design
from bbnas.networks import build
from bbnas.tasks import LQ_SIZE, Part, Task
from bbnas.threads import torch_threads

BINARY_OPS, BINARY_PARAMS = 64, 32
# 1-bit multiply-accumulates that count as one operation in the 2023 challenge's convention.
CHALLENGE_OPS = 8

# (width, height) of the traced image. Every operation is linear in pixels, so the counts are
# scaled. Its sides are even, for a PixelUnshuffle, and neither they nor their halves are those of
# a kernel, which separates the binarization of weights (done once in a deployed network) from the
# work on activations.
_TRACED = (4, 6)

_ELEMENTWISE = (
    "add", "add_", "sub", "rsub", "mul", "mul_", "div", "copysign", "prelu", "relu", "leaky_relu",
    "hardtanh", "batch_norm", "upsample_bilinear2d", "avg_pool2d", "neg", "abs", "mean", "std",
    "log2_", "round_", "exp2_",
)  # fmt: skip
# Operators that move data and compute nothing.
_FREE = (
    "pixel_shuffle", "pixel_unshuffle", "repeat_interleave", "upsample_nearest2d", "cat",
    "contiguous", "slice",
)  # fmt: skip


@dataclass(frozen=True)
class PartCost:
    """Counts of one part. ``*_fp`` and ``*_binary`` are of convolutions (and of BAM's
    accumulation) alone. A 1-bit weight on full-precision activations (Ma et al.) saves
    parameters, not operations.

    ``elementwise`` counts element operations on activations, ``all_params`` every trained or
    stored number, a 1-bit weight as one; ``packed_bytes`` what they take with 1-bit weights as
    bits and all else as 32-bit floats.
    """

    macs_fp: float = 0.0
    macs_binary: float = 0.0
    params_fp: int = 0
    params_binary: int = 0
    elementwise: float = 0.0
    all_params: int = 0
    packed_bytes: int = 0

    @property
    def ops(self) -> float:
        """MACs_fp + MACs_binary / 64."""
        return self.ops_at(BINARY_OPS)

    def ops_at(self, bit_macs: float) -> float:
        """``ops`` where so many 1-bit multiply-accumulates count as one operation."""
        return self.macs_fp + self.macs_binary / bit_macs

    @property
    def params(self) -> float:
        """P_fp + P_binary / 32, convolution weights."""
        return self.params_fp + self.params_binary / BINARY_PARAMS

    @property
    def honest_ops(self) -> float:
        """``ops`` and the element-wise work."""
        return self.ops + self.elementwise

    @property
    def honest_params(self) -> float:
        """Every full-precision number and the binary weights / 32."""
        return self.all_params - self.params_binary * (1 - 1 / BINARY_PARAMS)


@dataclass(frozen=True)
class Cost(PartCost):
    """The counts of the whole network and, in ``parts``, of each part. ``unknown`` counts the
    operators without a handler, whose work is missing from the figures.
    """

    parts: dict[str, PartCost] = field(default_factory=dict)
    unknown: dict[str, int] = field(default_factory=dict)
    lq: tuple[int, int] = LQ_SIZE

    def to_dict(self) -> dict[str, Any]:
        """Plain counts: ops, params, macs_fp, macs_binary, the honest figures, and by part."""

        def plain(cost: PartCost) -> dict[str, float]:
            return {
                "ops": cost.ops,
                "params": cost.params,
                "macs_fp": cost.macs_fp,
                "macs_binary": cost.macs_binary,
                "params_fp": cost.params_fp,
                "params_binary": cost.params_binary,
                "honest_ops": cost.honest_ops,
                "honest_params": cost.honest_params,
                "elementwise": cost.elementwise,
                "packed_bytes": cost.packed_bytes,
            }

        parts = {name: plain(cost) for name, cost in self.parts.items()}
        return plain(self) | {"parts": parts, "unknown": self.unknown, "lq": list(self.lq)}


def count(design: Design, task: Task, lq: tuple[int, int] = LQ_SIZE) -> Cost:
    """The cost of ``design`` on an LQ image of ``lq`` = (width, height) pixels.

    Parts are the task's and ``skip``: amplification and the global skip, element-wise work only.
    A packed model has a redistribution in its thresholds, and no estimator.
    """
    packed = {"redistribution": False, "estimator": Design().estimator}
    parts, unknown = _trace(design.fitted(task).replace(**packed), task)
    step = design.fitted(task).unshuffle
    ratio = prod(-(-side // step) * step for side in lq) / prod(_TRACED)
    scaled = {
        name: PartCost(
            macs_fp=part.macs_fp * ratio,
            macs_binary=part.macs_binary * ratio,
            params_fp=part.params_fp,
            params_binary=part.params_binary,
            elementwise=part.elementwise * ratio,
            all_params=part.all_params,
            packed_bytes=part.packed_bytes,
        )
        for name, part in parts.items()
    }
    names = PartCost.__dataclass_fields__
    totals = {name: sum(getattr(part, name) for part in scaled.values()) for name in names}
    return Cost(**totals, parts=scaled, unknown=dict(unknown), lq=lq)


class OpsAndParams(NamedTuple):
    """OPs and Params in the paper's convention, plain counts."""

    ops: float
    params: float


@lru_cache(1 << 16)
def ops_and_params(design: Design, task: Task) -> OpsAndParams:
    """OPs and Params at the default LQ size, cached: a search asks before every training.

    They are those of ``count``, from networks that are traced sooner: each part counts for itself,
    by the few axes that build it (``Axis.builds``), and over depth a part is at most quadratic,
    since BAM accumulates all earlier layers in each.
    """
    return _ops_and_params(design.fitted(task).bare(), task)


@lru_cache(maxsize=4096)
def _ops_and_params(design: Design, task: Task) -> OpsAndParams:
    ops = params = 0.0
    last = design.replace(groups=design.groups[-1:])  # what the parts behind the body see
    for part in task.parts:
        found = _groups(design, task) if part is Part.BODY else _of_part(last, part, task)
        ops, params = ops + found.ops, params + found.params
    return OpsAndParams(ops, params)


def _groups(design: Design, task: Task) -> OpsAndParams:
    """The body's. The first convolution of a group may read more or fewer channels than it makes,
    which _of_part does not know.
    """
    ops, params, before = 0.0, 0.0, design.width
    for group in design.body_groups:
        own = _of_part(group, Part.BODY, task)
        weights = 9 * group.width * (before - group.width)
        macs = weights * prod(LQ_SIZE) / design.unshuffle**2
        binary = group.binary(Part.BODY)
        ops += own.ops + (macs / BINARY_OPS if binary and design.method != "ma" else macs)
        params += own.params + (weights / BINARY_PARAMS if binary else weights)
        before = group.width
    return OpsAndParams(ops, params)


def _of_part(design: Design, part: Part, task: Task) -> OpsAndParams:
    built = {n: getattr(design, n) for n, axis in AXES.items() if part in axis.builds}
    depth: int = built.pop("depth", 1)
    binarize = task.parts if part in design.binarize else ()
    bare = Design(**built | {"binarize": binarize})
    if depth <= 3:
        return _counted(bare.replace(depth=depth), part, task)
    one, two, three = (_counted(bare.replace(depth=n), part, task) for n in (1, 2, 3))
    # Newton's polynomial through the three depths.
    linear, quadratic = depth - 1, (depth - 1) * (depth - 2) // 2

    def at_depth(first: float, second: float, third: float) -> float:
        return first + linear * (second - first) + quadratic * (third - 2 * second + first)

    return OpsAndParams(
        at_depth(one.ops, two.ops, three.ops), at_depth(one.params, two.params, three.params)
    )


@lru_cache(maxsize=4096)
def _counted(design: Design, part: Part, task: Task) -> OpsAndParams:
    cost = count(design, task).parts[part]
    return OpsAndParams(cost.ops, cost.params)


def printed(count: float, unit: float) -> str:
    """``count`` in ``unit`` with two digits, rounded by way of three as the paper's tables are.

    (79.1949 G is printed there as 79.20, 1.8248 G as 1.83 and 1592.5248 M as 1592.53.)
    """
    thousandths = (Decimal(count) / Decimal(unit)).quantize(Decimal("0.001"), ROUND_HALF_UP)
    return str(thousandths.quantize(Decimal("0.01"), ROUND_HALF_UP))


class Uninitialised(TorchFunctionMode):
    """Skips the initialisation of weights: counting needs their shapes only, and drawing the
    weights of a wide network would take most of the time.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        drawn = func in (torch.Tensor.uniform_, torch.Tensor.normal_)
        if drawn or getattr(func, "__module__", "") == "torch.nn.init":
            return args[0] if args else (kwargs or {})["tensor"]
        return func(*args, **(kwargs or {}))


@lru_cache(maxsize=4096)
def _trace(design: Design, task: Task) -> tuple[dict[str, PartCost], Counter[str]]:
    # Feature maps of 20 pixels are too small for several threads.
    with torch_threads(1):
        return _count(design, task)


def _count(design: Design, task: Task) -> tuple[dict[str, PartCost], Counter[str]]:
    with Uninitialised():
        network = build(design, task).eval()
    analysis = FlopCountAnalysis(network, torch.zeros(1, task.channels, *_TRACED))
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    for name in _ELEMENTWISE:
        analysis.set_op_handle(f"aten::{name}", _activations(name))
    for name in _FREE:
        analysis.set_op_handle(f"aten::{name}", None)
    with torch.no_grad():
        by_module = analysis.by_module_and_operator()
        unknown = analysis.unsupported_ops()
    modules = dict(network.named_modules())
    parts = {name: _part(name, modules[name], by_module, modules) for name in map(str, task.parts)}
    inside = sum(part.elementwise for part in parts.values())
    sums = (name for name, module in modules.items() if isinstance(module, Accumulation))
    counted = sum(_elementwise(by_module[name]) for name in sums)  # as operations, in their part
    parts["skip"] = PartCost(elementwise=_elementwise(by_module[""]) - counted - inside)
    return parts, unknown


def _part(
    name: str,
    module: nn.Module,
    by_module: dict[str, Counter[str]],
    modules: dict[str, nn.Module],
) -> PartCost:
    inside: dict[str, nn.Module] = {
        inner: layer for inner, layer in modules.items() if f"{inner}.".startswith(f"{name}.")
    }
    binary = {inner: m for inner, m in inside.items() if isinstance(m, BinaryConv2d)}
    sums = {inner: m for inner, m in inside.items() if isinstance(m, Accumulation)}
    weights_only = [m for m in inside.values() if isinstance(m, BinaryWeightConv2d)]
    added = sum(by_module[inner]["elementwise mul"] for inner in sums)
    macs = by_module[name]["conv"]
    macs_binary = sum(by_module[inner]["conv"] for inner in binary)
    numbers = sum(p.numel() for p in module.parameters())
    convs = sum(m.weight.numel() for m in inside.values() if isinstance(m, nn.Conv2d))
    convs += sum(p.numel() for m in sums.values() for p in m.parameters())
    one_bit: list[BinaryConv2d | BinaryWeightConv2d] = [*binary.values(), *weights_only]
    bits = sum(layer.weight.numel() for layer in one_bit)
    unscaled = {layer for layer in binary.values() if not layer.scaled}
    scales = sum(layer.weight.shape[0] for layer in one_bit if layer not in unscaled)
    return PartCost(
        # Accumulation: an element and layer one comparison to a bit, and one multiply-accumulate.
        macs_fp=macs - macs_binary + added,
        macs_binary=macs_binary + added,
        params_fp=convs,
        params_binary=bits,
        elementwise=_elementwise(by_module[name])
        - sum(_elementwise(by_module[inner]) for inner in sums),
        all_params=numbers + scales,
        packed_bytes=-(-bits // 8) + 4 * (numbers - bits + scales),
    )


def _activations(name: str) -> Callable[[list[Any], list[Any]], Counter[str]]:
    def handle(inputs: list[Any], outputs: list[Any]) -> Counter[str]:
        sizes = outputs[0].type().sizes()
        on_weights = sizes is None or len(sizes) != 4 or list(sizes[2:]) in ([3, 3], [1, 1])
        return Counter({f"elementwise {name}": 0 if on_weights else prod(sizes)})

    return handle


def _elementwise(counts: Counter[str]) -> float:
    return sum(n for operator, n in counts.items() if operator.startswith("elementwise "))
