"""Operations that the paper's networks do not have, in programs made by hand: every instruction
set computes what bbnas.engine.reference defines, and so do other runtimes.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bbnas.engine import Model, isas
from bbnas.engine.export import export_program
from bbnas.engine.file import from_bytes, to_bytes
from bbnas.engine.program import Array, Kind, Op, Program, Tensor
from bbnas.errors import UserError
from tests.engine.test_export import RUNTIMES


def small_program(step: int, scale: int, kernel: int, wide: int, narrow: int) -> Program:
    """Unshuffled planes → ``wide`` → 1-bit ``narrow`` channels under a wider residual → repeated →
    PixelShuffle to the image + a skip, if there is one of that size.

    Weights are multiples of 1/8, so all sums that are compared with a threshold are exact.
    """
    rng = np.random.default_rng(wide * narrow)
    tensors: list[Tensor] = []
    ops: list[Op] = []

    def add(kind: str, inputs: tuple[int, ...], made: Tensor, **rest: object) -> int:
        tensors.append(made)
        ops.append(Op(kind, inputs, len(tensors) - 1, **rest))  # type: ignore[arg-type]
        return len(tensors) - 1

    def of(kind: Kind, channels: int, scale: int = 1) -> Tensor:
        return Tensor(kind, channels, scale)

    def floats(*shape: int) -> Array:
        return (rng.integers(-8, 9, shape) / 8).astype(np.float32)

    image = x = add("input", (), of("planes", 3, step), factor=2.0)
    if step > 1:
        x = add("unshuffle", (x,), of("planes", 3 * step**2))
    channels = tensors[x].channels
    bits = len(tensors) + 1
    x = add(
        "conv",
        (x,),
        of("floats", wide),
        bits=bits,
        arrays={
            "weight": floats(wide, channels, kernel, kernel),
            "bias": floats(wide),
            "threshold": floats(wide),
        },
    )
    tensors.append(of("bits", wide))
    weight = rng.integers(0, 2, (narrow, wide, 3, 3)).astype(np.uint8)
    arrays = {"weight": weight, "scale": floats(narrow)}
    x = add("binary", (bits,), of("floats", narrow), residual=x, place="after", arrays=arrays)
    x = add("repeat", (x,), of("floats", wide + narrow))
    ratio = scale * step
    out = 3 * ratio**2
    arrays = {"weight": floats(out, wide + narrow, kernel, kernel)}
    x = add("conv", (x,), of("floats", out), arrays=arrays)
    if step == 1:
        image = add("bilinear", (image,), of("planes", 3, scale))
    elif scale > 1:
        image = -1
    x = add("shuffle", (x,), of("planes", 3, ratio), residual=image, shuffle=ratio)
    ops.append(Op("output", (x,), factor=2.0))
    return Program(scale, 3, 3 * step, tuple(tensors), tuple(ops), step=step)


def levels_of_eight(height: int, width: int) -> Array:
    rng = np.random.default_rng(height * width)
    return (rng.integers(0, 9, (height, width, 3)) / 8).astype(np.float32)


@given(
    ratio=st.sampled_from([(1, 1), (1, 2), (1, 3), (1, 4), (2, 1), (2, 2), (3, 1)]),
    kernel=st.sampled_from([1, 3]),
    wide=st.integers(3, 70),
    less=st.floats(0.01, 1),
    height=st.integers(1, 13),
    width=st.integers(1, 70),
    threads=st.integers(1, 3),
)
@settings(max_examples=40)
def test_what_the_reference_defines(
    ratio: tuple[int, int],
    kernel: int,
    wide: int,
    less: float,
    height: int,
    width: int,
    threads: int,
) -> None:
    program = small_program(*ratio, kernel, wide, max(1, int(wide * less)))
    assert to_bytes(from_bytes(to_bytes(program), "x")) == to_bytes(program)
    image = levels_of_eight(height, width)
    expected = Model(program, "torch").run(image)
    assert expected.shape == (height * program.scale, width * program.scale, 3)
    ours = [Model(program, isa, threads).run(image) for isa in isas()]
    for found in ours:
        np.testing.assert_array_equal(found, ours[0])
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-4)


@RUNTIMES
@pytest.mark.parametrize("ratio", [(2, 1), (1, 3), (2, 2)])
def test_exported(form, name, run, ratio: tuple[int, int], tmp_path: Path) -> None:
    program = small_program(*ratio, 1, 24, 16)
    export_program(program, form, tmp_path / name)
    image = levels_of_eight(8, 14)
    found = run(tmp_path / name, image.transpose(2, 0, 1)[None])[0].transpose(1, 2, 0)
    expected = Model(program, "torch").run(image)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "says"),
    [({"step": 1}, "not the image"), ({"step": 9}, "step out of range"), ({"scale": 2}, "sizes")],
)
def test_sizes_that_do_not_fit(changes: dict[str, int], says: str) -> None:
    with pytest.raises(UserError, match=says):
        Model(replace(small_program(2, 1, 3, 8, 8), **changes))  # type: ignore[arg-type]
