"""Tensor files: safetensors with one JSON value in the header."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from bbnas.files import write_atomically
from bbnas.text import from_json

WEIGHTS = "network."  # what the names of a network's tensors begin with


def write_tensors(
    path: Path, tensors: Mapping[str, Tensor], key: str, content: Mapping[str, Any]
) -> None:
    """Write ``tensors``, and ``content`` as JSON under the header's only entry ``key``.

    Equal arguments give equal bytes: safetensors orders several entries at random, so there is
    one. The file is replaced in one atomic step.

    Raises:
        OSError: the file cannot be written; an earlier file of that name is intact.
    """
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_atomically(path, save(plain, {key: json.dumps(content, sort_keys=True)}))


def read_tensors(path: Path, key: str = "") -> tuple[Any, dict[str, Tensor]]:
    """The JSON value of the header's entry ``key`` (None if it has none), and all tensors.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is truncated, or not a safetensors file.
    """
    try:
        with safe_open(path, framework="pt") as file:
            content = from_json((file.metadata() or {}).get(key, "null"))
            return content, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(str(error)) from error


def weights_of(tensors: Mapping[str, Tensor], prefix: str = WEIGHTS) -> dict[str, Tensor]:
    """A network's tensors under the names that its ``state_dict`` has for them."""
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
