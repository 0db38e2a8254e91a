"""The .bbn file: the whole program, each byte accounted for, and nothing else is read."""

from __future__ import annotations

import hashlib
import json
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bbnas.cost import count
from bbnas.engine import (
    Model,
    Program,
    compile_network,
    explain,
    load,
    read_program,
    write_program,
)
from bbnas.engine.file import VERSION, from_bytes, to_bytes
from bbnas.errors import UserError
from bbnas.presets import presets
from bbnas.tasks import get_task
from tests.engine.fuzz import mutate, survives
from tests.engine.networks import network, picture


@pytest.fixture(scope="module")
def program() -> Program:
    net = network(presets(get_task("sr2"))["bbcu-m"].replace(width=20, depth=3), "sr2")
    return compile_network(net, get_task("sr2"))


@pytest.mark.parametrize(
    ("task", "name"), [("sr4", "bbcu-m"), ("sr3", "btm"), ("denoise15", "bam"), ("jpeg10", "ma")]
)
def test_a_file_holds_the_whole_program(tmp_path: Path, task: str, name: str) -> None:
    net = network(presets(get_task(task))[name].replace(width=21, depth=4), task)
    program = compile_network(net, get_task(task))
    size = write_program(program, tmp_path / "model.bbn")
    assert size == (tmp_path / "model.bbn").stat().st_size
    read = read_program(tmp_path / "model.bbn")
    assert to_bytes(read) == to_bytes(program)
    assert (read.task, dict(read.design)) == (task, net.design.to_dict())
    image = picture(net, 9, 14)
    found = load(tmp_path / "model.bbn", threads=2)(image)
    assert np.array_equal(found, Model(program)(image))


def test_a_file_of_the_first_version_is_read() -> None:
    """It is a file of today without a LeakyReLU after a binary convolution."""
    net = network(presets(get_task("jpeg10"))["bbcu"].replace(width=8, depth=1), "jpeg10")
    first = bytearray(to_bytes(compile_network(net)))
    assert first[8] == VERSION
    first[8] = 1  # the checksum is of the bytes from 64 on
    assert to_bytes(from_bytes(bytes(first), "x")) == to_bytes(compile_network(net))


def test_bbcu_m_is_under_260_kb() -> None:
    task = get_task("sr4")
    design = presets(task)["bbcu-m"]
    program = compile_network(network(design, task.name), task)
    rows = list(explain(program, count(design, task)))
    sizes = {content: size for content, size, _ in rows}
    assert sizes["file"] == len(to_bytes(program)) < 260_000
    assert sizes["1-bit weights"] == 1_511_424 // 8
    assert sum(size for content, size, _ in rows[:-1]) == sizes["file"]


def test_a_file_that_is_not_whole(tmp_path: Path, program: Program) -> None:
    content = to_bytes(program)
    file = tmp_path / "model.bbn"
    for length in (0, 5, 63, 64, 100, len(content) // 2, len(content) - 1):
        file.write_bytes(content[:length])
        with pytest.raises(UserError, match=r"model\.bbn"):
            read_program(file)
    file.write_bytes(content + b"x")
    with pytest.raises(UserError, match=f"{len(content) + 1} bytes of {len(content)}"):
        read_program(file)
    with pytest.raises(UserError, match=r"other\.bbn.*bbnas pack"):
        read_program(tmp_path / "other.bbn")
    with pytest.raises(UserError, match=tmp_path.name):
        read_program(tmp_path)
    newer = bytearray(content)
    newer[8] = VERSION + 1
    with pytest.raises(UserError, match=rf"version {VERSION + 1}.*reads 1, 2 and {VERSION}"):
        from_bytes(bytes(newer), "x")


def test_any_changed_byte_is_found(program: Program) -> None:
    content = to_bytes(program)
    for at in np.random.default_rng(0).integers(0, len(content), 200):
        changed = bytearray(content)
        changed[at] ^= 1 << int(at) % 8
        with pytest.raises(UserError):
            from_bytes(bytes(changed), "x")


def test_hostile_files_with_a_fitting_checksum(program: Program) -> None:
    """Each is refused in one line, or is a program that runs within its own memory."""
    rng = np.random.default_rng(1)
    content = to_bytes(program)
    outcomes = [survives(mutate(content, rng), rng) for _ in range(300)]
    assert outcomes.count("refused") > 100
    assert outcomes.count("ran") > 10


def test_a_header_that_unpacks_to_more_than_it_says() -> None:
    bomb = zlib.compress(bytes(1 << 26), 9)
    rest = bomb + bytes(-(64 + len(bomb)) % 64)
    prefix = b"\x89BBN\r\n\x1a\n" + b"".join(
        value.to_bytes(size, "little")
        for value, size in ((1, 4), (len(bomb), 4), (1000, 4), (0, 4), (64 + len(rest), 8))
    )
    with pytest.raises(UserError, match="header"):
        from_bytes(prefix + hashlib.sha256(rest).digest() + rest, "x")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"scale": 9}, "scale"),
        ({"channels": 2}, "not the image"),
        ({"ops": ()}, "operations"),
        ({"tensors": ()}, "tensors"),
    ],
)
def test_a_program_that_does_not_hold_together(
    program: Program, change: dict[str, object], reason: str
) -> None:
    with pytest.raises(UserError, match=reason):
        Model(replace(program, **change))  # type: ignore[arg-type]


def test_the_header_is_plain_json(program: Program) -> None:
    content = to_bytes(program)
    stored = int.from_bytes(content[12:16], "little")
    header = json.loads(zlib.decompress(content[64 : 64 + stored]))
    assert header["task"] == "sr2"
    assert header["design"]["width"] == 20
    assert [op["kind"] for op in header["ops"]] == [op.kind for op in program.ops]
