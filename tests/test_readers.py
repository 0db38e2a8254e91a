"""Whatever a file holds, its reader returns or raises UserError: no other exception."""

from __future__ import annotations

import copy
import gzip
import io
import json
import math
import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from quick import quick_search
from safetensors.numpy import save

import bbnas
from bbnas.ablations.ablation import load_ablation
from bbnas.bench.sampler.table import read_table
from bbnas.data.reading import read_image
from bbnas.design import Design
from bbnas.engine import compile_network, read_program
from bbnas.engine.file import to_bytes
from bbnas.errors import UserError
from bbnas.inference import load_checkpoint
from bbnas.inference.checkpoint import HEADER
from bbnas.paper.scores import read_scores
from bbnas.protocol import PROTOCOLS, load_protocol
from bbnas.recipe import Recipe
from bbnas.schema import parse_yaml
from bbnas.space import load_space
from bbnas.store import open_study
from tests.engine.fuzz import mutate as mutate_program

ROOT = Path(__file__).parents[1]
TASK = bbnas.get_task("sr2")
DESIGN = bbnas.load_design("bbcu-m", TASK).replace(width=8, depth=1)
RECIPE = Recipe(task="sr2", design=DESIGN, protocol=PROTOCOLS["proxy"])

# Values that a validator may not expect: of another type, out of range, deep, not finite.
ODD: list[Any] = [
    None, True, False, 0, -1, 1, 3, 2**31, 2**63, -(2**63), 10**300, 10**5000, 0.5, -0.0, 1e308,
    math.nan, math.inf, -math.inf, "", "off", "body", "proxy", "sr4", "bbcu", "a" * 5000, "\x00",
    "\ud800", "é\n", [], [[]], {}, {"any_of": 1}, {"any_of": [[1]]}, {"any_of": ["body"]}, [None],
    [{}], ["body", "body"], {"": {}}, {"1": 1}, [1, 2], [0.5, math.nan], ["x"] * 50,
]  # fmt: skip
deep: Any = []
for _ in range(40):
    deep = [deep]
ODD.append(deep)


def odd(rng: random.Random) -> Any:
    return copy.deepcopy(rng.choice(ODD))


def places(node: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) in nested lists and dictionaries."""
    for key in list(node) if isinstance(node, dict) else range(len(node)):
        yield node, key
        if isinstance(node[key], dict | list):
            yield from places(node[key])


def mutated(content: Any, rng: random.Random) -> Any:
    """``content`` with one to three places changed: replaced, removed, doubled or added."""
    content = copy.deepcopy(content)
    for _ in range(rng.randint(1, 3)):
        if not isinstance(content, dict | list) or not content or rng.random() < 0.02:
            return odd(rng)
        node, key = rng.choice(list(places(content)))
        match rng.randrange(5):
            case 0:
                del node[key]
            case 1 if isinstance(node, list):
                node.insert(key, odd(rng))
            case 1:
                node[rng.choice(["x", "", *map(str, node)])] = odd(rng)
            case _:
                node[key] = odd(rng)
    return content


def damaged(content: bytes, rng: random.Random) -> bytes:
    """``content`` with bytes changed, removed or added."""
    found = bytearray(content)
    for _ in range(rng.randint(1, 8)):
        at = rng.randrange(len(found) + 1)
        match rng.randrange(4):
            case 0:
                del found[at:]
            case 1:
                found[at:at] = rng.randbytes(rng.randrange(9))
            case _:
                found[at : at + 1] = rng.randbytes(1)
    return bytes(found)


def as_yaml(content: Any) -> bytes:
    try:
        return yaml.safe_dump(content, allow_unicode=True).encode()
    except (ValueError, UnicodeEncodeError, yaml.YAMLError):  # more digits than str() writes
        return b"a: " + b"1" * 6000


def as_json(content: Any) -> bytes:
    try:
        return json.dumps(content).encode()
    except ValueError:  # as above
        return b"[" + b"1" * 6000 + b"]"


def yaml_of(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text("utf-8"))


def tensors(header: bytes) -> bytes:
    """A safetensors file of the header's JSON, and of the data that the network's has."""
    return len(header).to_bytes(8, "little") + header + bytes(4096)


def checkpoint() -> dict[str, Any]:
    network = bbnas.build(PROTOCOLS["proxy"].trained(DESIGN), TASK)
    info = {
        "recipe": RECIPE.model_dump(mode="json"),
        "format": 1,
        "iteration": 1,
        "data": "f" * 16,
        "environment": {"cpu": "x"},
    }
    state = {f"network.{name}": t.numpy() for name, t in network.state_dict().items()}
    content = save(state, {HEADER: json.dumps(info)})
    return {"state": state, "info": info, "content": content}


SCORES = {
    "format": 1,
    "checkpoint": "best.safetensors",
    "design": DESIGN.to_dict(),
    "task": "sr2",
    "protocol": PROTOCOLS["proxy"].model_dump(mode="json"),
    "iteration": 1,
    "data": "f" * 16,
    "environment": {},
    "benchmarks": {"Set5": {"psnr": 30.0, "ssim": 0.9, "images": 5, "date": "2026-11-26"}},
}


def pictures() -> list[bytes]:
    found = []
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 7, 3), np.uint8))
    for kind in ("PNG", "JPEG", "WEBP", "BMP", "TIFF"):
        for mode in ("RGB", "L", "P"):
            if (kind, mode) == ("JPEG", "P"):  # it has no palettes
                continue
            content = io.BytesIO()
            image.convert(mode).save(content, kind)
            found.append(content.getvalue())
    return found


def program() -> bytes:
    return to_bytes(compile_network(bbnas.build(DESIGN, TASK).eval(), TASK))


# Each reader: the name of its file, what it calls, and a maker of contents from a generator.
Reader = tuple[str, Callable[[Path], object], Callable[[random.Random], bytes]]


def _yaml_reader(read: Callable[[Path], object], content: Any) -> Reader:
    def make(rng: random.Random) -> bytes:
        if rng.random() < 0.2:
            return damaged(as_yaml(content), rng)
        return as_yaml(mutated(content, rng))

    return "x.yaml", read, make


def _json_reader(name: str, read: Callable[[Path], object], content: Any) -> Reader:
    def make(rng: random.Random) -> bytes:
        if rng.random() < 0.2:
            return damaged(as_json(content), rng)
        return as_json(mutated(content, rng))

    return name, read, make


def _checkpoint_reader() -> Reader:
    made = checkpoint()

    def make(rng: random.Random) -> bytes:
        if rng.random() < 0.3:
            return damaged(made["content"][:400], rng) + made["content"][400:]
        if rng.random() < 0.5:
            size = int.from_bytes(made["content"][:8], "little")
            header = json.loads(made["content"][8 : 8 + size])
            text = as_json(mutated(header, rng))
            return len(text).to_bytes(8, "little") + text + made["content"][8 + size :]
        info = as_json(mutated(made["info"], rng)).decode()
        return bytes(save(made["state"], {HEADER: info}))

    return "x.safetensors", load_checkpoint, make


def _table_reader() -> Reader:
    file = ROOT / "bbnas" / "bench" / "sampler" / "sampler-table.json.gz"
    lines = [json.loads(line) for line in gzip.decompress(file.read_bytes()).splitlines()[:4]]

    def make(rng: random.Random) -> bytes:
        found = mutated(lines, rng)
        content = b"\n".join(map(as_json, found if isinstance(found, list) else [found]))
        packed = gzip.compress(content)
        return damaged(packed, rng) if rng.random() < 0.2 else packed

    return "x.json.gz", read_table, make


def _program_reader() -> Reader:
    content = program()

    def make(rng: random.Random) -> bytes:
        if rng.random() < 0.2:
            return damaged(content, rng)
        return mutate_program(content, np.random.default_rng(rng.randrange(2**32)))

    return "x.bbn", read_program, make


def _image_reader() -> Reader:
    made = pictures()
    return "x.png", read_image, lambda rng: damaged(rng.choice(made), rng)


READERS: dict[str, Callable[[], Reader]] = {
    "design": lambda: _yaml_reader(Design.from_yaml, DESIGN.to_dict()),
    "recipe": lambda: _yaml_reader(Recipe.from_yaml, RECIPE.model_dump(mode="json")),
    "space": lambda: _yaml_reader(
        lambda path: load_space(path, TASK), yaml_of("search_spaces/bbcu.yaml")
    ),
    "protocol": lambda: _yaml_reader(load_protocol, PROTOCOLS["proxy"].model_dump(mode="json")),
    "ablation": lambda: _yaml_reader(load_ablation, yaml_of("bbnas/ablations/table4_units.yaml")),
    "scores": lambda: _json_reader("x.scores.json", read_scores, SCORES),
    "checkpoint": _checkpoint_reader,
    "table": _table_reader,
    "program": _program_reader,
    "image": _image_reader,
}


@pytest.fixture(scope="module")
def readers() -> dict[str, Reader]:
    return {name: make() for name, make in READERS.items()}


@pytest.mark.parametrize("name", READERS)
@settings(max_examples=80)
@given(seed=st.integers(0, 2**32))
def test_a_damaged_file_is_read_or_refused(
    name: str, readers: dict[str, Reader], tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    file, read, make = readers[name]
    path = tmp_path_factory.getbasetemp() / f"{name}-{file}"
    path.write_bytes(make(random.Random(seed)))
    refuses(lambda: read(path), str(path))


@pytest.mark.parametrize("name", READERS)
@settings(max_examples=50)
@given(content=st.binary(max_size=200) | st.text(max_size=200).map(lambda t: t.encode()))
def test_any_bytes_are_read_or_refused(
    name: str,
    readers: dict[str, Reader],
    tmp_path_factory: pytest.TempPathFactory,
    content: bytes,
) -> None:
    file, read, _ = readers[name]
    path = tmp_path_factory.getbasetemp() / f"{name}-{file}"
    path.write_bytes(content)
    refuses(lambda: read(path), str(path))


TOKENS = ["{", "}", "[", "]", ":", "- ", ", ", "\n", "  ", "&a ", "*a", "<<: ", "!!int ", "!!set ",
          "!!omap ", "!!binary ", "!!timestamp ", "? ", "'", '"', "|", ">", "---\n", "%YAML 1.2\n",
          "a", "1", "2026-13-45", "1:99", "0x", "1e", ".inf", "~", "=", "#", "\t"]  # fmt: skip


@settings(max_examples=500)
@given(st.lists(st.sampled_from(TOKENS), max_size=25).map("".join))
def test_any_yaml_is_read_or_refused(text: str) -> None:
    refuses(lambda: parse_yaml(text, "x"), "x")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    quick_search(folder, 3)
    with sqlite3.connect(folder / "quick.db") as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("PRAGMA journal_mode=DELETE")
    connection.close()
    return folder / "quick.db"


JSON_COLUMNS = [
    ("bbnas_studies", "config"),
    ("bbnas_evaluations", "design"),
    ("bbnas_evaluations", "protocol"),
    ("bbnas_evaluations", "curve"),
    ("bbnas_evaluations", "rungs"),
    ("bbnas_evaluations", "environment"),
    ("bbnas_evaluations", "task"),
    ("bbnas_evaluations", "status"),
    ("bbnas_evaluations", "psnr"),
    ("bbnas_candidates", "notes"),
]


@settings(max_examples=80)
@given(seed=st.integers(0, 2**32))
def test_a_damaged_study_is_read_or_refused(study: Path, seed: int) -> None:
    rng = random.Random(seed)
    path = study.with_name("damaged.db")
    if rng.random() < 0.2:
        path.write_bytes(damaged(study.read_bytes(), rng))
    else:
        shutil.copyfile(study, path)
        table, column = rng.choice(JSON_COLUMNS)
        with sqlite3.connect(path) as connection:
            (text,) = connection.execute(f"SELECT {column} FROM {table}").fetchone()  # noqa: S608
            try:
                changed = as_json(mutated(json.loads(text), rng)).decode()
            except (TypeError, ValueError):
                changed = rng.choice(["", "x", "nan"])
            if rng.random() < 0.2:
                changed = changed[: len(changed) // 2]
            connection.execute(f"UPDATE {table} SET {column} = ?", (changed,))  # noqa: S608
        connection.close()
    refuses(lambda: open_study(str(path)), str(path))


def refuses(read: Callable[[], object], where: str) -> None:
    """Calls ``read``, which may refuse in one line that names the file."""
    try:
        read()
    except UserError as error:
        message = str(error)
        assert where in message
        assert len(message) < len(where) + 1000
