"""A training step as a CUDA graph: recorded once, launched as one."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

if TYPE_CHECKING:
    from bbnas.binary import Stage
    from bbnas.binary.estimators import Progress

_log = logging.getLogger(__name__)
# Steps before the recording, in which cuDNN chooses its algorithms and libraries allocate.
EAGER = 3


class Now(NamedTuple):
    """What a step depends on beside the state and the batch.

    e/E, the learning rate, and the number of the step, counted from 1, are numbers, or tensors ()
    of float32 on the device, whose values a graph reads anew. ``stage`` says what is 1-bit
    (``bbnas.binary.Stage``).
    """

    progress: Progress
    learning_rate: float | Tensor
    number: float | Tensor
    stage: Stage = "both"


Step = Callable[[Tensor, Tensor, Now], Tensor]


class GraphedStep:
    """Calls a step of a training; from the fourth call of a stage on it replays its graph.

    A step of a small network is a thousand kernels of some microseconds each, which Python
    launches more slowly than a GPU runs them. The graph has its input at fixed addresses, into
    which each call copies batch and numbers. A step that cannot be recorded is called as it is.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._input: tuple[Tensor, ...] = ()
        self._graph: torch.cuda.CUDAGraph | None = None
        self._loss: Tensor | None = None
        self._calls = 0
        self._stage: Stage = "both"
        self.refused = ""  # why there is no graph, if it could not be recorded

    def __call__(self, step: Step, lq: Tensor, hq: Tensor, now: Now) -> Tensor:
        """The loss of the step, (); valid until the next call."""
        *numbers, stage = now
        if not self._input:
            places = (torch.zeros((), device=self._device) for _ in numbers)
            self._input = lq.clone(), hq.clone(), *places
        if stage != self._stage:  # the network computes something else
            self._stage, self._graph, self._calls = stage, None, 0
        for fixed, given in zip(self._input, (lq, hq, *numbers), strict=True):
            # A number is filled in by a kernel: no copy from the host's memory to wait for.
            fixed.copy_(given) if isinstance(given, Tensor) else fixed.fill_(given)
        self._calls += 1
        if self._calls > EAGER and self._graph is None and not self.refused:
            self._record(step)
        if self._graph is None or self._loss is None:
            return self._eager(step)
        self._graph.replay()
        return self._loss

    def _step(self, step: Step) -> Tensor:
        lq, hq, progress, rate, number = self._input
        return step(lq, hq, Now(progress, rate, number, self._stage))

    def _eager(self, step: Step) -> Tensor:
        # On another stream than the default one, as the recording will be.
        here = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(here)
        with torch.cuda.stream(self._stream):
            loss = self._step(step)
        here.wait_stream(self._stream)
        return loss

    def _record(self, step: Step) -> None:
        """Record the step; nothing of it is computed."""
        graph = torch.cuda.CUDAGraph()
        try:
            # The thread that makes batches goes on meanwhile.
            with torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
                self._loss = self._step(step)
        except RuntimeError as error:
            self.refused = " ".join(str(error).split())
            _log.warning("steps are launched one by one: no CUDA graph (%s)", self.refused)
        else:
            self._graph = graph
