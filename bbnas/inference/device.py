"""The device that a network runs on."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bbnas.errors import UserError

if TYPE_CHECKING:
    import torch


def resolve_device(name: str | torch.device = "auto") -> torch.device:
    """The device named ``auto`` (CUDA if there is any), ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        UserError: another name, or a CUDA device that this machine does not have.
    """
    import torch

    text = str(name)
    check_device(text)
    if text == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    if text == "cpu":
        return torch.device("cpu")
    number, count = int(text.partition(":")[2] or 0), torch.cuda.device_count()
    if not torch.cuda.is_available() or number >= count:
        raise UserError(
            f"device {text!r} is not there (CUDA devices found: {count}); use --device auto or cpu"
        )
    return torch.device("cuda", number)


def workers_device(name: str = "auto") -> str:
    """The device of several workers: ``cpu``, ``cuda:N``, or ``cuda`` for all GPUs together.

    Raises:
        UserError: as :func:`resolve_device`.
    """
    place = resolve_device(name)
    return str(place) if place.type == "cpu" or ":" in name else place.type


def gpus_of(name: str) -> tuple[int, ...]:
    """The numbers of the GPUs that workers on this device share; none for a CPU."""
    import torch

    place = workers_device(name)
    if place == "cuda":
        return tuple(range(torch.cuda.device_count()))
    return () if place == "cpu" else (int(place.partition(":")[2]),)


def check_device(name: str) -> None:
    """Raises UserError for a name that :func:`resolve_device` does not know. Imports no torch."""
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", name):
        raise UserError(f"unknown device {name!r}: choose auto, cpu, cuda or cuda:N")
