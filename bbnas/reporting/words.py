"""A design in words."""

from __future__ import annotations

from bbnas.design import TITLES, Design, k_star
from bbnas.tasks import Part, Task
from bbnas.text import listed, plural


def describe(design: Design, task: Task) -> list[str]:
    """What the design is, a sentence a choice; idle choices are not mentioned."""
    design = design.canonical()
    if design.binarize and design.method != "bbcu":
        return [_parts(design, task), _UNITS[design.method]]
    return [_parts(design, task), *([_unit(design)] if design.binarize else []), _aligned(design)]


def headline(design: Design) -> str:
    """The design in a few words: ``1-bit body and upsampling (BBCU), 64 channels × …``."""
    size = f"{design.width} channels × {design.depth} body convolutions"
    if not design.binarize:
        return f"Full precision, {size}"
    parts = listed([str(part) for part in design.binarize])
    by = f" ({TITLES[design.published]})" if design.published else ""
    return f"1-bit {parts}{by}, {size}"


def _parts(design: Design, task: Task) -> str:
    binary = [str(part) for part in task.parts if design.binary(part)]
    full = [str(part) for part in task.parts if not design.binary(part)]
    size = f"The network is {design.width} channels wide with {design.depth} body convolutions"
    if not binary:
        return f"{size}; all of it stays in full precision."
    kept = f"{listed(full)} stay{'s' if len(full) == 1 else ''} in full precision" if full else ""
    return f"{size}; {listed(binary)} {'is' if len(binary) == 1 else 'are'} 1-bit" + (
        f", {kept}." if kept else "."
    )


def _unit(design: Design) -> str:
    norm = "no BatchNorm" if design.norm == "none" else "BatchNorm after each convolution"
    if design.activation == "none":
        activation = "no activation"
    elif design.activation_position == "residual_branch":
        activation = f"{_NAMES[design.activation]} inside the residual branch, before the addition"
    else:
        activation = f"{_NAMES[design.activation]} after the addition"
    words = [norm, activation]
    if design.binary(Part.BODY):
        span = design.convs_per_residual
        words.append(
            f"a residual connection around every {plural(span, 'body convolution')}".replace(
                "every 1 body convolution", "every body convolution"
            )
            if span
            else "no residual connections in the body"
        )
    words.append(
        "weights scaled per channel" if design.weight_scale else "weights of ±1 without a scale"
    )
    words.append(f"the {design.estimator} estimator for sgn's gradient")
    if design.published:
        return f"Its 1-bit units are those of {TITLES[design.published]}: {listed(words)}."
    return f"Its 1-bit units have {listed(words)}."


def _aligned(design: Design) -> str:
    if design.k_ratio is None:
        return "No residual alignment."
    k = f"{design.k:,.0f}" if design.k >= 100 else f"{design.k:.3g}"
    star = f"{k_star(design.width):.3g}"
    which = (
        "the paper's k* for this width"
        if abs(design.k_ratio - 1.0) < 1e-9
        else f"{design.k_ratio:.3g} times the paper's k* = {star} for this width"
    )
    return (
        f"Residual alignment: the LQ image is multiplied by k = {k} before the head and the "
        f"output divided by it, {which}."
    )


_NAMES = {"rprelu": "RPReLU", "prelu": "PReLU", "relu": "ReLU", "hardtanh": "Hardtanh"}

# What the units of other methods are (bbnas.binary.methods).
_UNITS = {
    "bnn": "Its 1-bit units are those of BNN: weights and activations of ±1 without a scale, "
    "BatchNorm and Hardtanh after each convolution, no residual connections.",
    "xnornet": "Its 1-bit units are those of XNOR-Net: BatchNorm before each convolution, weights "
    "scaled per channel, ReLU after it and no residual connections.",
    "bireal": "Its 1-bit units are those of Bi-Real: weights scaled per channel, the quadratic "
    "estimator, BatchNorm after each convolution and a residual connection around it.",
    "irnet": "Its 1-bit units are those of IR-Net: standardised weights scaled by powers of two, "
    "the ede estimator, BatchNorm after each convolution and a residual connection around it.",
    "btm": "Its 1-bit units are those of BTM: weights scaled per channel, PReLU, no BatchNorm and "
    "a residual connection around every 2 body convolutions. The LQ image is standardised before "
    "the head, which the output undoes.",
    "bam": "Its 1-bit units are those of BAM: BatchNorm after each convolution and, in place of a "
    "full-precision residual, the 1-bit features of all earlier layers, each with a learned "
    "scale.",
    "ma": "Its 1-bit parts are those of Ma et al.: weights alone are 1-bit, scaled per channel; "
    "activations stay in full precision, in the residual blocks of the backbone.",
}
