"""A file of another format is named as that, with what to do, wherever a file is read."""

from __future__ import annotations

import io
import sqlite3
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save
from torch import nn

import bbnas
from bbnas.bench.sampler.table import read_table
from bbnas.cli import main
from bbnas.data.reading import read_image
from bbnas.engine import Model, compile_network, load, write_program
from bbnas.errors import UserError
from bbnas.formats import BBN, IMAGE, IMPORT, SAFETENSORS, SQLITE, TORCH, other_format, recognise
from bbnas.inference import evaluate_checkpoint, load_checkpoint, restore
from bbnas.paper.scores import read_scores
from bbnas.schema import read_yaml
from bbnas.store import Store, open_study

Write = Callable[[Path], None]
STATE = {"weight": torch.ones(2, 3)}


def packed(path: Path) -> None:
    task = bbnas.get_task("sr2")
    network = bbnas.build(bbnas.load_design("bbcu-m", task).replace(width=8, depth=1), task)
    write_program(compile_network(network.eval(), task), path)


def zipped(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "text")


def database(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE own (x)")
    connection.close()


def picture(path: Path) -> None:
    content = io.BytesIO()
    Image.new("RGB", (8, 8)).save(content, "PNG")
    path.write_bytes(content.getvalue())


def onnx_model(path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    made, helper = onnx.TensorProto.FLOAT, onnx.helper
    values = [helper.make_tensor_value_info(name, made, [1]) for name in "xy"]
    node = helper.make_node("Relu", ["x"], ["y"])
    graph = helper.make_graph([node], "g", values[:1], values[1:])
    path.write_bytes(helper.make_model(graph, producer_name="other").SerializeToString())


def openvino_model(path: Path) -> None:
    openvino = pytest.importorskip("openvino")
    ops = openvino.opset13
    x = ops.parameter([1], dtype=np.float32)
    openvino.save_model(openvino.Model([ops.relu(x)], [x]), path.with_suffix(".xml"))
    path.with_suffix(".xml").rename(path)


def bytes_of(content: bytes) -> Write:
    def write(path: Path) -> None:
        path.write_bytes(content)

    return write


# The format's name in a message, and a writer of such a file: by its own library, where there is
# one here, else the first bytes that its specification states.
FILES: dict[str, tuple[str, Write]] = {
    "weights.pth": ("PyTorch", lambda path: torch.save(STATE, path)),
    "renamed.safetensors": ("PyTorch", lambda path: torch.save(STATE, path)),
    "legacy.pt": (
        "PyTorch",
        lambda path: torch.save(STATE, path, _use_new_zipfile_serialization=False),
    ),
    "script.pt": (
        "PyTorch",
        lambda path: torch.jit.save(torch.jit.script(nn.Conv2d(1, 1, 1)), path),
    ),
    "truncated.pth": ("PyTorch", bytes_of(b"PK\x03\x04" + bytes(99))),
    "weights.bin": ("PyTorch", lambda path: torch.save(STATE, path)),
    "model.onnx": ("ONNX", onnx_model),
    "model.xml": ("OpenVINO", openvino_model),
    "keras.h5": ("HDF5", bytes_of(b"\x89HDF\r\n\x1a\n" + bytes(99))),
    "model.tflite": ("TensorFlow", bytes_of(struct.pack("<I4s", 28, b"TFL3") + bytes(99))),
    "frozen.pb": ("TensorFlow", bytes_of(b"\x0a\x99\xff" + bytes(99))),
    "model.gguf": ("GGUF", bytes_of(b"GGUF" + bytes(99))),
    "array.npy": ("NumPy", lambda path: np.save(path, np.ones(3))),
    "arrays.npz": ("NumPy", lambda path: np.savez(path, a=np.ones(3))),
    "image.png": ("image", picture),
    "archive.zip": ("zip", zipped),
    "table.gz": ("gzip", bytes_of(b"\x1f\x8b\x08" + bytes(99))),
    "study.db": ("SQLite", database),
    "model.bbn": ("packed model", packed),
    "state.safetensors": ("safetensors", bytes_of(save(STATE))),
    "scores.json": ("JSON", bytes_of(b'{"format": 1}')),
    "design.yaml": ("YAML", bytes_of(b"width: 8\n")),
    "notes.txt": ("text", bytes_of("Größe 3\n".encode())),
    "page.yaml": ("HTML", bytes_of(b"<!DOCTYPE html>\n<html></html>")),
    "pointer.png": ("LFS", bytes_of(b"version https://git-lfs.github.com/spec/v1\noid x\n")),
    "empty.safetensors": ("empty", bytes_of(b"")),
}
TEXTS = {"JSON", "YAML", "text"}
# Who reads, what is read there, and a format that does not count as another one.
READERS: dict[str, tuple[Callable[[Path], object], set[str]]] = {
    "a checkpoint": (load_checkpoint, {"safetensors"}),
    "a checkpoint to restore with": (
        lambda path: restore(path, [path], path.parent / "out"),
        {"safetensors", "packed model"},
    ),
    "weights of a preset": (
        lambda path: evaluate_checkpoint("bbcu", path.parent, bbnas.get_task("sr4"), weights=path),
        {"safetensors"},
    ),
    "a packed model": (load, {"packed model"}),
    "YAML": (read_yaml, TEXTS),
    "scores": (read_scores, TEXTS),
    "a table": (read_table, {"gzip"}),
    "a study": (lambda path: open_study(str(path)), {"SQLite", "empty"}),
    "an image": (read_image, {"image"}),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("formats")


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_named_by_every_reader_of_another_format(name: str, folder: Path) -> None:
    title, write = FILES[name]
    path = folder / name
    write(path)
    found = recognise(path)
    assert found is not None
    assert title in found.title
    for reader, (read, own) in READERS.items():
        if title in own:
            continue
        with pytest.raises(UserError) as error:
            read(path)
        message = str(error.value)
        assert found.title in message, (reader, message)
        assert str(path) in message
        assert "\n" not in message
        if found.remedy:
            assert found.remedy in message or reader == "an image"


def test_the_format_that_was_asked_for_is_no_other(folder: Path) -> None:
    for write, wanted in ((packed, BBN), (picture, IMAGE), (database, SQLITE)):
        write(folder / "own")
        assert recognise(folder / "own") == wanted
        assert other_format(folder / "own", wanted, "") is None
        (folder / "own").unlink()
    assert other_format(folder / "missing", SAFETENSORS, "") is None
    assert recognise(folder) is None
    unknown = folder / "noise.dat"
    unknown.write_bytes(b"\x93\x00\xfe" * 50)
    assert recognise(unknown) is None


def test_a_saved_model_of_tensorflow_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"\x08\x01")
    with pytest.raises(UserError, match="TensorFlow"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize(
    "command",
    [
        "restore x.png --model FILE -o out",
        "evaluate FILE --benchmark .",
        "pack FILE -o x.bbn",
        "export-model FILE --format onnx -o x.onnx",
        "profile FILE",
        "cost FILE",
        "train FILE",
        "report FILE",
    ],
)
def test_every_command_says_what_to_do_with_a_checkpoint_of_pytorch(
    command: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(STATE, "bbcu.pth")
    picture(Path("x.png"))
    assert main([word.replace("FILE", "bbcu.pth") for word in command.split()]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert TORCH.title in err
    assert IMPORT in err


class Author(nn.Module):
    """A network of someone else."""


@pytest.mark.parametrize("given", [Author(), nn.Conv2d(3, 3, 3), "best.safetensors", None])
def test_a_network_that_is_not_of_bbnas_is_named_by_its_class(
    given: object, tmp_path: Path
) -> None:
    kind = type(given)
    name = (
        kind.__qualname__
        if kind.__module__ == "builtins"
        else f"{kind.__module__}.{kind.__name__}"
    )
    with pytest.raises(UserError, match=f"^{name} is no network of bbnas"):
        compile_network(given)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=f"^{name} is no program"):
        Model(given)  # type: ignore[arg-type]
    if not isinstance(given, str):
        picture(tmp_path / "x.png")
        with pytest.raises(UserError, match=f"^{name} is no network of bbnas"):
            restore(given, [tmp_path / "x.png"], tmp_path / "out")  # type: ignore[arg-type]


@pytest.mark.parametrize("place", ["head.layer", "body.0", "body.0.units.0.norm"])
def test_a_foreign_module_inside_a_network_of_bbnas_is_named(place: str) -> None:
    task = bbnas.get_task("sr2")
    design = bbnas.load_design("bbcu-m", task).replace(width=8, depth=1)
    network = bbnas.build(design, task)
    parent, _, name = place.rpartition(".")
    network.get_submodule(parent)._modules[name] = nn.GroupNorm(1, 8)
    with pytest.raises(UserError, match=r"does not know torch\.nn.*GroupNorm"):
        compile_network(network)


def test_a_store_is_made_where_a_file_is_empty(tmp_path: Path) -> None:
    (tmp_path / "new.db").touch()
    assert Store(f"sqlite:///{tmp_path}/new.db", create=True).studies() == []
