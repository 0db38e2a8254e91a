"""The state of a training as a file: checkpoints, and trainings that a search has paused.

Both are the tensors of :meth:`Training.state`, under another header each.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from bbnas.errors import UserError
from bbnas.inference.checkpoint import HEADER, UNFIT, CheckpointInfo, read_checkpoint
from bbnas.inference.tensors import WEIGHTS, read_tensors, write_tensors
from bbnas.training.loop import MEAN, SQUARE, Training

if TYPE_CHECKING:
    from pathlib import Path

PAUSED = "bbnas-paused"  # the header's entry of a paused training
_log = logging.getLogger(__name__)


def save_checkpoint(
    path: Path, training: Training, info: CheckpointInfo, moments: bool = True
) -> None:
    """Write the network, and with ``moments`` Adam's, in one atomic step.

    Raises:
        OSError: the file cannot be written; an earlier file of that name is intact.
    """
    state = training.state()
    if not moments:
        state = {name: tensor for name, tensor in state.items() if name.startswith(WEIGHTS)}
    write_tensors(path, state, HEADER, info.model_dump(mode="json"))


def resume_checkpoint(path: Path, training: Training) -> CheckpointInfo:
    """Put the state of a checkpoint into ``training``; its header.

    Raises:
        UserError: as :func:`bbnas.inference.load_checkpoint`; or it holds weights only.
    """
    info, tensors = read_checkpoint(path)
    if not {MEAN, SQUARE} <= tensors.keys():
        raise UserError(f"{path}: holds no training state to resume; use last.safetensors")
    try:
        training.load(tensors, info.iteration)
    except ValueError as error:
        raise UserError(f"{path}: {UNFIT}") from error
    return info


Pairs = tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class PausedEvaluation:
    """What an evaluation had measured when it was paused: the fields of an Evaluation."""

    curve: Pairs = ()
    rungs: Pairs = ()
    seconds: float = 0.0


def pause(path: Path, training: Training, paused: PausedEvaluation) -> None:
    """Write the state of ``training`` and what was measured.

    A full disk is logged and ignored: a training is deterministic, so losing the file costs time
    and nothing else.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        content = {"iteration": training.iteration} | asdict(paused)
        write_tensors(path, training.state(), PAUSED, content)
    except OSError as error:
        _log.warning(
            "%s cannot be written (%s): resuming would train from the start", path, error.strerror
        )


def resume_paused(path: Path, training: Training) -> PausedEvaluation:
    """Put a paused state into ``training``; what was measured until then.

    Without a file, or with a damaged one, ``training`` stays at its start.
    """
    try:
        content, state = read_tensors(path, PAUSED)
        curve, rungs = (_pairs(content[name]) for name in ("curve", "rungs"))
        paused = PausedEvaluation(curve, rungs, float(content["seconds"]))
        training.load(state, int(content["iteration"]))
    except FileNotFoundError:
        return PausedEvaluation()
    except (OSError, ValueError, KeyError, TypeError) as error:
        _log.warning("%s is damaged (%s): this training starts anew", path, error)
        return PausedEvaluation()
    return paused


def _pairs(values: Iterable[tuple[int, float]]) -> Pairs:
    return tuple((int(step), float(value)) for step, value in values)
