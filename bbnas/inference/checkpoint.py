"""Checkpoints, read: a network's weights in a file whose header holds the recipe they follow.

:mod:`bbnas.training.state` writes them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from pydantic import ValidationError

from bbnas.errors import UserError, short, why
from bbnas.formats import SAFETENSORS, other_format
from bbnas.inference.tensors import read_tensors, weights_of
from bbnas.networks import RestorationNetwork, build
from bbnas.recipe import Recipe
from bbnas.schema import Value
from bbnas.tasks import get_task

if TYPE_CHECKING:
    from torch import Tensor

# Version of the header and of the networks: format 2 has a LeakyReLU after a binary conv_hr, and
# biases in DnCNN-3.
FORMAT = 2
HEADER = "bbnas"  # the header's entry that holds a CheckpointInfo
TRAINED = "give a checkpoint that bbnas train wrote"
UNFIT = "its weights do not fit the design in its header; export or train it again"


class CheckpointInfo(Value):
    """The header of a checkpoint.

    ``psnr`` (dB) and ``ssim`` are those of the last validation at or before ``iteration``,
    ``best_psnr`` is the highest PSNR so far; all are None before the first validation. ``data``
    is the fingerprint of the training images. ``seconds`` is the time of the training so far, all
    sessions together.

    ``origin`` names the file of another code that the weights are imported from. There the
    protocol is the task's default, nothing was trained by it, and ``data`` is ``unknown``.
    """

    format: int = FORMAT
    recipe: Recipe
    iteration: int
    psnr: float | None = None
    ssim: float | None = None
    best_psnr: float | None = None
    data: str
    environment: dict[str, str]
    seconds: float = 0.0
    origin: str = ""


def load_checkpoint(path: str | Path) -> tuple[RestorationNetwork, CheckpointInfo]:
    """The network of a checkpoint, on the CPU in evaluation mode, and the checkpoint's header.

    Raises:
        UserError: the file is missing, truncated, not a checkpoint, or of a newer bbnas.
    """
    path = Path(path)
    info, tensors = read_checkpoint(path)
    recipe = info.recipe
    with torch.random.fork_rng(devices=[]):
        network = build(recipe.protocol.trained(recipe.design), get_task(recipe.task))
    try:
        network.load_state_dict(weights_of(tensors))
    except RuntimeError as error:
        raise UserError(f"{path}: {UNFIT}") from error
    return network.eval(), info


def read_checkpoint(path: Path) -> tuple[CheckpointInfo, dict[str, Tensor]]:
    """The header and all tensors of a checkpoint.

    Raises:
        UserError: as :func:`load_checkpoint`.
    """
    if path.is_dir():
        raise other_format(path, SAFETENSORS, TRAINED) or UserError(
            f"{path} is a folder: name a file in it, such as best.safetensors"
        )
    if not path.exists():
        raise UserError(f"{path}: no such checkpoint; check the path")
    try:
        header, tensors = read_tensors(path, HEADER)
    except (OSError, ValueError) as error:
        raise other_format(path, SAFETENSORS, TRAINED) or UserError(
            f"{path}: truncated or not a checkpoint ({why(error)}); "
            "use another copy or an earlier checkpoint"
        ) from error
    if not isinstance(header, dict):
        raise UserError(f"{path}: a safetensors file, but no checkpoint of bbnas; {TRAINED}")
    if not isinstance(header.get("format"), int) or header["format"] > FORMAT:
        raise UserError(
            f"{path}: checkpoint format {short(header.get('format'))} is newer than this bbnas "
            f"reads ({FORMAT}); upgrade bbnas"
        )
    if header["format"] < FORMAT:
        raise UserError(
            f"{path}: checkpoint format {header['format']} is of an older bbnas, whose networks "
            f"compute something else (this one reads {FORMAT}); train it again"
        )
    try:
        return CheckpointInfo.model_validate(header), tensors
    except ValidationError as error:
        raise UserError(f"{path}: its header is damaged; use another copy") from error
