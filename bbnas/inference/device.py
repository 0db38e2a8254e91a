"""The device that a network runs on."""

from __future__ import annotations

import re

import torch

from bbnas.errors import UserError


def resolve_device(name: str | torch.device = "auto") -> torch.device:
    """The device named ``auto`` (CUDA if there is any), ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        UserError: another name, or a CUDA device that this machine does not have.
    """
    text = str(name)
    if text == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    match = re.fullmatch(r"cpu|cuda(?::(\d+))?", text)
    if match is None:
        raise UserError(f"unknown device {text!r}: choose auto, cpu, cuda or cuda:N")
    if text == "cpu":
        return torch.device("cpu")
    number, count = int(match[1] or 0), torch.cuda.device_count()
    if not torch.cuda.is_available() or number >= count:
        raise UserError(
            f"device {text!r} is not there (CUDA devices found: {count}); use --device auto or cpu"
        )
    return torch.device("cuda", number)
