"""What makes a design one of BBCU's kind: the paper's conclusions, to hold found designs against.

No search and no recommendation may ask this: it is the answer that they are to find.
"""

from __future__ import annotations

from collections.abc import Collection

from bbnas.design import Design
from bbnas.tasks import Part

# Factors of k* between which an amplification counts as the paper's.
K_RANGE = (1 / 8, 8.0)


def bbcu_like(design: Design, parts: Collection[Part] = tuple(Part)) -> list[str]:
    """What sets ``design`` apart from the paper's, of a network that has ``parts``; empty if
    nothing does.

    Like BBCU-M is what

    - binarizes body and upsampling, which save most for the PSNR they lose, and neither head nor
      tail, whose loss of information nothing makes up for (§3.2, Table 6);
    - has no BatchNorm, which takes the range away from pixels that restoration needs (§3.1);
    - aligns the residual with k within ``K_RANGE`` of k* = 130·n/64: less lets the full-precision
      branch drown what the 1-bit convolution adds, more the reverse (Eq. 8, §4.5, Fig. 6);
    - has an activation, inside the residual branch: after the addition it cuts the negative
      values of the full-precision information too (§3.1, Table 4, V2 to V4);
    - gives every 1-bit convolution of the body its own residual connection (Fig. 5).
    """
    wanted = [part for part in parts if part in (Part.BODY, Part.UPSAMPLING)]
    found = [f"{part} is not 1-bit" for part in wanted if not design.binary(part)]
    found += [f"{part} is 1-bit" for part in design.binarize if part not in wanted]
    if not design.binarize:
        return found
    if design.method != "bbcu":
        return [*found, f"its unit is that of {design.method}"]
    if design.norm != "none":
        found.append(f"it has {design.norm}")
    if design.k_ratio is None:
        found.append("the residual is not aligned")
    elif not K_RANGE[0] <= design.k_ratio <= K_RANGE[1]:
        found.append(f"k is {design.k_ratio:g} k*")
    if design.activation == "none":
        found.append("it has no activation")
    elif design.activation_position != "residual_branch":
        found.append("the activation comes after the addition")
    if design.binary(Part.BODY) and design.convs_per_residual != 1:
        found.append(f"{design.convs_per_residual} convolutions share a residual connection")
    return found
