r"""The .bbn file stores a packed program.

========= ======================================================================================
bytes     content
========= ======================================================================================
0–7       magic, ``\x89BBN\r\n\x1a\n``
8–11      format version, 3. Earlier ones are read too: version 1 has no ``slope``, 1 and 2 have no
          ``step``, no 1×1 convolution, and neither ``unshuffle`` nor ``shuffle``
12–15     bytes of the header as stored
16–19     bytes of the header as JSON
20–23     0
24–31     bytes of the whole file
32–63     SHA-256 of all bytes from 64 on
64–       header: JSON in UTF-8, deflated (zlib), then zeros to a multiple of 64
…         the arrays, each at a multiple of 64 bytes from the file's beginning
========= ======================================================================================

Numbers are little-endian. The header names scale, channels, reach, step, task, design, ``tensors``
([kind, channels, scale] each), ``ops`` (the fields of :class:`bbnas.engine.program.Op` that are
not at their default) and ``arrays``: [operation, name, dtype, shape, offset, bytes] each, offset
counted from the first array. dtype is ``f4``, or ``u1``: the bits of a (C_out, C_in, k, k) weight
in the order (C_out, k, k, C_in), eight a byte from the lowest bit, 1 for +1.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import MISSING, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bbnas.engine.program import MAX_OPS, MAX_TENSORS, Array, Op, Program, Tensor, check
from bbnas.errors import UserError, why
from bbnas.formats import BBN, other_format
from bbnas.text import from_json, listed

if TYPE_CHECKING:
    from bbnas.cost import Cost

MAGIC = b"\x89BBN\r\n\x1a\n"
VERSION, READS = 3, (1, 2, 3)
_PREFIX = struct.Struct("<8sIIIIQ32s")
PACK = "bbnas pack makes one from a checkpoint"
_ALIGN = 64
_MAX_HEADER = 1 << 24
_MAX_FILE = 1 << 31

_FIELDS = {f.name: f for f in fields(Op) if f.name not in ("kind", "arrays")}


def write_program(program: Program, path: Path) -> int:
    """Write ``program`` in one atomic step; returns the number of bytes written.

    Raises:
        UserError: the engine cannot run the program, or the file cannot be written.
    """
    from bbnas.files import write_output

    check(program)
    content = to_bytes(program)
    write_output(path, content)
    return len(content)


def to_bytes(program: Program) -> bytes:
    """The content of the .bbn file of ``program``."""
    data, table = bytearray(), []
    for index, op in enumerate(program.ops):
        for name, array in op.arrays.items():
            raw = _packed(array)
            data += bytes(-len(data) % _ALIGN)
            kind = "u1" if array.dtype == np.uint8 else "f4"
            table.append([index, name, kind, list(array.shape), len(data), len(raw)])
            data += raw
    header = {
        "scale": program.scale,
        "channels": program.channels,
        "reach": program.reach,
        "step": program.step,
        "task": program.task,
        "design": dict(program.design),
        "tensors": [[t.kind, t.channels, t.scale] for t in program.tensors],
        "ops": [_op_fields(op) for op in program.ops],
        "arrays": table,
    }
    text = json.dumps(header, separators=(",", ":")).encode()
    stored = zlib.compress(text, 9)
    rest = stored + bytes(-(_PREFIX.size + len(stored)) % _ALIGN) + bytes(data)
    size = _PREFIX.size + len(rest)
    digest = hashlib.sha256(rest).digest()
    return _PREFIX.pack(MAGIC, VERSION, len(stored), len(text), 0, size, digest) + rest


def _op_fields(op: Op) -> dict[str, Any]:
    own = {name: getattr(op, name) for name in _FIELDS}
    return {"kind": op.kind} | {n: v for n, v in own.items() if v != _FIELDS[n].default}


def _packed(array: Array) -> bytes:
    if array.dtype == np.uint8:
        return np.packbits(array.transpose(0, 2, 3, 1).ravel(), bitorder="little").tobytes()
    return np.ascontiguousarray(array, "<f4").tobytes()


def read_program(path: Path) -> Program:
    """The program of a .bbn file, after checking its checksum, sizes and every field.

    Raises:
        UserError: the file is missing, truncated, damaged, of a newer version, or not a program.
    """
    if path.is_dir():
        raise UserError(f"{path} is a folder: name a .bbn file in it")
    if not path.exists():
        raise UserError(f"{path}: no such model; make one with bbnas pack")
    if path.stat().st_size > _MAX_FILE:
        raise UserError(
            f"{path}: larger than {_MAX_FILE} bytes, so no model of bbnas; check the path"
        )
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    if not content.startswith(MAGIC) and (other := other_format(path, BBN, PACK)):
        raise other
    return from_bytes(content, str(path))


def from_bytes(content: bytes, where: str) -> Program:
    """The program of a .bbn file's content; ``where`` names the file in errors.

    Raises:
        UserError: see :func:`read_program`.
    """
    try:
        program = _parse(content)
    except (ValueError, KeyError, IndexError, TypeError, OverflowError) as error:
        raise UserError(
            f"{where}: not a readable .bbn model ({why(error)}); pack it again"
        ) from error
    except zlib.error as error:
        raise UserError(f"{where}: damaged (its header does not unpack); pack it again") from error
    check(program, where)
    return program


def _parse(content: bytes) -> Program:
    if len(content) < _PREFIX.size:
        raise ValueError("truncated" if MAGIC.startswith(content[:8]) else "no .bbn file")
    magic, version, stored, raw, zero, size, digest = _PREFIX.unpack_from(content)
    if magic != MAGIC:
        raise ValueError("no .bbn file")
    if version not in READS:
        able = listed([str(known) for known in READS])
        raise ValueError(f"format version {version}, this bbnas reads {able}: upgrade bbnas")
    if zero != 0 or size != len(content):
        raise ValueError(f"truncated or damaged: {len(content)} bytes of {size}")
    if hashlib.sha256(memoryview(content)[_PREFIX.size :]).digest() != digest:
        raise ValueError("damaged: its checksum does not fit")
    start = -(-(_PREFIX.size + stored) // _ALIGN) * _ALIGN
    if raw > _MAX_HEADER or start > size:
        raise ValueError("header sizes")
    unpacking = zlib.decompressobj()
    text = unpacking.decompress(content[_PREFIX.size : _PREFIX.size + stored], raw + 1)
    if len(text) != raw or not unpacking.eof:
        raise ValueError("header sizes")
    header = from_json(text)
    return _program(header, memoryview(content)[start:])


def _program(header: Any, data: memoryview) -> Program:
    _is(header, dict)
    ops = _list(header["ops"], MAX_OPS)
    arrays: list[dict[str, Array]] = [{} for _ in ops]
    end = 0
    for row in _list(header["arrays"], 32 * MAX_OPS):
        index, name, kind, shape, offset, size = _list(row, 6)
        if not 0 <= _int(index) < len(ops) or _is(name, str) in arrays[index]:
            raise ValueError("array of no operation, or twice")
        if _int(offset) % _ALIGN or offset < end or offset + _int(size) > len(data) or size < 0:
            raise ValueError("array beyond the file")
        end = offset + size
        arrays[index][name] = _unpacked(data[offset:end], kind, _list(shape, 4))
    if end != len(data):
        raise ValueError("bytes that no array holds")
    tensors = [_list(t, 3) for t in _list(header["tensors"], MAX_TENSORS)]
    return Program(
        scale=_int(header["scale"]),
        channels=_int(header["channels"]),
        reach=_int(header["reach"]),
        step=_int(header.get("step", 1)),
        tensors=tuple(Tensor(_is(k, str), _int(c), _int(s)) for k, c, s in tensors),
        ops=tuple(_op(op, own) for op, own in zip(ops, arrays, strict=True)),
        design=_is(header["design"], dict),
        task=_is(header["task"], str),
    )


def _op(content: Any, arrays: dict[str, Array]) -> Op:
    _is(content, dict)
    found: dict[str, Any] = {"kind": _is(content["kind"], str), "arrays": arrays}
    for name, value in content.items():
        if name == "kind":
            continue
        default = _FIELDS[name].default
        assert default is not MISSING
        if name == "inputs":
            found[name] = tuple(_int(v) for v in _list(value, MAX_OPS))
        elif isinstance(default, bool | str):
            found[name] = _is(value, type(default))
        elif isinstance(default, float):
            found[name] = float(_is(value, int | float))
        else:
            found[name] = _int(value)
    return Op(**found)


def _unpacked(raw: memoryview, kind: Any, shape: list[Any]) -> Array:
    count = math.prod(_int(side) for side in shape)
    if any(side < 1 for side in shape):
        raise ValueError("shape of an array")
    if kind == "f4":
        if len(raw) != 4 * count:
            raise ValueError("size of an array")
        return np.frombuffer(raw, "<f4").reshape(shape).astype(np.float32)
    if kind != "u1" or len(shape) != 4 or len(raw) != -(-count // 8):
        raise ValueError("size or type of an array")
    out, channels, rows, columns = shape
    bits = np.unpackbits(np.frombuffer(raw, np.uint8), bitorder="little")
    if bits[count:].any():
        raise ValueError("bits beyond an array")
    return np.ascontiguousarray(
        bits[:count].reshape(out, rows, columns, channels).transpose(0, 3, 1, 2)
    )


def _is(value: Any, kind: Any) -> Any:
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ValueError(f"{str(value)[:40]!r} is of the wrong type")
    return value


def _int(value: Any) -> int:
    number: int = _is(value, int)
    if abs(number) > 1 << 40:
        raise ValueError("a number out of range")
    return number


def _list(value: Any, most: int) -> list[Any]:
    found: list[Any] = _is(value, list)
    if len(found) > most:
        raise ValueError("a list that is too long")
    return found


def explain(program: Program, cost: Cost | None = None) -> Iterator[tuple[str, int, str]]:
    """Rows (content, bytes, note) that account for every byte of the file; the last is the sum.

    ``cost`` (:func:`bbnas.cost.count`) adds the paper's Params, in bytes, to the last note.
    """
    content = to_bytes(program)
    stored = _PREFIX.unpack_from(content)[2]
    groups: dict[str, int] = {}
    used = 0
    for op in program.ops:
        for name, array in op.arrays.items():
            if name == "weight":
                group = "1-bit weights" if array.dtype == np.uint8 else "full-precision weights"
            else:
                group = _GROUPS.get(name, name)
            size = len(_packed(array))
            groups[group] = groups.get(group, 0) + size
            used += size
    yield "prefix", _PREFIX.size, "magic, version, sizes, checksum"
    yield "header", stored, "operations, tensors and design as JSON, deflated"
    for group, size in sorted(groups.items(), key=lambda item: -item[1]):
        numbers = size * 8 if group == "1-bit weights" else size // 4
        yield group, size, f"{numbers:,} {'bits' if group == '1-bit weights' else 'floats'}"
    yield "padding", len(content) - _PREFIX.size - stored - used, "to multiples of 64 bytes"
    note = ""
    if cost is not None:
        note = f"Params as the paper counts them, 4 bytes each: {cost.params * 4:,.0f} bytes"
    yield "file", len(content), note


_GROUPS = {
    "magnitude": "scales of 1-bit weights", "threshold": "thresholds α",
    "pack_b": "normalisation", "scale": "scales of 1-bit weights",
    "norm_a": "normalisation", "norm_b": "normalisation", "gamma": "RPReLU γ", "zeta": "RPReLU ζ",
    "beta": "slopes β", "bias": "biases", "factors": "accumulation", "mean": "image statistics",
    "std": "image statistics",
}  # fmt: skip
