from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, PngImagePlugin, TiffImagePlugin

from bbnas.data import read_image
from bbnas.data.reading import read_layers
from bbnas.errors import UserError
from tests.helpers.imagefiles import Case, cases, icc, png, tiff

RNG = np.random.default_rng(1)
RGB = RNG.integers(0, 256, (40, 50, 3), np.uint8)
GREY = RGB[..., 0]


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_every_kind_of_pixels_is_right_or_refused(tmp_path: Path, case: Case) -> None:
    path = tmp_path / case.name
    case.write(path)
    with Image.open(path) as opened:
        assert opened.mode == case.mode
    if case.colour is None:
        with pytest.raises(UserError, match=rf"mode {case.mode}.*: save it with"):
            read_image(path)
        return
    layers = read_layers(path)
    assert layers.colour.dtype == np.uint8
    assert np.abs(layers.colour.astype(float) - case.colour).max() <= 2
    assert layers.grey == case.grey
    assert (layers.alpha is None) == (case.alpha is None)
    seen = case.colour
    if layers.alpha is not None:
        assert layers.alpha.shape == layers.colour.shape[:2]
        assert np.abs(layers.alpha.astype(float) - case.alpha).max() <= 2
        opaque = case.alpha[..., None] / 255
        seen = case.colour * opaque + 255 * (1 - opaque)
    pixels, grey = read_image(path)
    assert grey == case.grey
    assert np.abs(pixels.astype(float) - seen).max() <= 2


def test_every_mode_that_pillow_opens_has_a_case() -> None:
    opened = {mode for mode, _ in TiffImagePlugin.OPEN_INFO.values()}
    opened |= {mode for mode, _ in PngImagePlugin._MODES.values()}
    assert {case.mode for case in cases()} == opened


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "webp"])
def test_lossless_colour_comes_back(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(RGB).save(path, **({"lossless": True} if suffix == "webp" else {}))
    pixels, grey = read_image(path)
    assert np.array_equal(pixels, RGB)
    assert not grey


def test_jpeg_comes_back_nearly(tmp_path: Path) -> None:
    smooth = np.tile(np.linspace(0, 255, 64).astype(np.uint8)[:, None, None], (1, 64, 3))
    Image.fromarray(smooth).save(tmp_path / "a.jpg", quality=95)
    pixels, _ = read_image(tmp_path / "a.jpg")
    assert np.abs(pixels.astype(int) - smooth).max() <= 4


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "jpg"])
def test_grey_is_replicated(tmp_path: Path, suffix: str) -> None:
    flat = np.full((40, 50), 77, np.uint8)
    Image.fromarray(flat).save(tmp_path / f"a.{suffix}")
    pixels, grey = read_image(tmp_path / f"a.{suffix}")
    assert grey
    assert np.array_equal(pixels, np.dstack([flat] * 3))


def test_black_and_white(tmp_path: Path) -> None:
    Image.fromarray(GREY > 127).save(tmp_path / "a.png")
    pixels, grey = read_image(tmp_path / "a.png")
    assert grey
    assert np.array_equal(pixels[..., 1], np.where(GREY > 127, 255, 0))


def test_palette(tmp_path: Path) -> None:
    image = Image.fromarray(RGB).quantize(16)
    image.save(tmp_path / "a.png")
    palette = np.array(image.getpalette()).reshape(-1, 3)
    pixels, grey = read_image(tmp_path / "a.png")
    assert not grey
    assert np.array_equal(pixels, palette[np.asarray(image)])


def test_transparency_lies_over_white(tmp_path: Path) -> None:
    alpha = np.zeros((40, 50), np.uint8)
    alpha[:, 25:] = 255
    Image.fromarray(np.dstack([RGB, alpha])).save(tmp_path / "a.png")
    Image.fromarray(np.dstack([GREY, alpha]), "LA").save(tmp_path / "grey.png")
    pixels, grey = read_image(tmp_path / "a.png")
    assert not grey
    assert (pixels[:, :25] == 255).all()
    assert np.array_equal(pixels[:, 25:], RGB[:, 25:])
    pixels, grey = read_image(tmp_path / "grey.png")
    assert grey
    assert np.array_equal(pixels[:, 25:, 2], GREY[:, 25:])


def test_transparent_palette_entry(tmp_path: Path) -> None:
    image = Image.fromarray(RGB).quantize(16)
    image.save(tmp_path / "a.png", transparency=3)
    pixels, _ = read_image(tmp_path / "a.png")
    assert (pixels[np.asarray(image) == 3] == 255).all()


def test_16_bits_keep_the_upper_8(tmp_path: Path) -> None:
    colour = RNG.integers(0, 65536, (40, 50, 3)).astype(np.uint16)
    png(tmp_path / "rgb.png", colour, 16, 2)
    png(tmp_path / "grey.png", colour[..., 0], 16, 0)
    tifffile.imwrite(tmp_path / "rgb.tif", colour, photometric="rgb")
    tifffile.imwrite(tmp_path / "grey.tif", colour[..., 0])
    for name in ("rgb.png", "rgb.tif"):
        pixels, grey = read_image(tmp_path / name)
        assert not grey
        assert np.array_equal(pixels, colour >> 8)
    for name in ("grey.png", "grey.tif"):
        pixels, grey = read_image(tmp_path / name)
        assert grey
        assert np.array_equal(pixels[..., 2], colour[..., 0] >> 8)


def test_cmyk(tmp_path: Path) -> None:
    red = np.zeros((40, 50, 4), np.uint8)
    red[..., 1:3] = 255  # magenta and yellow
    for suffix in ("jpg", "tif"):
        Image.fromarray(red, "CMYK").save(tmp_path / f"a.{suffix}")
        pixels, _ = read_image(tmp_path / f"a.{suffix}")
        assert np.abs(pixels.astype(int) - [255, 0, 0]).max() <= 3


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn a quarter clockwise to see it upright
    for suffix in ("png", "tif"):
        Image.fromarray(RGB).save(tmp_path / f"a.{suffix}", exif=exif)
        pixels, _ = read_image(tmp_path / f"a.{suffix}")
        assert np.array_equal(pixels, np.rot90(RGB, -1))


def test_first_of_several_frames(tmp_path: Path) -> None:
    frames = [Image.fromarray(RGB), Image.fromarray(255 - RGB)]
    frames[0].save(tmp_path / "a.tif", save_all=True, append_images=frames[1:])
    frames[0].save(tmp_path / "camera.jpg", "MPO", save_all=True, append_images=frames[1:])
    assert np.array_equal(read_image(tmp_path / "a.tif")[0], RGB)
    assert read_image(tmp_path / "camera.jpg")[0].shape == RGB.shape


def test_only_a_profile_of_the_colour_space_is_kept(tmp_path: Path) -> None:
    for mode, space in (("RGB", b"RGB "), ("L", b"GRAY")):
        image = Image.fromarray(RGB).convert(mode)
        for other in (b"RGB ", b"GRAY", b"CMYK", b"Lab "):
            image.save(tmp_path / "a.png", icc_profile=icc(other))
            kept = read_layers(tmp_path / "a.png").profile
            assert kept == (icc(space) if other == space else None)
        image.save(tmp_path / "a.png", icc_profile=b"no profile")
        assert read_layers(tmp_path / "a.png").profile is None
    Image.fromarray(RGB).convert("CMYK").save(tmp_path / "a.jpg", icc_profile=icc(b"CMYK"))
    assert read_layers(tmp_path / "a.jpg").profile is None


def test_a_fault_beside_the_pixels_is_not_told_on_the_terminal(tmp_path: Path) -> None:
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x05\x01\x12\0\x03\0\0\0\x01\0\x06\0\0"  # cut short
    for name in ("a.jpg", "a.png", "a.webp"):
        Image.fromarray(RGB).save(tmp_path / name, exif=exif)
    tiff(tmp_path / "a.tif", RGB, 2, tags={277: ("H", [9])})  # Pillow logs so many channels
    code = (
        "import sys\n"
        "from bbnas.data import read_image\n"
        "from bbnas.errors import UserError\n"
        "for path in sys.argv[1:]:\n"
        "    try:\n"
        "        print(read_image(path)[0].shape)\n"
        "    except UserError as error:\n"
        "        print('refused')\n"
    )
    files = [str(tmp_path / name) for name in ("a.jpg", "a.png", "a.webp", "a.tif")]
    done = subprocess.run(
        [sys.executable, "-c", code, *files], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["(50, 40, 3)"] * 3 + ["refused"]
    assert done.stderr == ""


def broken(path: Path, how: str) -> None:
    buffer = io.BytesIO()
    Image.fromarray(RGB).save(buffer, "PNG")
    content = buffer.getvalue()
    if how == "cut short":
        path.write_bytes(content[: len(content) // 2])
    elif how == "text":
        path.write_text("no image")
    elif how == "empty":
        path.touch()
    elif how == "32 bits":
        Image.fromarray(np.zeros((40, 50), np.float32)).save(path, "TIFF")
    elif how == "pixels":  # a header of 20000 × 20000 pixels
        head = b"IHDR" + struct.pack(">II", 20000, 20000) + content[24:29]
        path.write_bytes(content[:12] + head + struct.pack(">I", zlib.crc32(head)) + content[33:])
    elif how == "not a file":
        os.mkfifo(path)


@pytest.mark.parametrize(
    "how", ["cut short", "text", "empty", "32 bits", "pixels", "not a file", "No such file"]
)
def test_what_cannot_be_read_is_one_clear_line(tmp_path: Path, how: str) -> None:
    path = tmp_path / "a.png"
    broken(path, how)
    with pytest.raises(UserError) as caught:
        read_image(path)
    said = str(caught.value)
    assert said.startswith(str(path))
    assert "\n" not in said
    words = {"text": "not a readable", "empty": "not a readable", "cut short": "damaged"}
    words["32 bits"] = "mode F"
    assert words.get(how, how) in said


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "bmp", "tif"])
def test_no_damage_gets_past_the_reader(
    tmp_path: Path, suffix: str, photograph: Callable[..., np.ndarray]
) -> None:
    """Random cuts and flips either decode to RGB or raise UserError: nothing else."""
    whole = tmp_path / f"whole.{suffix}"
    Image.fromarray(photograph(48, 64)).save(whole)
    content = whole.read_bytes()
    rng = np.random.default_rng(5)
    refused = 0
    for _ in range(40):
        damaged = bytearray(content[: rng.integers(1, len(content))])
        for place in rng.integers(0, len(damaged), 4):
            damaged[place] ^= 1 << int(rng.integers(8))
        path = tmp_path / f"a.{suffix}"
        path.write_bytes(damaged)
        try:
            pixels, _ = read_image(path)
        except UserError:
            refused += 1
        else:
            assert pixels.dtype == np.uint8
            assert pixels.shape[2] == 3
    assert refused > 0
