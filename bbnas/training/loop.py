"""The training loop: the same for the proxy and for the paper's full schedule."""

from __future__ import annotations

import math
from functools import cached_property, partial
from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor
from torch.nn import functional as F

from bbnas.binary import Unit
from bbnas.data import Patches
from bbnas.design import Design
from bbnas.inference.device import resolve_device
from bbnas.inference.tensors import WEIGHTS, weights_of
from bbnas.networks import build, calibrate
from bbnas.training.adam import Adam
from bbnas.training.average import Average

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bbnas.binary import Stage
    from bbnas.data import Dataset
    from bbnas.networks import RestorationNetwork
    from bbnas.protocol import Protocol
    from bbnas.tasks import Task

MEAN, SQUARE = "adam.mean", "adam.square"  # names of Adam's moments in a state
LATEST = "latest."  # what the names of the weights beside an average begin with


class Diverged(Exception):  # noqa: N818 - a finding about a design, not a fault
    """Training reached a loss or a weight that is not finite."""

    def __init__(self, iteration: int, what: str) -> None:
        super().__init__(f"diverged at iteration {iteration}: {what}")
        self.iteration = iteration


def learning_rate(protocol: Protocol, iteration: int) -> float:
    """The learning rate of the step ``iteration``, counted from 0.

    ``onecycle`` is Smith's one-cycle policy as PyTorch has it: a cosine from 1/25 of the peak
    over 30 % of the iterations, then a cosine down to 1/250,000 of it. ``cosine`` is the second
    half of that alone, from the peak towards 0 (SGDR without restarts, Loshchilov & Hutter 2017).
    ``halve`` halves the rate every ``halve_every`` iterations. All are closed forms, so a resumed
    training needs no scheduler state.
    """
    peak = protocol.learning_rate
    if protocol.schedule == "halve":
        return float(peak * 0.5 ** (iteration // protocol.halve_every))
    if protocol.schedule == "cosine":
        return _cosine(peak, 0.0, iteration / protocol.iterations)
    low, last = peak / 25, protocol.iterations - 1
    turn = max(0.0, 0.3 * protocol.iterations - 1)
    if iteration < turn:
        return _cosine(low, peak, iteration / turn)
    return _cosine(peak, low / 1e4, (iteration - turn) / max(last - turn, 1e-9))


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * min(share, 1.0)))


def stage(protocol: Protocol, iteration: int) -> Stage:
    """What is 1-bit in the step ``iteration``, counted from 0 (``Protocol.progressive``)."""
    share = iteration / protocol.iterations
    if share >= protocol.progressive:
        return "both"
    return "none" if share < protocol.progressive / 2 else "weights"


def initialise(design: Design, task: Task, protocol: Protocol) -> RestorationNetwork:
    """The network that ``protocol`` trains for ``design``, its weights drawn from its seed.

    The caller's random state is left unchanged.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(protocol.seed)
        return build(protocol.trained(design), task)


# The networks that teacher_of has trained in this process, by all that decides them.
_TEACHERS: dict[tuple[str, ...], RestorationNetwork] = {}


def teacher_of(
    design: Design, task: Task, protocol: Protocol, dataset: Dataset, device: str | torch.device
) -> RestorationNetwork:
    """The full-precision network of the width and depth of ``design``, trained by ``protocol``.

    It is not distilled itself, and is trained once in a process.

    Raises:
        Diverged: its training did.
    """
    own = protocol.replace(distill=0, progressive=0, latent_rate=1)  # the last two are idle
    twin = Design(width=design.width, depth=design.depth)
    key = (own.trained(twin).key, task.name, own.key, dataset.fingerprint, str(device))
    if key not in _TEACHERS:
        training = Training.of(twin, task, own, dataset, device)
        try:
            training.advance(own.iterations)
        except Diverged as error:
            raise Diverged(error.iteration, f"the teacher {error}") from error
        _TEACHERS[key] = training.averaged
    return _TEACHERS[key]


class Training:
    """A network being trained by a protocol: L1 loss, Adam.

    Its whole state is the weights, their average, Adam's moments and ``iteration``, the number of
    steps done: patches, learning rate, stage and the estimator's progress follow from the
    iteration. On a CPU, with the same number of threads, equal states lead to equal bits.

    ``batch_at`` gives the LQ and HQ patches of an iteration, ``teach`` the teacher that
    ``Protocol.distill`` asks for. :meth:`of` sets up a training of a design.
    """

    def __init__(
        self,
        network: RestorationNetwork,
        batch_at: Callable[[int], tuple[Tensor, Tensor]],
        protocol: Protocol,
        device: str | torch.device = "auto",
        teach: Callable[[], RestorationNetwork] | None = None,
    ) -> None:
        self.device = resolve_device(device)
        self.network = network.to(self.device)
        self.batch_at = batch_at
        self.protocol = protocol
        self.iteration = 0
        self._teach = teach
        units = [module for module in self.network.modules() if isinstance(module, Unit)]
        shifts = [shift for unit in units for shift in unit.shifts]
        latents = [conv.weight for conv in self.network.binary]
        self.adam = Adam(
            self.network.parameters(),
            protocol.betas,
            ((shifts, protocol.shift_rate), (latents, protocol.latent_rate)),
        )
        self._average = Average(self.network, protocol.ema) if protocol.ema else None

    @property
    def averaged(self) -> RestorationNetwork:
        """The network to score and to save: with ``Protocol.ema`` the average of ``network``."""
        return self.network if self._average is None else self._average.network

    @classmethod
    def of(
        cls,
        design: Design,
        task: Task,
        protocol: Protocol,
        dataset: Dataset,
        device: str | torch.device = "auto",
        teacher: RestorationNetwork | None = None,
    ) -> Self:
        """The training of ``protocol.trained(design)`` on ``dataset``, at iteration 0.

        Where the protocol distills, ``teacher`` is by default that of :func:`teacher_of`, trained
        in the first step.

        Raises:
            UserError: the device is not there; an image is smaller than the protocol's patch; a
                pair does not fit the task.
        """
        patches = Patches(
            dataset.train,
            task,
            protocol.patch,
            protocol.batch,
            protocol.seed,
            augment=protocol.augment == "dihedral",
        )
        network = initialise(design, task, protocol)
        trained = partial(teacher_of, design, task, protocol, dataset, device)
        teach = trained if teacher is None else lambda: teacher
        return cls(network, patches.batch_at, protocol, device, teach)

    def state(self) -> dict[str, Tensor]:
        """The tensors of the state, not copied: ``network.*`` and Adam's moments.

        With ``Protocol.ema`` the former are the average, beside ``latest.*``.
        """
        state = {f"{WEIGHTS}{n}": t for n, t in self.averaged.state_dict().items()}
        if self._average is not None:
            state |= {f"{LATEST}{n}": t for n, t in self.network.state_dict().items()}
        return state | {MEAN: self.adam.mean, SQUARE: self.adam.square}

    def load(self, state: Mapping[str, Tensor], iteration: int) -> None:
        """Continue from ``state``, which was reached after ``iteration`` steps.

        Raises:
            ValueError: it is the state of another network; this training is unchanged.
        """
        if _shapes(state) != _shapes(self.state()):
            raise ValueError("it is the state of another network")
        self.averaged.load_state_dict(weights_of(state))
        if self._average is not None:
            self.network.load_state_dict(weights_of(state, LATEST))
        self.adam.mean.copy_(state[MEAN])
        self.adam.square.copy_(state[SQUARE])
        self.iteration = iteration

    @property
    def learning_rate(self) -> float:
        """The learning rate of the last step done, or of the first before it."""
        return learning_rate(self.protocol, max(self.iteration - 1, 0))

    def advance(self, steps: int) -> float:
        """Do ``steps`` steps, at most to the end of the protocol; their mean L1 loss on 0..1.

        Raises:
            Diverged: a loss is not finite. On a GPU the loss is read once a call, not every step.
        """
        self.network.train()  # a validation leaves it in evaluation mode
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

    @cached_property
    def _teacher(self) -> RestorationNetwork:
        assert self._teach is not None, "a protocol that distills needs a teacher"
        return self._teach().to(self.device).eval()

    def _step(self) -> Tensor:
        lq, hq = self.batch_at(self.iteration)
        lq, hq = lq.to(self.device, non_blocking=True), hq.to(self.device, non_blocking=True)
        if self.iteration == 0:
            calibrate(self.network, lq)
        share = self.iteration / self.protocol.iterations
        self.network.set_progress(share, stage(self.protocol, self.iteration))
        self.adam.zero_grad()
        output = self.network(lq)
        loss = whole = F.l1_loss(output, hq)
        if self.protocol.distill:
            teacher = self._teacher  # trained in the first step, with gradients
            with torch.no_grad():
                target = teacher(lq)
            whole = loss + self.protocol.distill * F.l1_loss(output, target)
        whole.backward()  # type: ignore[no-untyped-call]
        self.adam.step(self.iteration + 1, learning_rate(self.protocol, self.iteration))
        self.network.after_step()
        if self._average is not None:
            self._average.update(self.iteration + 1)
        return loss.detach()

    def check_weights(self) -> None:
        """Raise Diverged if a weight is not finite: no loss shows what the last step did."""
        for name, value in self.network.state_dict().items():
            if value.is_floating_point() and not bool(value.isfinite().all()):
                raise Diverged(self.iteration, f"{name} is not finite")


def _shapes(state: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in state.items()}
