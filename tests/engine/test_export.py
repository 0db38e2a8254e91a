"""Exported models in their own runtimes: the same pixels as the network in PyTorch."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import openvino
import pytest

from bbnas.design import Design
from bbnas.engine import Model, compile_network
from bbnas.engine.export import export_program
from bbnas.presets import presets
from bbnas.tasks import Part, get_task
from tests.engine.networks import (
    assert_same_pixels,
    in_pytorch,
    levels,
    network,
    picture,
    run,
    saved,
)

CASES = [
    ("sr4", presets(get_task("sr4"))["bbcu-m"].replace(width=64, depth=3)),
    ("sr4", presets(get_task("sr4"))["bbcu-m"].replace(width=20, depth=3)),
    ("sr4", presets(get_task("sr4"))["bam"].replace(width=24, depth=3)),
    ("sr3", presets(get_task("sr3"))["btm"].replace(width=16, depth=2)),
    ("sr2", presets(get_task("sr2"))["srresnet"].replace(width=12, depth=4)),
    ("sr2", presets(get_task("sr2"))["bbcu"].replace(width=13, depth=2)),
    ("sr2", Design(binarize=tuple(Part), width=32, depth=2)),
    ("denoise25", presets(get_task("denoise25"))["reactnet"].replace(width=72, depth=3)),
    ("denoise25", presets(get_task("denoise25"))["bnn"].replace(width=18, depth=3)),
    ("denoise25", presets(get_task("denoise25"))["xnornet"].replace(width=32, depth=3)),
    ("jpeg10", presets(get_task("jpeg10"))["bbcu"].replace(width=64, depth=3)),
]
IDS = [f"{task}-{design.method}-{design.width}" for task, design in CASES]


def in_onnxruntime(path: Path, lq: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(["hq"], {"lq": lq})[0]


def in_openvino(path: Path, lq: np.ndarray) -> np.ndarray:
    model = openvino.Core().read_model(path)
    model.reshape(lq.shape)
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    return openvino.compile_model(model, "CPU", settings)({"lq": lq})["hq"]


RUNTIMES = pytest.mark.parametrize(
    ("form", "name", "run"),
    [("onnx", "m.onnx", in_onnxruntime), ("openvino", "m.xml", in_openvino)],
    ids=["onnx", "openvino"],
)


@pytest.mark.parametrize(("task", "design"), CASES, ids=IDS)
@RUNTIMES
def test_the_same_pixels_as_pytorch(
    form: str,
    name: str,
    run: Callable[[Path, np.ndarray], np.ndarray],
    task: str,
    design: Design,
    tmp_path: Path,
) -> None:
    net = network(design, task)
    exported = export_program(compile_network(net, get_task(task)), form, tmp_path / name)
    assert {path.name: path.stat().st_size for path in tmp_path.iterdir()} == {
        path.name: size for path, size in exported.files.items()
    }
    for height, width in ((13, 22), (1, 1), (9, 65)):
        image = picture(net, height, width)
        lq = image.transpose(2, 0, 1)[None].astype(np.float32) / 255
        restored = run(tmp_path / name, lq)[0].transpose(1, 2, 0)
        assert_same_pixels(levels(restored), levels(in_pytorch(net, image)))


@pytest.mark.parametrize("position", ["after_addition", "residual_branch"])
@pytest.mark.parametrize("tail", [(), (Part.TAIL,)], ids=["tail", "1-bit tail"])
@RUNTIMES
def test_the_slope_after_a_binary_upsampling(
    form: str,
    name: str,
    run: Callable[[Path, np.ndarray], np.ndarray],
    tail: tuple[Part, ...],
    position: str,
    tmp_path: Path,
) -> None:
    design = Design(
        binarize=(Part.UPSAMPLING, *tail), activation_position=position, width=16, depth=1
    )
    net = network(design, "sr2")
    program = compile_network(net)
    image = picture(net, 9, 11)
    expected = in_pytorch(net, image)
    without = replace(program, ops=tuple(replace(op, slope=1.0) for op in program.ops))
    assert np.abs(Model(without, "torch").run(image) - expected).max() > 1e-3
    export_program(program, form, tmp_path / name)
    restored = run(tmp_path / name, image.transpose(2, 0, 1)[None].astype(np.float32) / 255)
    np.testing.assert_allclose(restored[0].transpose(1, 2, 0), expected, atol=1e-5)


@pytest.mark.parametrize(("width", "count"), [(64, 4), (20, 4), (13, 0)])
def test_openvino_convolves_bits(width: int, count: int, tmp_path: Path) -> None:
    """An odd number of channels cannot be padded to the 8 that the plugin needs."""
    program = compile_network(
        network(presets(get_task("sr2"))["bbcu-m"].replace(width=width, depth=2), "sr2")
    )
    path = tmp_path / "m.xml"
    exported = export_program(program, "openvino", path)
    assert (exported.binary_layers, exported.one_bit_layers) == (4, count)
    ops = openvino.Core().read_model(path).get_ops()
    layers = [op for op in ops if op.get_type_name() == "BinaryConvolution"]
    assert len(layers) == count
    for layer in layers:
        assert layer.input(1).get_element_type() == openvino.Type.u1
        assert layer.input_value(1).get_node().get_type_name() == "Constant"


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return saved(presets(get_task("sr2"))["bbcu-m"].replace(width=8, depth=1), "sr2", tmp_path)


def test_the_command(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("export-model", checkpoint, "--format", "openvino", "-o", tmp_path / "m.xml")
    code, out, _ = run(capsys, *words)
    assert code == 0
    assert "3 of 3" in out
    code, out, _ = run(capsys, *words, "--json")
    assert code == 0
    found = json.loads(out)
    assert {Path(path).suffix for path in found["files"]} == {".bin", ".xml"}
    words = ("export-model", checkpoint, "--format", "onnx", "-o", tmp_path / "m.onnx")
    assert run(capsys, *words)[0] == 0
    model = onnx.load(tmp_path / "m.onnx")
    assert {p.key: p.value for p in model.metadata_props}["task"] == "sr2"
    assert model.opset_import[0].version >= 17


def test_bad_input_is_one_line(
    checkpoint: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for words, said in (
        ((checkpoint, "--format", "onnx", "-o", tmp_path / "m.xml"), "m.onnx"),
        ((checkpoint, "--format", "tflite", "-o", tmp_path / "m.xml"), "tflite"),
        ((tmp_path / "no", "--format", "onnx", "-o", tmp_path / "m.onnx"), "no"),
        ((checkpoint, "--format", "onnx", "-o", checkpoint / "m.onnx"), "is a file"),
    ):
        code, _, err = run(capsys, "export-model", *words)
        assert (code, err.count("\n")) == (2, 1)
        assert said in err
    for package, name in (("openvino", "m.xml"), ("onnx", "m.onnx")):
        monkeypatch.setitem(sys.modules, package, None)
        words = ("export-model", checkpoint, "--format", package, "-o", tmp_path / name)
        code, _, err = run(capsys, *words)
        assert (code, err.count("\n")) == (2, 1)
        assert "pip install 'bbnas[bench]'" in err
    assert [path.name for path in tmp_path.iterdir()] == ["best.safetensors"]
