"""Others' checkpoints become checkpoints of bbnas."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from bbnas.design import Design
from bbnas.errors import UserError, class_of, short, why
from bbnas.files import disk_message
from bbnas.formats import IMPORT, SAFETENSORS, TORCH, other_format, recognise
from bbnas.inference.checkpoint import HEADER, CheckpointInfo
from bbnas.inference.foreign import FOREIGN, ForeignNetwork, names
from bbnas.inference.tensors import WEIGHTS, read_tensors, write_tensors
from bbnas.networks import RestorationNetwork, build
from bbnas.presets import load_design, presets
from bbnas.recipe import Recipe
from bbnas.tasks import Task

if TYPE_CHECKING:
    from torch import Tensor

# The entries that hold the state dict where a file has more than it. Of BasicSR's two the moving
# average comes first: its weights are those that a training with it is scored by.
ENTRIES = ("params_ema", "params", "state_dict")
# BatchNorm counts its batches, and no network reads the count.
COUNTER = "num_batches_tracked"
UNKNOWN = "unknown"  # the training images of others


def import_checkpoint(
    path: str | Path, preset: str | Path, task: Task, output: str | Path
) -> CheckpointInfo:
    """Write the checkpoint ``output`` from another code's state dict; its header.

    ``path`` is a file of torch.save or a safetensors file, ``preset`` the name of a preset or a
    design's YAML file. Width and depth are those of the tensors. No object is unpickled.

    Raises:
        UserError: the file cannot be read or does not fit: the first name that differs is told.
    """
    path, output = Path(path), Path(output)
    design = load_design(preset, task)
    candidates = [foreign for foreign in FOREIGN if foreign.takes(design, task)]
    if not candidates:
        known = [n for n, d in presets(task).items() if any(f.takes(d, task) for f in FOREIGN)]
        raise UserError(
            f"--as {preset}: no other code is known whose network for {task.name} is of this "
            f"design; choose from {', '.join(known)}"
        )
    if output.exists() and output.samefile(path):
        raise UserError(f"{output} is the file that is read: name another with -o")
    entry, state = read_state(path)
    fits = [_fitted(foreign, state, design, task, path) for foreign in candidates]
    network, foreign = min(fits, key=lambda fit: len(names(fit[1].pairs(fit[0])) ^ state.keys()))
    _fill(network, foreign, state, f"{path} is not {preset} for {task.name}")

    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    info = CheckpointInfo(
        recipe=Recipe(task=task.name, design=network.design),
        iteration=0,
        data=UNKNOWN,
        environment={},
        origin=f"{foreign.title}: {entry}{path.name} (SHA-256 {digest[:12]})",
    )
    tensors = {f"{WEIGHTS}{name}": tensor for name, tensor in network.state_dict().items()}
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        write_tensors(output, tensors, HEADER, info.model_dump(mode="json"))
    except OSError as error:
        raise UserError(disk_message(error, output)) from error
    return info


def read_state(path: Path) -> tuple[str, dict[str, Tensor]]:
    """The state dict of a file, without the counters of BatchNorm; before it ``"ENTRY of "`` if
    the file has it in an entry.

    Raises:
        UserError: there is none, or the file is damaged or holds other objects.
    """
    content = _read(path)
    entry = next((n for n in ENTRIES if isinstance(content, Mapping) and n in content), "")
    state = content[entry] if entry else content
    if not isinstance(state, Mapping) or not state:
        raise UserError(f"{path}: holds {class_of(state)} and no state dict; {_SAVE}")
    for name, tensor in state.items():
        if not isinstance(name, str) or not isinstance(tensor, torch.Tensor):
            raise UserError(f"{path}: {short(name)} is {class_of(tensor)}, no tensor; {_SAVE}")
    if all(name.startswith("module.") for name in state):  # DataParallel's
        state = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    kept = {name: tensor for name, tensor in state.items() if not name.endswith(COUNTER)}
    return f"{entry} of " if entry else "", kept


_SAVE = "save the weights alone by torch.save(model.state_dict(), FILE)"


def _read(path: Path) -> Any:
    found = recognise(path)
    if found == SAFETENSORS:
        try:
            header, tensors = read_tensors(path, HEADER)
        except (OSError, ValueError) as error:
            raise UserError(f"{path}: truncated ({why(error)}); use another copy") from error
        if header is not None:
            raise UserError(f"{path} is a checkpoint of bbnas already: use it as it is")
        return tensors
    if found != TORCH:
        raise other_format(path, TORCH, IMPORT) or UserError(
            f"{path}: neither a PyTorch checkpoint nor a safetensors file; {_SAVE}"
        )
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{path}: holds other objects than tensors, which may run code when they are read; "
            f"{_SAVE}"
        ) from error
    except Exception as error:  # whatever a damaged archive makes torch raise
        raise UserError(f"{path}: damaged ({why(error)}); use another copy") from error


def _fitted(
    foreign: ForeignNetwork, state: dict[str, Tensor], design: Design, task: Task, path: Path
) -> tuple[RestorationNetwork, ForeignNetwork]:
    """The network of ``design`` at the width and depth that the state dict has by the names of
    ``foreign``.
    """
    size = {"depth": foreign.depth(state)}
    head = state.get(foreign.head[0].theirs)
    if head is not None and head.ndim == 4:
        size["width"] = len(head)
    content = design.to_dict() | size
    with torch.random.fork_rng(devices=[]):
        return build(Design.from_dict(content, path), task), foreign


def _fill(
    network: RestorationNetwork, foreign: ForeignNetwork, state: dict[str, Tensor], unfit: str
) -> None:
    """Set the network's tensors; ``unfit`` begins the error.

    Raises:
        UserError: the first name, in the network's order, that is missing, of another shape or
            type, or too many.
    """

    def fault(name: str, what: str) -> UserError:
        return UserError(
            f"{unfit}: {name} {what} by the names of {foreign.title}; give --as and --task of the "
            "network that the file holds"
        )

    def check(name: str, shape: Sequence[int]) -> None:
        tensor = state.get(name)
        if tensor is None:
            raise fault(name, f"is missing, it must be {tuple(shape)}")
        if tuple(tensor.shape) != tuple(shape):
            raise fault(name, f"is {tuple(tensor.shape)} and must be {tuple(shape)}")
        if not tensor.is_floating_point() or tensor.layout != torch.strided:
            raise fault(name, f"is of {tensor.dtype}, {tensor.layout}, and must be dense floats")

    ours, pairs = network.state_dict(), foreign.pairs(network)
    for pair in pairs:
        if pair.theirs:
            check(pair.theirs, pair.shape(ours[pair.ours]))
        if pair.folded:
            check(pair.folded, ours[pair.ours].shape)
    known = names(pairs)
    for name, tensor in state.items():
        if name not in known:
            raise fault(short(name), f"{tuple(tensor.shape)} is too many")
    network.load_state_dict(
        {pair.ours: pair.read(state, ours[pair.ours]) for pair in pairs}, strict=False
    )
