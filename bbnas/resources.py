"""The files that come with bbnas, in a wheel as in a source checkout."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

_PACKAGE = Path(__file__).resolve().parent
# plotly.js with the traces scatter, bar and pie (npm: plotly.js-basic-dist-min): a quarter of the
# whole, which a browser takes half a second longer to start.
PLOTLY = _PACKAGE / "figures" / "plotly-basic.min.js"

Kind = Literal["search_spaces", "ablations", "bench/sampler", "fidelities", "models"]


def builtin(kind: Kind, suffix: str = ".yaml") -> dict[str, Path]:
    """Name → path of every built-in file of a kind, sorted by name.

    A wheel carries them inside the package, a checkout beside it.
    """
    for folder in (_PACKAGE / kind, _PACKAGE.parent / kind):
        if folder.is_dir():
            files = {p.name.removesuffix(suffix): p for p in folder.glob(f"*{suffix}")}
            return dict(sorted(files.items()))
    return {}
