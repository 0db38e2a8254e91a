from __future__ import annotations

import shutil

import pytest
from PIL import Image

from bbnas.errors import UserError
from bbnas.figures.theme import axes_layout, scatter
from bbnas.reporting import picture

FIGURE = {
    "data": [scatter("a", [1, 2, 3], [1, 3, 2], "markers", marker={"color": "#ff0000"})],
    "layout": axes_layout("x", "y", 300),
}


@pytest.mark.skipif(not any(map(shutil.which, picture.BROWSERS)), reason="no Chromium on PATH")
def test_a_picture_is_a_small_png_of_the_figure(tmp_path):
    path = picture.write_picture(tmp_path / "a.png", FIGURE)
    assert path.stat().st_size < 60_000
    with Image.open(path) as image:
        assert image.size == (picture.WIDTH, 300)
        colours = {colour for _, colour in image.convert("RGB").getcolors(10_000)}
    assert any(r > 200 and g < 60 and b < 60 for r, g, b in colours)


def test_without_chromium_it_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="Chromium"):
        picture.write_picture(tmp_path / "a.png", FIGURE)
