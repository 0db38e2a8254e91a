"""Networks by other runtimes, against the network in PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bbnas.design import Design
from bbnas.engine.compile import compile_network
from bbnas.engine.export import to_onnx
from bbnas.errors import UserError
from bbnas.native import choose_isa
from bbnas.networks import build
from bbnas.presets import load_design
from bbnas.tasks import get_task

pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (bbnas[bench])")
pytest.importorskip("onnx", reason="onnx is not installed (bbnas[bench])")

from bbnas.engine.peers import load, runtimes, to_int8

TASK = get_task("sr4")


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    torch.manual_seed(0)
    return build(Design(width=8, depth=4).fitted(TASK), TASK).eval()


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(0).random((1, 3, 24, 20), np.float32)


@pytest.fixture(scope="module")
def truth(network: torch.nn.Module, image: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return network(torch.from_numpy(image)).numpy()


@pytest.mark.parametrize("runtime", runtimes(choose_isa()))
def test_fp32_is_the_network(network, image, truth, runtime) -> None:
    model = to_onnx(compile_network(network, TASK)).SerializeToString()
    np.testing.assert_allclose(load(model, runtime)(image), truth, atol=2e-5)


@pytest.mark.parametrize("runtime", runtimes(choose_isa()))
def test_8_bits_round_to_their_steps_and_are_smaller(network, image, truth, runtime) -> None:
    program = compile_network(network, TASK)
    small = to_int8(program, [image])
    found = load(small, runtime)(image)
    error = np.abs(found - truth).max()
    assert 0 < error < 0.05  # rounded, and near
    assert b"QuantizeLinear" in small
    assert b"DequantizeLinear" in small
    assert small != to_onnx(program).SerializeToString()


def test_bf16_is_near_where_there_is_some(network, image, truth) -> None:
    if "OpenVINO" not in runtimes(choose_isa()):
        pytest.skip("OpenVINO is not installed (bbnas[bench])")
    model = to_onnx(compile_network(network, TASK)).SerializeToString()
    try:
        found = load(model, "OpenVINO", bf16=True)(image)
    except UserError as error:
        pytest.skip(str(error))
    assert np.abs(found - truth).max() < 0.05


def test_a_1_bit_network_is_not_quantized(image) -> None:
    program = compile_network(build(load_design("bbcu-m", TASK).replace(depth=2), TASK), TASK)
    with pytest.raises(UserError, match="1-bit network"):
        to_int8(program, [image])


def test_onnxruntime_has_no_bf16(network) -> None:
    model = to_onnx(compile_network(network, TASK)).SerializeToString()
    with pytest.raises(UserError, match="no bf16"):
        load(model, "onnxruntime", bf16=True)
