"""The training loop: the same for the proxy and for the paper's full schedule."""

from __future__ import annotations

import math
from functools import cached_property, partial
from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor
from torch.nn import functional as F

from bbnas.binary import Unit
from bbnas.binary.precision import computing_in, precision_on
from bbnas.data import Patches
from bbnas.design import Design
from bbnas.environment import environment
from bbnas.inference.device import resolve_device
from bbnas.inference.tensors import WEIGHTS, weights_of
from bbnas.networks import build, calibrate
from bbnas.training.adam import Adam
from bbnas.training.average import Average
from bbnas.training.batches import AHEAD, Batches
from bbnas.training.crew import Crew
from bbnas.training.graph import GraphedStep, Now

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
    """The full-precision network of the structure of ``design``, trained by ``protocol``.

    It is not distilled itself, and is trained once in a process.

    Raises:
        Diverged: its training did.
    """
    idle = {"progressive": 0, "latent_rate": 1}  # in full precision
    own = protocol.replace(distill=0, distill_features=0, **idle)
    twin = design.in_full_precision()
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
    iteration. On a CPU, with the same number of threads, equal states lead to equal bits. On a GPU
    sums have no fixed order, so repetitions differ.

    ``batch_at`` gives the LQ and HQ patches of an iteration. On a GPU a thread makes them ahead,
    and steps are replayed from a CUDA graph, unless the loop is to be ``plain``; neither changes
    what a step is. Where torch.distributed is set up, the processes share each batch
    (:class:`bbnas.training.crew.Crew`) and must make the same calls; steps are then launched one
    by one. ``teach`` gives the teacher of ``Protocol.teaches``. :meth:`of` sets up a
    training of a design.

    Raises:
        UserError: the device is not there, or has no bfloat16 where the protocol asks for it; the
            processes cannot share a batch.
    """

    def __init__(
        self,
        network: RestorationNetwork,
        batch_at: Callable[[int], tuple[Tensor, Tensor]],
        protocol: Protocol,
        device: str | torch.device = "auto",
        teach: Callable[[], RestorationNetwork] | None = None,
        *,
        plain: bool = False,
    ) -> None:
        self.crew = Crew.joined()
        self.device = resolve_device(device)
        self.precision = precision_on(self.device, protocol.precision)
        gpu = self.device.type == "cuda" and not plain
        self.batches = Batches(batch_at, self.device, protocol.iterations, AHEAD if gpu else 0)
        self.graph = GraphedStep(self.device) if gpu and self.crew.size == 1 else None
        self.network = self.crew.prepare(network, protocol, self.device).to(self.device)
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
        if self.crew.size > 1:
            self.adam.average = self.crew.average
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
    def environment(self) -> dict[str, str]:
        """What the training runs with: versions, hardware, device and precision."""
        return environment(str(self.device), self.precision)

    @property
    def learning_rate(self) -> float:
        """The learning rate of the last step done, or of the first before it."""
        return learning_rate(self.protocol, max(self.iteration - 1, 0))

    def advance(self, steps: int) -> float:
        """Do ``steps`` steps, at most to the end of the protocol; their mean L1 loss on 0..1.

        Raises:
            Diverged: a loss is not finite. On a GPU, and by several processes, it is read once a
                call, not every step.
        """
        self.network.train()  # a validation leaves it in evaluation mode
        begin = self.iteration
        end = min(begin + steps, self.protocol.iterations)
        total = torch.zeros((), device=self.device)
        with computing_in(self.precision, one_shape=True):
            while self.iteration < end:
                loss = self._next()
                total += loss
                self.iteration += 1
                alone = self.crew.size == 1  # else all must go on as long
                if self.device.type == "cpu" and alone and not math.isfinite(loss.item()):
                    break
        self.crew.average(total)
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

    def _next(self) -> Tensor:
        """The step of this iteration; its loss."""
        lq, hq = self.batches.at(self.iteration)
        if self.iteration == 0:
            calibrate(self.network, lq)
        lq, hq = self.crew.share(lq), self.crew.share(hq)
        now = Now(
            self.iteration / self.protocol.iterations,
            learning_rate(self.protocol, self.iteration),
            self.iteration + 1,
            stage(self.protocol, self.iteration),
        )
        graph, step = self.graph, self.step
        loss = step(lq, hq, now) if graph is None else graph(step, lq, hq, now)
        if self._average is not None:
            self._average.update(self.iteration + 1)
        return loss

    def step(self, lq: Tensor, hq: Tensor, now: Now) -> Tensor:
        """One step on a batch on the device; its L1 loss, ().

        On a GPU it only queues work and reads no value back, so that a CUDA graph can hold it.
        """
        self.network.set_progress(now.progress, now.stage)
        self.adam.zero_grad()
        features, output = self.network.computed(lq)
        loss = whole = F.l1_loss(output, hq)
        if self.protocol.teaches:
            whole = loss + self._distance_to_teacher(lq, features, output)
        whole.backward()  # type: ignore[no-untyped-call]
        self.adam.step(now.number, now.learning_rate)
        self.network.after_step()
        return loss.detach()

    def _distance_to_teacher(self, lq: Tensor, features: Tensor, output: Tensor) -> Tensor:
        """The weighted losses against the teacher, () (``Protocol.distill``)."""
        teacher, protocol = self._teacher, self.protocol  # trained in the first step
        with torch.no_grad():
            their_features, target = teacher.computed(lq)
        distance = protocol.distill * F.l1_loss(output, target)
        if protocol.distill_features:
            between = F.l1_loss(_aligned(features), _aligned(their_features))
            distance = distance + protocol.distill_features * between
        return distance

    def check_weights(self) -> None:
        """Raise Diverged if a weight is not finite: no loss shows what the last step did."""
        for name, value in self.network.state_dict().items():
            if value.is_floating_point() and not bool(value.isfinite().all()):
                raise Diverged(self.iteration, f"{name} is not finite")


def _aligned(features: Tensor) -> Tensor:
    """Each image's features (N, C, H, W) divided by their mean magnitude."""
    return features / features.abs().mean(dim=(1, 2, 3), keepdim=True).clamp_min(1e-12)


def _shapes(state: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in state.items()}
