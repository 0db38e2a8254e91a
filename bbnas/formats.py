"""File formats, told by their first bytes: to name a file that is not of the format asked for."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import NamedTuple

from bbnas.errors import UserError

# What to do with a checkpoint of PyTorch.
IMPORT = "bbnas import FILE --as PRESET -o NEW.safetensors makes a checkpoint of bbnas from it"


class Format(NamedTuple):
    """``title`` names a file of the format in a sentence; ``remedy`` says what to do with one,
    wherever it is given.
    """

    title: str
    remedy: str = ""


SAFETENSORS = Format("a safetensors file")
BBN = Format("a packed model (.bbn)")
YAML = Format("a YAML file")
JSON = Format("a JSON file")
IMAGE = Format("an image")
SQLITE = Format("a SQLite database")
GZIP = Format("a gzip file")
TORCH = Format("a PyTorch checkpoint", IMPORT)
_TRAINED_ELSEWHERE = "bbnas does not read it; save the weights in PyTorch: " + IMPORT
ONNX = Format("an ONNX model", _TRAINED_ELSEWHERE)
OPENVINO = Format("a model of OpenVINO", _TRAINED_ELSEWHERE)
HDF5 = Format("an HDF5 file, as Keras writes", _TRAINED_ELSEWHERE)
TENSORFLOW = Format("a model of TensorFlow", _TRAINED_ELSEWHERE)
NUMPY = Format("a file of NumPy arrays", _TRAINED_ELSEWHERE)
GGUF = Format("a GGUF model", _TRAINED_ELSEWHERE)
PICKLE = Format("a Python pickle", "bbnas reads none; save the weights in PyTorch: " + IMPORT)
ZIP = Format("a zip archive", "unpack it")
TAR = Format("a tar archive", "unpack it")
PDF = Format("a PDF document")
LFS = Format("a Git LFS pointer, which stands for the file", "fetch the file by git lfs pull")
HTML = Format("an HTML page", "download the file itself")
TEXT = Format("a text file")
EMPTY = Format("an empty file", "use another copy")
_TEXTS = (YAML, JSON, TEXT)  # they have no sign of their own, and JSON is YAML

_HEAD = 4096  # bytes that are looked at
# The magic numbers: where, what, of which format.
_MAGIC: tuple[tuple[int, bytes, Format], ...] = (
    (0, b"\x89BBN\r\n\x1a\n", BBN),
    (0, b"\x89HDF\r\n\x1a\n", HDF5),
    (0, b"SQLite format 3\0", SQLITE),
    (0, b"\x93NUMPY", NUMPY),
    (0, b"GGUF", GGUF),
    (4, b"TFL3", TENSORFLOW),
    (0, b"\x1f\x8b", GZIP),
    (0, b"%PDF-", PDF),
    (257, b"ustar", TAR),
    (0, b"\x89PNG\r\n\x1a\n", IMAGE),
    (0, b"\xff\xd8\xff", IMAGE),
    (0, b"GIF8", IMAGE),
    (8, b"WEBP", IMAGE),
    (0, b"II*\0", IMAGE),
    (0, b"MM\0*", IMAGE),
    (4, b"ftypavif", IMAGE),
    (4, b"ftyphei", IMAGE),
    # The number that torch.save pickled first, before it wrote zip archives.
    (0, b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", TORCH),
)
# Of a file whose bytes do not tell.
_SUFFIXES: dict[str, Format] = {
    ".pth": TORCH,
    ".pt": TORCH,
    ".ckpt": TORCH,
    ".onnx": ONNX,
    ".pb": TENSORFLOW,
    ".tflite": TENSORFLOW,
    ".bmp": IMAGE,
}


def recognise(path: Path) -> Format | None:
    """The format of a file; None for an unknown one, and for what is no file."""
    if (path / "saved_model.pb").is_file():
        return TENSORFLOW  # a folder
    if not path.is_file():  # opening a pipe would block
        return None
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
        size = path.stat().st_size
    except OSError:
        return None
    if not head:
        return EMPTY
    for at, magic, format_ in _MAGIC:
        if head[at : at + len(magic)] == magic:
            return format_
    suffix = path.suffix.lower()
    if head[:4] == b"PK\x03\x04":
        return _zipped(path) or _SUFFIXES.get(suffix, ZIP)
    if head[8:9] == b"{" and 2 <= int.from_bytes(head[:8], "little") <= size - 8:
        return SAFETENSORS
    if head[:1] == b"\x80" and head[1:2] in b"\x02\x03\x04\x05":
        return PICKLE
    # Protobuf: field 1, the version of ONNX; then field 2, the producer, or 7, the graph.
    if head[:1] == b"\x08" and head[2:3] in (b"\x12", b"\x3a"):
        return ONNX
    return _text(head, suffix) or _SUFFIXES.get(suffix)


def _zipped(path: Path) -> Format | None:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return None
    if any(name.rpartition("/")[2] == "data.pkl" for name in names):
        return TORCH
    if any(name.endswith(".weights.h5") for name in names):
        return HDF5
    return NUMPY if names and all(name.endswith(".npy") for name in names) else ZIP


def _text(head: bytes, suffix: str) -> Format | None:
    """The format of a text in UTF-8; None for other bytes."""
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3 or len(head) < _HEAD:  # not a character that was cut
            return None
        text = head[: error.start].decode("utf-8")
    if any(not char.isprintable() and char not in "\t\n\r\f\ufeff" for char in text):
        return None
    start = text.lstrip("\ufeff \t\r\n").lower()
    if start.startswith("version https://git-lfs"):
        return LFS
    if start.startswith(("<!doctype html", "<html")):
        return HTML
    if start.startswith("<?xml") and "<net" in start:
        return OPENVINO
    if start.startswith(("{", "[")):
        return JSON
    return YAML if suffix in (".yaml", ".yml") else TEXT


def other_format(path: str | Path, wanted: Format, remedy: str) -> UserError | None:
    """The error for a file that is known to be of another format than ``wanted``, else None.

    ``remedy`` is for a file of a format that has none of its own. A caller asks when it could not
    read the file.
    """
    found = recognise(Path(path))
    if found is None or found == wanted or (found in _TEXTS and wanted in _TEXTS):
        return None
    return UserError(f"{path} is {found.title}, not {wanted.title}: {found.remedy or remedy}")
