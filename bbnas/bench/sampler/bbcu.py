"""Whether a design follows the paper's conclusions.

Only the benchmark asks this: for a search and a recommendation it is the answer to be differences.
"""

from __future__ import annotations

from collections.abc import Collection

from bbnas.axes import aligned
from bbnas.design import Design
from bbnas.tasks import Part


def bbcu_like(design: Design, parts: Collection[Part] = tuple(Part)) -> list[str]:
    """The differences of ``design`` from the paper's BBCU-M in a network that has ``parts``.

    A design has no difference if it

    - binarizes body and upsampling, but neither head nor tail (§3.2, Table 6);
    - has no BatchNorm, which narrows the range of pixel values (§3.1);
    - aligns the residual with k near k* = 130·n/64 (:data:`bbnas.design.ALIGNED`; Eq. 8, §4.5,
      Fig. 6);
    - has an activation inside the residual branch; after the addition it would also cut the
      negative values of the full-precision residual (§3.1, Table 4, V2 to V4);
    - gives every 1-bit convolution of the body its own residual connection (Fig. 5).
    """
    wanted = [part for part in parts if part in (Part.BODY, Part.UPSAMPLING)]
    differences = [f"{part} is not 1-bit" for part in wanted if not design.binary(part)]
    differences += [f"{part} is 1-bit" for part in design.binarize if part not in wanted]
    if not design.binarize:
        return differences
    if design.method != "bbcu":
        return [*differences, f"its unit is that of {design.method}"]
    if design.norm != "none":
        differences.append(f"it has {design.norm}")
    if design.k_ratio is None:
        differences.append("the residual is not aligned")
    elif not aligned(design.k_ratio):
        differences.append(f"k is {design.k_ratio:g} k*")
    if design.activation == "none":
        differences.append("it has no activation")
    elif design.activation_position != "residual_branch":
        differences.append("the activation comes after the addition")
    if design.binary(Part.BODY) and design.convs_per_residual != 1:
        differences.append(f"{design.convs_per_residual} convolutions share a residual connection")
    return differences
