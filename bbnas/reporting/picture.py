"""A figure as a small PNG, drawn by headless Chromium, for Markdown that a forge shows."""

from __future__ import annotations

import io
import shutil
import subprocess
from pathlib import Path

from bbnas.errors import UserError
from bbnas.figures.theme import Spec
from bbnas.files import temporary_folder, write_output
from bbnas.reporting.html import write_html

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# Pixels: the column of text in which a forge shows Markdown.
WIDTH = 900
# Colours of the palette. A figure has few, and the file is a third of one in full colour.
PALETTE = 64


def write_picture(path: str | Path, figure: Spec) -> Path:
    """Draw ``figure``, whose layout has a height, and write it to ``path``, which is returned.

    Raises:
        UserError: no Chromium is installed, it fails, or the file cannot be written.
    """
    from PIL import Image

    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise UserError(f"{path}: pictures need Chromium on the PATH; install it, or go without")
    with temporary_folder() as folder:
        page = write_html(
            folder / "figure.html", "reporting/picture.html.j2", figures={"picture": figure}
        )
        drawn = folder / "figure.png"
        command = [
            browser,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
            "--hide-scrollbars",
            f"--user-data-dir={folder}/profile",
            f"--window-size={WIDTH},{figure['layout']['height']}",
            "--virtual-time-budget=10000",
            f"--screenshot={drawn}",
            page.as_uri(),
        ]
        done = subprocess.run(command, capture_output=True, timeout=120, check=False)
        if not drawn.is_file():
            raise UserError(f"{path}: {browser} failed (exit code {done.returncode}); try again")
        with Image.open(drawn) as image:
            small = image.convert("RGB").quantize(PALETTE)
        buffer = io.BytesIO()
        small.save(buffer, format="PNG", optimize=True)
    return write_output(path, buffer.getvalue())
