"""How the parts of a design may be built: a strategy of all axes of structure."""

from __future__ import annotations

from typing import get_args

from hypothesis import strategies as st

from bbnas.design import STRUCTURE, Design

# Shares of the width that are none of whole channels too.
SHARES = (1.0, 0.5, 0.3)
# Groups of the body that other groups are equal to, and more of them than there are convolutions.
GROUPS = (
    (),
    ("half",),
    ("own", "full"),
    ("own", "own", "full", "full"),
    ("full", "half", "own"),
    ("full half", "half"),
    ("own", "half") * 4,
)


def values_of(name: str) -> tuple[object, ...]:
    """Values of an axis of structure."""
    if name == "groups":
        return GROUPS
    return get_args(Design.model_fields[name].annotation) or SHARES


structures = st.fixed_dictionaries({name: st.sampled_from(values_of(name)) for name in STRUCTURE})
