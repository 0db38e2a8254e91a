"""The batches of a training on its device, on a GPU made ahead of it."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable

THREAD = "bbnas-batches"  # what the name of the thread begins with
AHEAD = 2  # batches that wait for the GPU: one would do if each took as long to make


class Batches:
    """The (LQ, HQ) of ``batch_at`` for iterations below ``end``, on ``device``.

    With ``ahead``, a thread makes the next ones, so many at most, while the device computes. To a
    GPU they go from pinned memory on a stream of their own. All devices see the same values, since
    a CPU makes them: a draw, a noise or a JPEG file by numpy and Pillow, and the division by 255,
    which a GPU rounds otherwise.
    """

    def __init__(
        self,
        batch_at: Callable[[int], tuple[Tensor, Tensor]],
        device: torch.device,
        end: int,
        ahead: int = 0,
    ) -> None:
        self._batch_at, self._device, self._end, self._ahead = batch_at, device, end, ahead
        self._pool = ThreadPoolExecutor(1, THREAD) if ahead else None
        self._stream: torch.cuda.Stream | None = None
        if ahead and device.type == "cuda":
            self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._waiting: deque[tuple[int, Future[_Sent]]] = deque()

    def at(self, iteration: int) -> tuple[Tensor, Tensor]:
        """The batch of ``iteration``, and then quickly those that follow it."""
        if self._pool is None:
            lq, hq, _ = self._sent(iteration)
            return lq, hq
        if self._waiting and self._waiting[0][0] != iteration:
            self._waiting.clear()  # the training has been put elsewhere
        for later in range(
            iteration + len(self._waiting), min(iteration + 1 + self._ahead, self._end)
        ):
            self._waiting.append((later, self._pool.submit(self._sent, later)))
        lq, hq, copied = self._waiting.popleft()[1].result()
        if copied is not None:
            here = torch.cuda.current_stream(self._device)
            here.wait_event(copied)
            for tensor in (lq, hq):
                tensor.record_stream(here)  # not given away before the step has read it
        return lq, hq

    def _sent(self, iteration: int) -> _Sent:
        lq, hq = self._batch_at(iteration)
        if self._stream is None:
            return _Sent(lq.to(self._device), hq.to(self._device), None)
        with torch.cuda.stream(self._stream):
            lq, hq = (t.pin_memory().to(self._device, non_blocking=True) for t in (lq, hq))
            return _Sent(lq, hq, self._stream.record_event())


class _Sent(NamedTuple):
    """A batch on its way to the device, and the event at which it is there."""

    lq: Tensor
    hq: Tensor
    copied: torch.cuda.Event | None
