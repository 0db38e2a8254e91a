"""Image files written byte by byte, of every kind of pixels, with the values that they show.

Pillow writes few of these, and is what the tests check.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from skimage.color import lab2xyz

H, W = 6, 8
RNG = np.random.default_rng(4)


def png(
    path: Path, samples: np.ndarray, bits: int, colour_type: int, *chunks: tuple[bytes, bytes]
) -> None:
    """``samples``: (H, W) or (H, W, C) of ``bits`` each; ``chunks`` come before the pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + check

    height, width = samples.shape[:2]
    head = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    rows = b"".join(b"\0" + packed(row.ravel(), bits) for row in samples)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + b"".join(chunk(*one) for one in chunks)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def packed(values: np.ndarray, bits: int) -> bytes:
    """Values of ``bits`` each, the highest bit first, filled up to a byte."""
    places = np.arange(bits - 1, -1, -1)
    return np.packbits((values.astype(np.int64)[:, None] >> places) & 1).tobytes()


BITS, PHOTOMETRIC, EXTRA, FORMAT, PALETTE, ICC = 258, 262, 338, 339, 320, 34675


def tiff(
    path: Path,
    samples: np.ndarray,
    photometric: int,
    order: str = "<",
    bits: int = 0,
    tags: dict[int, tuple[str, list[int]]] | None = None,
) -> None:
    """An uncompressed TIFF of one strip; ``bits`` other than those of the dtype are packed."""
    height, width = samples.shape[:2]
    channels = samples.shape[2] if samples.ndim == 3 else 1
    if bits:
        pixels = b"".join(packed(row.ravel(), bits) for row in samples)
    else:
        pixels = samples.astype(samples.dtype.newbyteorder(order)).tobytes()
    entries = {
        256: ("L", [width]),
        257: ("L", [height]),
        BITS: ("H", [bits or samples.dtype.itemsize * 8] * channels),
        259: ("H", [1]),
        PHOTOMETRIC: ("H", [photometric]),
        273: ("L", [8]),  # the pixels come first
        277: ("H", [channels]),
        278: ("L", [height]),
        279: ("L", [len(pixels)]),
    } | (tags or {})
    pixels += b"\0" * (len(pixels) % 2)
    directory = 8 + len(pixels)
    after = directory + 2 + 12 * len(entries) + 4
    lines, extra = b"", b""
    for tag, (kind, values) in sorted(entries.items()):
        raw = struct.pack(order + kind * len(values), *values)
        if len(raw) > 4:
            place = struct.pack(order + "L", after + len(extra))
            extra += raw + b"\0" * (len(raw) % 2)
        else:
            place = raw.ljust(4, b"\0")
        lines += struct.pack(order + "HHL", tag, {"B": 1, "H": 3, "L": 4}[kind], len(values))
        lines += place
    mark = b"II" if order == "<" else b"MM"
    path.write_bytes(
        mark
        + struct.pack(order + "HL", 42, directory)
        + pixels
        + struct.pack(order + "H", len(entries))
        + lines
        + b"\0\0\0\0"
        + extra
    )


def icc(space: bytes, tags: dict[bytes, bytes] | None = None) -> bytes:
    """An ICC profile of version 2 with the colour space ``space`` and the connection space Lab."""
    tags = tags or {}
    place = 128 + 4 + 12 * len(tags)
    table = struct.pack(">L", len(tags))
    for name, content in tags.items():
        table += name + struct.pack(">LL", place, len(content))
        place += len(content)
    head = struct.pack(">L4sL4s4s4s", place, b"\0" * 4, 0x02400000, b"prtr", space, b"Lab ")
    head = head.ljust(36, b"\0") + b"acsp"
    head = head.ljust(68, b"\0") + struct.pack(">lll", 0xF6D6, 0x10000, 0xD32D)
    return head.ljust(128, b"\0") + table + b"".join(tags.values())


def cmyk_profile() -> bytes:
    """Ink as the neutral L* = 100·(1 − (K+M)/2), unlike the plain formula."""
    ramp = bytes(range(256))
    corners = b""
    for corner in range(16):  # C changes last
        m, k = corner >> 2 & 1, corner & 1
        corners += bytes([round(255 * (1 - (k + m) / 2)), 128, 128])
    one, none = 0x10000, 0
    matrix = struct.pack(">9l", one, none, none, none, one, none, none, none, one)
    lut = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + matrix + ramp * 4 + corners + ramp * 3
    return icc(b"CMYK", {b"A2B0": lut})


def srgb(linear: np.ndarray) -> np.ndarray:
    """Linear light in 0..1 as sRGB in 0..255, by IEC 61966-2-1."""
    linear = np.clip(linear, 0, 1)
    low, high = 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055
    return 255 * np.where(linear <= 0.0031308, low, high)


class Case(NamedTuple):
    """A file and what it shows: ``colour`` (H, W, 3) in 0..255, ``alpha`` (H, W) or None.

    ``colour`` is None if the file must be refused.
    """

    name: str
    mode: str  # Pillow's
    write: Callable[[Path], None]
    colour: np.ndarray | None
    alpha: np.ndarray | None = None
    grey: bool = False


@cache
def cases() -> list[Case]:
    return [*_grey_cases(), *_colour_cases(), *_refused_cases()]


def _three(grey: np.ndarray) -> np.ndarray:
    return np.dstack([grey] * 3)


def _noise(bits: int, *channels: int) -> np.ndarray:
    values = RNG.integers(0, 2**bits, (H, W, *channels))
    return values.astype(np.uint16 if bits > 8 else np.uint8)


def _grey_cases() -> list[Case]:
    found = []
    for bits, mode in ((1, "1"), (2, "L"), (4, "L"), (8, "L"), (16, "I;16")):
        values = _noise(bits)
        shown = _three(values * 255.0 / (2**bits - 1))
        clear = int(values[2, 3])
        key = (b"tRNS", struct.pack(">H", clear))
        alpha = np.where(values == clear, 0, 255)

        def plain(path: Path, values=values, bits=bits) -> None:
            png(path, values, bits, 0)

        def keyed(path: Path, values=values, bits=bits, key=key) -> None:
            png(path, values, bits, 0, key)

        found.append(Case(f"grey{bits}.png", mode, plain, shown, grey=True))
        found.append(Case(f"grey{bits}-clear.png", mode, keyed, shown, alpha, grey=True))
    for bits in (8, 16):
        layers = _noise(bits, 2)
        shown = layers * 255.0 / (2**bits - 1)

        def both(path: Path, layers=layers, bits=bits) -> None:
            png(path, layers, bits, 4)

        mode = "LA" if bits == 8 else "RGBA"
        found.append(
            Case(f"greyalpha{bits}.png", mode, both, _three(shown[..., 0]), shown[..., 1], True)
        )
    for bits in (1, 2, 4, 8, 12, 16):
        values = _noise(bits)
        shown = _three(values * 255.0 / (2**bits - 1))
        mode = "1" if bits == 1 else "L" if bits <= 8 else "I;16"
        for order, photometric in (("<", 1), (">", 1), ("<", 0), (">", 0)):
            if bits == 12 and (order, photometric) != ("<", 1):
                continue  # which Pillow does not open
            if bits == 16 and (order, photometric) == (">", 0):
                continue

            def write(path: Path, values=values, bits=bits, o=order, p=photometric) -> None:
                tiff(path, values, p, o, 0 if bits in (8, 16) else bits)

            found.append(
                Case(
                    f"grey{bits}{'LB'[order == '>']}{photometric}.tif",
                    "I;16B" if bits == 16 and order == ">" else mode,
                    write,
                    shown if photometric else 255 - shown,
                    grey=True,
                )
            )
    layers = _noise(8, 2)
    layers[..., 1] |= 128  # at low alpha a premultiplied value tells little
    found.append(
        Case(
            "greyalpha.tif",
            "LA",
            lambda path: tiff(path, layers, 1, tags={EXTRA: ("H", [2])}),
            _three(layers[..., 0]),
            layers[..., 1],
            True,
        )
    )
    multiplied = layers.copy()
    multiplied[..., 0] = np.rint(layers[..., 0] / 255 * layers[..., 1])
    found.append(
        Case(
            "greypremultiplied.tif",
            "La",
            lambda path: tiff(path, multiplied, 1, tags={EXTRA: ("H", [1])}),
            _three(layers[..., 0]),
            layers[..., 1],
            True,
        )
    )
    return found


def _colour_cases() -> list[Case]:
    rgb, rgba, deep, deepa = _noise(8, 3), _noise(8, 4), _noise(16, 3), _noise(16, 4)
    clear = rgb[1, 2]
    palette, index = RNG.integers(0, 256, (16, 3), np.uint8), _noise(4)
    table = np.array([0, 255, 100] + [255] * 13, np.uint8)
    plte = (b"PLTE", palette.tobytes())
    premultiplied = rgba.copy()
    premultiplied[..., 3] |= 128
    straight = premultiplied.copy()
    premultiplied[..., :3] = np.rint(straight[..., :3] / 255 * straight[..., 3:])
    colour_map = np.zeros((3, 256), int)
    colour_map[:, :16] = palette.T.astype(int) * 257
    wide = {PALETTE: ("H", colour_map.ravel().tolist())}
    indexed = np.dstack([index, rgba[..., 3]])
    cmyk, lab, ycc = _noise(8, 4), _lab(), _noise(8, 3)
    plain = 255 * (1 - cmyk[..., :3] / 255) * (1 - cmyk[..., 3:] / 255)
    light = 1 - (cmyk[..., 3:] / 255 + cmyk[..., 1:2] / 255) / 2
    luminance = np.where(light > 0.08, ((100 * light + 16) / 116) ** 3, light / 9.033)
    by_profile = _three(srgb(luminance))
    profile = {ICC: ("B", list(cmyk_profile()))}
    y, cb, cr = (ycc[..., i].astype(float) for i in range(3))
    from_ycc = np.dstack(
        [
            y + 1.402 * (cr - 128),
            y - 0.344136 * (cb - 128) - 0.714136 * (cr - 128),
            y + 1.772 * (cb - 128),
        ]
    )
    flat = np.broadcast_to(np.array([200, 30, 90, 40], np.uint8), (16, 16, 4)).copy()
    shown = deep / 257.0
    return [
        Case("rgb.png", "RGB", lambda p: png(p, rgb, 8, 2), rgb),
        Case(
            "rgb-clear.png",
            "RGB",
            lambda p: png(p, rgb, 8, 2, (b"tRNS", clear.astype(">u2").tobytes())),
            rgb,
            np.where((rgb == clear).all(-1), 0, 255),
        ),
        Case("rgb16.png", "RGB", lambda p: png(p, deep, 16, 2), shown),
        Case("rgba.png", "RGBA", lambda p: png(p, rgba, 8, 6), rgba[..., :3], rgba[..., 3]),
        Case(
            "rgba16.png",
            "RGBA",
            lambda p: png(p, deepa, 16, 6),
            deepa[..., :3] / 257,
            deepa[..., 3] / 257,
        ),
        Case("palette.png", "P", lambda p: png(p, index, 4, 3, plte), palette[index]),
        Case(
            "palette-clear.png",
            "P",
            lambda p: png(p, index, 4, 3, plte, (b"tRNS", table.tobytes())),
            palette[index],
            table[index],
        ),
        Case(
            "palette-one.png",
            "P",
            lambda p: png(p, index, 4, 3, plte, (b"tRNS", bytes([255, 255, 0]))),
            palette[index],
            np.where(index == 2, 0, 255),
        ),
        Case("palette.tif", "P", lambda p: tiff(p, index, 3, tags=wide), palette[index]),
        Case(
            "palette-alpha.tif",
            "PA",
            lambda p: tiff(p, indexed, 3, tags=wide | {EXTRA: ("H", [2])}),
            palette[index],
            rgba[..., 3],
        ),
        Case("rgb.tif", "RGB", lambda p: tiff(p, rgb, 2), rgb),
        Case("rgb16.tif", "RGB", lambda p: tiff(p, deep, 2), shown),
        Case("rgb16B.tif", "RGB", lambda p: tiff(p, deep, 2, ">"), shown),
        Case(
            "rgbx.tif",
            "RGB",
            lambda p: tiff(p, rgba, 2, tags={EXTRA: ("H", [0])}),
            rgba[..., :3],
        ),
        Case(
            "rgba.tif",
            "RGBA",
            lambda p: tiff(p, rgba, 2, tags={EXTRA: ("H", [2])}),
            rgba[..., :3],
            rgba[..., 3],
        ),
        Case(
            "premultiplied.tif",
            "RGBA",
            lambda p: tiff(p, premultiplied, 2, tags={EXTRA: ("H", [1])}),
            straight[..., :3],
            straight[..., 3],
        ),
        Case("cmyk.tif", "CMYK", lambda p: tiff(p, cmyk, 5), plain),
        Case("cmyk-profile.tif", "CMYK", lambda p: tiff(p, cmyk, 5, tags=profile), by_profile),
        Case(
            "cmyk-damaged-profile.tif",
            "CMYK",
            lambda p: tiff(p, cmyk, 5, tags={ICC: ("B", list(icc(b"CMYK")))}),
            plain,
        ),
        Case(
            "cmyk.jpg",
            "CMYK",
            lambda p: Image.fromarray(flat, "CMYK").save(p, quality=100),
            255 * (1 - flat[..., :3] / 255) * (1 - flat[..., 3:] / 255),
        ),
        Case("ycc.tif", "YCbCr", lambda p: tiff(p, ycc, 6), np.clip(from_ycc, 0, 255)),
        Case("lab.tif", "LAB", lambda p: tiff(p, lab[0], 8), lab[1]),
        Case("rgb.bmp", "RGB", lambda p: Image.fromarray(rgb).save(p), rgb),
        Case("grey.bmp", "L", lambda p: Image.fromarray(index * 17).save(p),
             _three(index * 17), grey=True),
        Case("rgb.webp", "RGB", lambda p: Image.fromarray(rgb).save(p, lossless=True), rgb),
        Case(
            "rgba.webp",
            "RGBA",
            lambda p: Image.fromarray(rgba).save(p, lossless=True, exact=True),
            rgba[..., :3],
            rgba[..., 3],
        ),
    ]  # fmt: skip


def _lab() -> tuple[np.ndarray, np.ndarray]:
    """CIELAB of D50 in 8 bits, and its sRGB, all inside the gamut."""
    values = RNG.integers([84, -80, -80], [256, 81, 81], (50 * H * W, 3))
    xyz = lab2xyz(values * [100 / 255, 1, 1], illuminant="D50")
    to_linear = [  # from XYZ of D50, adapted by Bradford
        [3.1338561, -1.6168667, -0.4906146],
        [-0.9787684, 1.9161415, 0.0334540],
        [0.0719453, -0.2289914, 1.4052427],
    ]
    linear = xyz @ np.array(to_linear).T
    inside = np.flatnonzero(((linear > 0) & (linear < 1)).all(-1))[: H * W]
    lab, linear = values[inside].reshape(H, W, 3), linear[inside].reshape(H, W, 3)
    return lab.astype(np.uint8), srgb(linear)


def _refused_cases() -> list[Case]:
    deep = _noise(16, 3)
    values = _noise(8)
    signed, floats = {FORMAT: ("H", [2])}, {FORMAT: ("H", [3])}
    key = (b"tRNS", deep[0, 0].astype(">u2").tobytes())
    return [
        Case("rgb16-clear.png", "RGB", lambda p: png(p, deep, 16, 2, key), None),
        Case("signed8.tif", "L", lambda p: tiff(p, values, 1, tags=signed), None),
        Case("signed16.tif", "I", lambda p: tiff(p, deep[..., 0], 1, tags=signed), None),
        Case("int32.tif", "I", lambda p: tiff(p, values.astype(np.int32), 1, tags=signed), None),
        Case("uint32.tif", "I", lambda p: tiff(p, values.astype(np.uint32), 1), None),
        Case("float.tif", "F", lambda p: tiff(p, values.astype("f4"), 1, tags=floats), None),
    ]
