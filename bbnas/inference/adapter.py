"""Models of torch as models of images: tiling works on arrays, which packed models take too."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from bbnas.binary.precision import computing_in
from bbnas.errors import UserError
from bbnas.tiling import Restorer

if TYPE_CHECKING:
    from numpy.typing import NDArray


def on_arrays(
    model: Callable[[Tensor], Tensor],
    scale: int,
    reach: int | None,
    device: str | torch.device = "cpu",
    step: int = 1,
) -> Restorer:
    """A model that maps an LQ tensor (1, C, h, w), float32 in 0..1, to (1, C, s·h, s·w).

    A ``torch.nn.Module`` is moved to ``device`` and put into evaluation mode. ``reach`` and
    ``step`` are those of :class:`bbnas.tiling.Restorer`.

    ``run`` raises UserError for an image that the model cannot take, and for an output that is no
    tensor of the right shape.
    """
    place = torch.device(device)
    if isinstance(model, nn.Module):
        model.to(place).eval()

    def run(image: NDArray[Any]) -> NDArray[np.float32]:
        output = _run(model, scale, _to_tensor(image, place))
        return np.asarray(output[0].permute(1, 2, 0).float().cpu().numpy())

    return Restorer(run, scale, reach, step)


@torch.inference_mode()
def _run(model: Callable[[Tensor], Tensor], scale: int, lq: Tensor) -> Tensor:
    try:
        with computing_in("fp32"):  # on a GPU too: a score is that of the network as it is run
            output = model(lq)
    except RuntimeError as error:  # torch raises it for sizes that do not fit
        if "memory" in str(error):
            raise
        reason = " ".join(str(error).split())
        raise UserError(
            f"the model cannot take an image of {tuple(lq.shape)}: {reason}"
        ) from error
    shape = (*lq.shape[:2], lq.shape[2] * scale, lq.shape[3] * scale)
    if not isinstance(output, Tensor) or output.shape != shape:
        got = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise UserError(
            f"the model makes {got} of {tuple(lq.shape)}: it must return a tensor of {shape}"
        )
    return output.detach()


def _to_tensor(image: NDArray[Any], device: torch.device) -> Tensor:
    planes = torch.from_numpy(image.transpose(2, 0, 1).copy())
    values = planes.unsqueeze(0).to(device).float()
    return values.div_(255) if image.dtype == np.uint8 else values
