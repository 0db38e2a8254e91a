from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

from bbnas.reporting.pictures import Pictures, data_uri


def test_a_data_uri_holds_every_pixel():
    image = np.random.default_rng(0).integers(0, 255, (13, 17, 3), dtype=np.uint8)
    head, content = data_uri(image).split(",", 1)
    assert head == "data:image/png;base64"
    with Image.open(io.BytesIO(base64.b64decode(content))) as back:
        assert back.format == "PNG"
        assert np.array_equal(np.array(back), image)


def test_bicubic_is_known_only_where_it_was_scored(make_pictures):
    assert make_pictures(bicubic=25.5).bicubic == 25.5
    assert Pictures(0, (), {}).bicubic is None
