"""The training loop: one for the proxy and for the paper's full schedule."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from bbnas.networks import build, calibrate
from bbnas.training.adam import Adam

if TYPE_CHECKING:
    from torch import Tensor

    from bbnas.data import Patches
    from bbnas.design import Design
    from bbnas.networks import RestorationNetwork
    from bbnas.protocol import Protocol
    from bbnas.tasks import Task


class Diverged(Exception):  # noqa: N818 - a finding about a design, not a fault
    """Training reached a loss or a weight that is not finite."""

    def __init__(self, iteration: int, what: str) -> None:
        super().__init__(f"diverged at iteration {iteration}: {what}")
        self.iteration = iteration


def learning_rate(protocol: Protocol, iteration: int) -> float:
    """The learning rate of the step with this number, counted from 0.

    ``onecycle`` is Smith's one-cycle policy as in PyTorch: a cosine from 1/25 of the peak over
    30 % of the iterations, then a cosine down to a 250,000th. ``halve`` halves the rate every
    ``halve_every`` iterations. Closed forms, so that a resumed run needs no scheduler state.
    """
    peak = protocol.learning_rate
    if protocol.schedule == "halve":
        return float(peak * 0.5 ** (iteration // protocol.halve_every))
    low, last = peak / 25, protocol.iterations - 1
    turn = max(0.0, 0.3 * protocol.iterations - 1)
    if iteration < turn:
        return _cosine(low, peak, iteration / turn)
    return _cosine(peak, low / 1e4, (iteration - turn) / max(last - turn, 1e-9))


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * min(share, 1.0)))


def initialise(design: Design, task: Task, protocol: Protocol) -> RestorationNetwork:
    """The network that ``protocol`` trains for ``design``, its weights drawn from its seed.

    The caller's random state is left as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(protocol.seed)
        return build(protocol.trained(design), task)


class Training:
    """A network on its way through a protocol: L1 loss, Adam.

    Its whole state is the weights, Adam's moments and ``iteration`` (steps done): patches, the
    learning rate and the estimator's progress follow from the iteration. On a CPU the same
    state leads to the same bits, given the same number of threads.
    """

    def __init__(
        self,
        network: RestorationNetwork,
        patches: Patches,
        protocol: Protocol,
        device: torch.device,
    ) -> None:
        self.network = network.to(device)
        self.patches = patches
        self.protocol = protocol
        self.device = device
        self.iteration = 0
        self.adam = Adam(self.network.parameters(), protocol.betas)

    @property
    def learning_rate(self) -> float:
        """That of the last step done (of the first, before it)."""
        return learning_rate(self.protocol, max(self.iteration - 1, 0))

    def advance(self, steps: int) -> float:
        """Do ``steps`` steps, at most to the end of the protocol; their mean L1 loss on 0..1.

        Raises:
            Diverged: a loss that is not finite. A GPU is asked once a call, not every step.
        """
        self.network.train()  # a validation in between leaves it in evaluation mode
        begin = self.iteration
        end = min(begin + steps, self.protocol.iterations)
        total = torch.zeros((), device=self.device)
        while self.iteration < end:
            loss = self._step()
            total += loss
            self.iteration += 1
            if self.device.type == "cpu" and not math.isfinite(loss.item()):
                break
        mean = total.item() / (self.iteration - begin)
        if not math.isfinite(mean):
            raise Diverged(self.iteration, f"the training loss is {mean}")
        if self.iteration == self.protocol.iterations:
            self.check_weights()
        return mean

    def _step(self) -> Tensor:
        lq, hq = self.patches.batch_at(self.iteration)
        lq, hq = lq.to(self.device, non_blocking=True), hq.to(self.device, non_blocking=True)
        if self.iteration == 0:
            calibrate(self.network, lq)
        self.network.set_progress(self.iteration / self.protocol.iterations)
        self.adam.zero_grad()
        loss = F.l1_loss(self.network(lq), hq)
        loss.backward()  # type: ignore[no-untyped-call]
        self.adam.step(self.iteration + 1, learning_rate(self.protocol, self.iteration))
        self.network.after_step()
        return loss.detach()

    def check_weights(self) -> None:
        """Raises Diverged for a weight that is not finite: the last step has no loss to tell."""
        for name, value in self.network.state_dict().items():
            if value.is_floating_point() and not bool(value.isfinite().all()):
                raise Diverged(self.iteration, f"{name} is not finite")
