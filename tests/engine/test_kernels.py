"""The integer part of the 1-bit convolution against a brute force, on every instruction set."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bbnas.engine import Model, Op, Program, Tensor, isas

ISAS = [*isas(), "torch"]


def convolution(weight: np.ndarray, shuffle: int = 1) -> Program:
    """sgn(image) ⊛ ±1 weights (C_out, C_in, 3, 3), and PixelShuffle."""
    wide, channels = weight.shape[:2]
    out = wide // shuffle**2
    one = np.ones(wide, np.float32)
    ops = [
        Op("input", output=0),
        Op("pack", inputs=(0,), bits=1, arrays={"threshold": np.zeros(channels, np.float32)}),
        Op(
            "binary",
            inputs=(1,),
            output=2,
            shuffle=shuffle,
            arrays={"weight": weight, "scale": one},
        ),
    ]
    tensors = [
        Tensor("planes", channels),
        Tensor("bits", channels),
        Tensor("floats", out, shuffle),
    ]
    if out == channels:
        return Program(shuffle, channels, 1, tuple(tensors), (*ops, Op("output", inputs=(2,))))
    # Full-precision convolutions map to the channels of the image; each reads one channel.
    eye = np.zeros((channels, out, 3, 3), np.float32)
    eye[range(channels), np.arange(channels) % out, 1, 1] = 1
    tensors.append(Tensor("floats", channels, shuffle))
    ops += [
        Op("conv", inputs=(2,), output=3, arrays={"weight": eye}),
        Op("output", inputs=(3,)),
    ]
    return Program(shuffle, channels, 1, tuple(tensors), tuple(ops))


def brute_force(image: np.ndarray, weight: np.ndarray, shuffle: int) -> np.ndarray:
    """(H, W, C_in) and (C_out, C_in, 3, 3) of −1 and +1 to (s·H, s·W, C_out / s²), by integers."""
    height, width, _ = image.shape
    padded = np.pad(image.astype(np.int32), ((1, 1), (1, 1), (0, 0)))
    total = np.zeros((height, width, len(weight)), np.int32)
    for y in range(3):
        for x in range(3):
            total += padded[y : y + height, x : x + width] @ weight[:, :, y, x].T.astype(np.int32)
    parts = total.reshape(height, width, -1, shuffle, shuffle).transpose(0, 3, 1, 4, 2)
    return parts.reshape(height * shuffle, width * shuffle, -1)


@pytest.mark.parametrize("isa", ISAS)
@given(
    height=st.integers(1, 65),
    width=st.integers(1, 67),
    channels=st.integers(1, 130),
    outputs=st.integers(1, 34),
    shuffle=st.sampled_from([1, 1, 2, 3]),
    seed=st.integers(0, 999),
)
@settings(max_examples=25)
def test_a_1_bit_convolution_is_exact(
    isa: str, height: int, width: int, channels: int, outputs: int, shuffle: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    outputs = min(outputs, channels)
    bits = rng.integers(0, 2, (outputs * shuffle**2, channels, 3, 3), np.uint8)
    image = rng.choice([-1.0, 1.0], (height, width, channels)).astype(np.float32)
    found = Model(convolution(bits, shuffle), isa).run(image)
    expected = brute_force(image, 2 * bits.astype(np.int32) - 1, shuffle)
    np.testing.assert_array_equal(found, expected[..., np.arange(channels) % outputs])


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("channels", [64, 992, 1000, 1024])
def test_counts_do_not_overflow(isa: str, channels: int) -> None:
    """If all bits differ, the sum is the largest possible, ±9·C."""
    weight = np.zeros((3, channels, 3, 3), np.uint8)
    image = np.ones((3, 5, channels), np.float32)
    found = Model(convolution(weight), isa).run(image)
    assert found[1, 2, 0] == -9 * channels
    assert found[0, 0, 0] == -4 * channels
    assert found[2, 2, 0] == -6 * channels


@pytest.mark.parametrize("isa", ISAS)
@given(
    height=st.integers(1, 20),
    width=st.integers(1, 40),
    c_in=st.integers(1, 70),
    seed=st.integers(0, 99),
)
@settings(max_examples=15)
def test_a_full_precision_convolution(
    isa: str, height: int, width: int, c_in: int, seed: int
) -> None:
    """C → C and PixelShuffle by whole numbers, which float32 adds exactly in any order."""
    rng = np.random.default_rng(seed)
    weight = rng.integers(-4, 5, (c_in * 4, c_in, 3, 3)).astype(np.float32)
    bias = rng.integers(-9, 9, c_in * 4).astype(np.float32)
    ops = (
        Op("input", output=0),
        Op("conv", inputs=(0,), output=1, shuffle=2, arrays={"weight": weight, "bias": bias}),
        Op("output", inputs=(1,)),
    )
    tensors = (Tensor("planes", c_in), Tensor("floats", c_in, 2))
    image = rng.integers(-8, 9, (height, width, c_in)).astype(np.float32)
    found = Model(Program(2, c_in, 1, tensors, ops), isa).run(image)
    expected = brute_force(image, weight.astype(np.int32), 2)
    shift = bias.reshape(-1, 2, 2).transpose(1, 2, 0)  # by row and column of the square
    np.testing.assert_array_equal(found, expected + np.tile(shift, (height, width, 1)))


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("outputs", [1, 2, 3, 4])
def test_a_convolution_to_few_channels(isa: str, outputs: int) -> None:
    """Image → 37 channels, each one of the image's, → image."""
    rng = np.random.default_rng(outputs)
    widen = np.zeros((37, outputs, 3, 3), np.float32)
    widen[range(37), np.arange(37) % outputs, 1, 1] = 1
    weight = rng.integers(-4, 5, (outputs, 37, 3, 3)).astype(np.float32)
    bias = rng.integers(-9, 9, outputs).astype(np.float32)
    ops = (
        Op("input", output=0),
        Op("conv", inputs=(0,), output=1, arrays={"weight": widen}),
        Op("narrow", inputs=(1,), output=2, residual=0, arrays={"weight": weight, "bias": bias}),
        Op("output", inputs=(2,)),
    )
    tensors = (Tensor("planes", outputs), Tensor("floats", 37), Tensor("planes", outputs))
    image = rng.integers(-8, 9, (9, 13, outputs)).astype(np.float32)
    found = Model(Program(1, outputs, 1, tensors, ops), isa).run(image)
    wide = image[..., np.arange(37) % outputs]
    expected = brute_force(wide, weight.astype(np.int32), 1) + bias + image
    np.testing.assert_array_equal(found, expected)
