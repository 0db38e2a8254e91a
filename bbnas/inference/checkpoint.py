"""Checkpoints: safetensors files that carry the recipe they were trained by in their header."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from bbnas.errors import UserError
from bbnas.files import write_atomically
from bbnas.networks import RestorationNetwork, build
from bbnas.recipe import Recipe
from bbnas.schema import Value
from bbnas.tasks import get_task

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from bbnas.training.loop import Training

FORMAT = 1
HEADER = "bbnas"  # one key: safetensors writes several in any order, and equal runs equal bytes
WEIGHTS, MEAN, SQUARE = "network.", "adam.mean", "adam.square"


class CheckpointInfo(Value):
    """What a checkpoint says of itself.

    ``psnr`` and ``ssim`` are those of the last validation at or before ``iteration``,
    ``best_psnr`` the best until then; None before the first. ``data`` is the fingerprint of the
    images trained on.
    """

    format: int = FORMAT
    recipe: Recipe
    iteration: int
    psnr: float | None = None
    ssim: float | None = None
    best_psnr: float | None = None
    data: str
    environment: dict[str, str]


def save_checkpoint(path: Path, training: Training, info: CheckpointInfo, state: bool) -> None:
    """Write the network, and with ``state`` Adam's moments, in one atomic step.

    Raises:
        OSError: the file cannot be written; one that was there before is intact.
    """
    tensors = {f"{WEIGHTS}{n}": t for n, t in training.network.state_dict().items()}
    if state:
        tensors |= {MEAN: training.adam.mean, SQUARE: training.adam.square}
    header = {HEADER: json.dumps(info.model_dump(mode="json"), sort_keys=True)}
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_atomically(path, save(plain, header))


def load_checkpoint(path: str | Path) -> tuple[RestorationNetwork, CheckpointInfo]:
    """The network of a checkpoint, on the CPU in evaluation mode, and what it says of itself.

    Raises:
        UserError: the file is missing, truncated, not a checkpoint of bbnas or of a newer one.
    """
    info, tensors = _read(Path(path))
    network = _network(Path(path), info, tensors)
    return network.eval(), info


def read_info(path: Path) -> CheckpointInfo:
    """What a checkpoint says of itself. Raises UserError as :func:`load_checkpoint`."""
    return _read(path)[0]


def load_state(path: Path, training: Training) -> CheckpointInfo:
    """Put the weights, Adam's moments and the iteration of a checkpoint into ``training``.

    Raises:
        UserError: as :func:`load_checkpoint`; or it holds weights only.
    """
    info, tensors = _read(path)
    if not {MEAN, SQUARE} <= tensors.keys():
        raise UserError(f"{path}: holds no training state to resume; use last.safetensors")
    _load_weights(path, training.network, tensors)
    training.adam.mean.copy_(tensors[MEAN])
    training.adam.square.copy_(tensors[SQUARE])
    training.iteration = info.iteration
    return info


def _network(
    path: Path, info: CheckpointInfo, tensors: Mapping[str, Tensor]
) -> RestorationNetwork:
    with torch.random.fork_rng(devices=[]):
        design = info.recipe.protocol.trained(info.recipe.design)
        network = build(design, get_task(info.recipe.task))
    _load_weights(path, network, tensors)
    return network


def _load_weights(path: Path, network: torch.nn.Module, tensors: Mapping[str, Tensor]) -> None:
    weights = {n.removeprefix(WEIGHTS): t for n, t in tensors.items() if n.startswith(WEIGHTS)}
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise UserError(
            f"{path}: its weights do not fit the design in its header; export or train it again"
        ) from error


def _read(path: Path) -> tuple[CheckpointInfo, dict[str, Tensor]]:
    if path.is_dir():
        raise UserError(f"{path} is a folder: name a file in it, such as best.safetensors")
    if not path.exists():
        raise UserError(f"{path}: no such checkpoint; check the path")
    if path.suffix == ".bbn":
        raise UserError(f"{path} is a packed model: name the checkpoint that it was packed from")
    try:
        with safe_open(path, framework="pt") as file:
            header: Any = json.loads((file.metadata() or {}).get(HEADER, "null"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(
            f"{path}: truncated or not a checkpoint ({' '.join(str(error).split())}); "
            "use another copy or an earlier checkpoint"
        ) from error
    if not isinstance(header, dict):
        raise UserError(f"{path}: not a checkpoint of bbnas; use one that bbnas train wrote")
    if not isinstance(header.get("format"), int) or header["format"] > FORMAT:
        raise UserError(
            f"{path}: checkpoint format {header.get('format')} is newer than this bbnas reads "
            f"({FORMAT}); upgrade bbnas"
        )
    try:
        return CheckpointInfo.model_validate(header), tensors
    except ValidationError as error:
        raise UserError(f"{path}: its header is damaged; use another copy") from error


def disk_message(error: OSError, path: Path) -> str:
    """What went wrong in writing, and the remedy: a full disk first of all."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{path}: the disk is full; make room"
    return f"{path}: cannot be written ({error.strerror or error}); check the folder"
