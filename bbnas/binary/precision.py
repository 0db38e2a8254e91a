"""The precision of a training: the type in which its convolutions multiply.

Convolutions alone are cheaper in fewer bits, so they alone are reduced. Weights, Adam, the
residual stream, thresholds, sgn, activations, normalisation and loss are float32. (torch.autocast
would also run prelu in bfloat16, and with it the stream that sgn compares.) A convolution of
signs stays exact: ±1 and sums of at most ``EXACT`` of them are whole numbers in float16.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
import torch.nn.functional as F
from torch import Tensor

from bbnas.errors import UserError

# The largest whole number up to which float16 has them all; bfloat16 ends at 256.
EXACT = 2048

_reduced: ContextVar[bool] = ContextVar("reduced", default=False)


def precision_on(device: torch.device, asked: str) -> str:
    """What convolutions multiply in where a protocol asks for ``fp32`` or ``bf16``.

    ``fp32`` is ``tf32`` on a GPU that has it: float32 with the 10 bits of float16's mantissa,
    sums in float32.

    Raises:
        UserError: the GPU has no bfloat16.
    """
    if device.type != "cuda":
        return asked
    modern = torch.cuda.get_device_capability(device) >= (8, 0)  # both come with Ampere
    if asked == "bf16" and not modern:
        raise UserError(
            f"precision bf16: {torch.cuda.get_device_name(device)} has no bfloat16; use "
            "precision: fp32 in the protocol"
        )
    return "tf32" if asked == "fp32" and modern else asked


@contextmanager
def computing_in(precision: str, *, one_shape: bool = False) -> Iterator[None]:
    """Convolve in ``fp32``, ``tf32`` or ``bf16`` within the block, forward and backward.

    ``one_shape``: all batches have one shape, so that cuDNN's search for the fastest algorithm
    pays. Outside such a block torch decides; by its default a GPU convolves in TF32.
    """
    token = _reduced.set(precision == "bf16")
    try:
        with torch.backends.cudnn.flags(
            enabled=torch.backends.cudnn.enabled,
            benchmark=one_shape,
            deterministic=torch.backends.cudnn.deterministic,
            allow_tf32=precision != "fp32",
        ):
            yield
    finally:
        _reduced.reset(token)


def reduced() -> bool:
    """Whether convolutions are to multiply in 16 bits."""
    return _reduced.get()


def conv2d(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The 3×3 or 1×1 convolution x ⊛ weight + bias, zero-padded: float32, whatever it multiplies
    in.
    """
    edge = weight.shape[-1] // 2
    if not reduced():
        return F.conv2d(x, weight, bias, padding=edge)
    y = F.conv2d(x.bfloat16(), weight.bfloat16(), padding=edge).float()
    return y if bias is None else y + bias.view(1, -1, 1, 1)


def conv2d_of_signs(xb: Tensor, wb: Tensor) -> Tensor:
    """Xb ⊛ wb for tensors of ±1, zero-padded: exact in every precision."""
    if reduced() and wb[0].numel() <= EXACT:
        return torch.conv2d(xb.half(), wb.half(), None, 1, 1).float()
    return torch.conv2d(xb, wb, None, 1, 1)
