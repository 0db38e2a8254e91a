"""Templates to pages: one Jinja environment, one way to write a page with figures.

Templates lie beside the code that fills them and extend ``reporting/base.html.j2``. Everything
that a template prints is escaped; a page opens from a folder without a network.
"""

from __future__ import annotations

import base64
import io
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bbnas
from bbnas import resources
from bbnas.figures.theme import DARK, VERBATIM
from bbnas.files import write_output
from bbnas.text import count, decibel, milliseconds, plural, share, signed, to_json

if TYPE_CHECKING:
    import numpy as np
    from jinja2 import Environment
    from markupsafe import Markup
    from numpy.typing import NDArray

_PACKAGE = Path(bbnas.__file__).parent
# The file that pages with figures share, written beside them.
PLOTLY = "plotly.min.js"


def render(template: str, **values: Any) -> str:
    """The page that ``template`` (its path in the package) makes of ``values``."""
    return _environment().get_template(template).render(values)


def write_html(path: str | Path, template: str, *, inline: bool = False, **values: Any) -> Path:
    """Write a page with figures to ``path``, which is returned.

    ``figures`` in ``values`` maps a name to Plotly's ``{"data": …, "layout": …}``, drawn in the
    element ``plot-NAME``, or to None. plotly.js is written once to the page's folder, as
    ``plotly.min.js``; with ``inline`` the page holds its own copy (1.2 MB).

    Raises:
        UserError: a file cannot be written.
    """
    path = write_output(Path(path), render(template, inline=inline, **values))
    if not inline:
        shared, content = path.parent / PLOTLY, _plotly().encode("utf-8")
        if not (shared.is_file() and shared.read_bytes() == content):
            write_output(shared, content)
    return path


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(_PACKAGE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        count=count,
        decibel=decibel,
        embed=embed,
        milliseconds=milliseconds,
        plural=plural,
        share=share,
        signed=signed,
        unbroken=unbroken,
        uri=data_uri,
    )
    environment.globals.update(
        plotly_file=PLOTLY,
        theme_colours={"dark": DARK, "verbatim": VERBATIM},
        plotly=lambda: Markup(_plotly()),
        source=lambda name: Markup((_PACKAGE / name).read_text(encoding="utf-8")),
    )
    return environment


@cache
def _plotly() -> str:
    return resources.PLOTLY.read_text(encoding="utf-8")


def embed(value: Any) -> Markup:
    """JSON that cannot end the ``script`` element that holds it; NaN becomes null."""
    from markupsafe import Markup

    text = to_json(value)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def data_uri(image: NDArray[np.uint8]) -> str:
    """A (H, W, 3) uint8 image as a PNG in a ``data:`` address."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def unbroken(text: str) -> str:
    """``text`` without line breaks between a number and its unit, or inside “1-bit”."""
    return re.sub(r"(\d) (?=(?:[GMK] |dB|%))", "\\1\u00a0", text).replace("1-bit", "1\u2011bit")
