"""Trainings that a search stopped at a rung: kept as files, so that they can go on.

A training is deterministic, so a lost file costs time and nothing else.
"""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from bbnas.files import write_atomically
from bbnas.inference.checkpoint import MEAN, SQUARE, WEIGHTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from torch import Tensor

    from bbnas.design import Design
    from bbnas.protocol import Protocol
    from bbnas.tasks import Task
    from bbnas.training.loop import Training

HEADER = "bbnas-paused"
_log = logging.getLogger(__name__)


Pairs = tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class Progress:
    """What an evaluation has found by the iteration at which it was paused."""

    curve: Pairs = ()
    rungs: Pairs = ()
    seconds: float = 0.0


def paused_file(folder: Path, design: Design, task: Task, protocol: Protocol, data: str) -> Path:
    """Where the training of ``design`` under these circumstances is kept."""
    return folder / f"{design.key}-{task.name}-{protocol.key}-{data[:12]}.safetensors"


def pause(path: Path, training: Training, progress: Progress) -> None:
    """Keep weights, Adam's moments, the iteration and ``progress``; a full disk is no error."""
    tensors = {f"{WEIGHTS}{n}": t for n, t in training.network.state_dict().items()}
    tensors |= {MEAN: training.adam.mean, SQUARE: training.adam.square}
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    header = {HEADER: json.dumps({"iteration": training.iteration} | asdict(progress))}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, save(plain, header))
    except OSError as error:
        _log.warning("%s cannot be written (%s): going on would start anew", path, error.strerror)


def go_on(path: Path, training: Training) -> Progress:
    """Put a paused state into ``training``; a fresh Progress where there is none that fits."""
    try:
        with safe_open(path, framework="pt") as file:
            content = json.loads((file.metadata() or {})[HEADER])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        weights = {n.removeprefix(WEIGHTS): t for n, t in tensors.items() if n.startswith(WEIGHTS)}
        moments = tensors[MEAN], tensors[SQUARE]
        iteration = int(content.pop("iteration"))
        curve, rungs = (_pairs(content.pop(name)) for name in ("curve", "rungs"))
        progress = Progress(curve, rungs, float(content["seconds"]))
        fits = _shapes(weights) == _shapes(training.network.state_dict())
        if not fits or any(m.shape != training.adam.mean.shape for m in moments):
            raise ValueError("it is of another network")
    except FileNotFoundError:
        return Progress()
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        _log.warning("%s is damaged (%s): this training starts anew", path, error)
        return Progress()
    training.network.load_state_dict(weights)
    training.adam.mean.copy_(moments[0])
    training.adam.square.copy_(moments[1])
    training.iteration = iteration
    return progress


def _pairs(values: Iterable[tuple[int, float]]) -> Pairs:
    return tuple((int(step), float(value)) for step, value in values)


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}
