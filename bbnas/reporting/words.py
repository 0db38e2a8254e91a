"""A design in words."""

from __future__ import annotations

from bbnas.axes import k_star
from bbnas.design import TITLES, Design
from bbnas.tasks import Part, Task
from bbnas.text import listed, plural


def describe(design: Design, task: Task) -> list[tuple[str, str]]:
    """What the design is, as (what, value); choices that change nothing in it are left out."""
    rows = [
        ("1-bit parts", _parts(design, task)),
        ("size", f"{design.width} channels × {plural(design.depth, 'body convolution')}"),
    ]
    if design.built:
        rows.append(("built with", listed(design.built)))
    if design.binarize and design.method != "bbcu":
        return [*rows, ("1-bit unit", f"{TITLES[design.method]}: {_UNITS[design.method]}")]
    if design.binarize:
        rows.append(("1-bit unit", _unit(design)))
    return [*rows, ("residual alignment", _alignment(design))]


def headline(design: Design) -> str:
    """The design in a few words: ``1-bit body and upsampling (BBCU), 64 channels × …``."""
    size = f"{design.width} channels × {design.depth} body convolutions"
    size = ", ".join([size, *design.built])
    if not design.binarize:
        return f"Full precision, {size}"
    parts = listed([str(part) for part in design.binarize])
    by = f" ({TITLES[design.published]})" if design.published else ""
    return f"1-bit {parts}{by}, {size}"


def _parts(design: Design, task: Task) -> str:
    binary = [str(part) for part in task.parts if design.binary(part)]
    full = [str(part) for part in task.parts if not design.binary(part)]
    if not binary:
        return "none; the whole network is in full precision"
    rest = f"; {listed(full)} in full precision" if full else ", the whole network"
    return listed(binary) + rest


def _unit(design: Design) -> str:
    norm = "no BatchNorm" if design.norm == "none" else "BatchNorm after each convolution"
    if design.activation == "none":
        activation = "no activation"
    elif design.activation_position == "residual_branch":
        activation = f"{_NAMES[design.activation]} in the residual branch, before the addition"
    else:
        activation = f"{_NAMES[design.activation]} after the addition"
    words = [norm, activation]
    if design.binary(Part.BODY):
        words.append(_span(design.convs_per_residual))
    words.append(
        "weights scaled per channel" if design.weight_scale else "weights of ±1 without a scale"
    )
    words.append(f"the {design.estimator} estimator for the gradient of sgn")
    if design.redistribution:
        words.append("a learned factor per channel before sgn")
    name = f"{TITLES[design.published]}: " if design.published else ""
    return name + listed(words)


def _span(convs: int) -> str:
    if not convs:
        return "no residual connections in the body"
    return (
        "a residual connection around every "
        f"{'body convolution' if convs == 1 else plural(convs, 'body convolution')}"
    )


def _alignment(design: Design) -> str:
    if design.k_ratio is None:
        return "none"
    k = f"{design.k:,.0f}" if design.k >= 100 else f"{design.k:.3g}"
    star = f"{k_star(design.width):.3g}"
    relation = (
        "the paper's k* for this width"
        if abs(design.k_ratio - 1.0) < 1e-9
        else f"{design.k_ratio:.3g} times the paper's k* = {star} for this width"
    )
    return f"k = {k}, {relation}"


_NAMES = {
    "rprelu": "RPReLU", "prelu": "PReLU", "relu": "ReLU", "hardtanh": "Hardtanh",
    "leaky": "LeakyReLU of slope 1/4",
}  # fmt: skip

# The 1-bit units of the other methods, as bbnas.binary.methods builds them.
_UNITS = {
    "bnn": "weights and activations of ±1 without a scale, BatchNorm and Hardtanh after each "
    "convolution, no residual connections",
    "xnornet": "BatchNorm before each convolution, weights scaled per channel, ReLU after it, no "
    "residual connections",
    "bireal": "weights scaled per channel, the quadratic estimator, BatchNorm after each "
    "convolution and a residual connection around it",
    "irnet": "standardised weights scaled by powers of two, the ede estimator, BatchNorm after "
    "each convolution and a residual connection around it",
    "btm": "weights scaled per channel, PReLU, no BatchNorm, a residual connection around every 2 "
    "body convolutions; the LQ image is standardised before the head, and the output is scaled "
    "back",
    "bam": "BatchNorm after each convolution; the 1-bit features of all earlier layers, each with "
    "a learned scale, replace the full-precision residual",
    "ma": "1-bit weights scaled per channel; activations stay in full precision, in the residual "
    "blocks of the backbone",
}
