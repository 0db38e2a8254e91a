"""Protocol: how a design is trained and scored. The proxy and the paper's schedule are two."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, model_validator

from bbnas.design import Design
from bbnas.errors import UserError, unknown
from bbnas.schema import Value, names_file, parse_yaml, read_yaml, validate

if TYPE_CHECKING:
    from bbnas.tasks import Task


# Fields that do not change the result of a training to its end, and so not the key.
UNDECIDING = {"name", "rungs", "noise"}
# The value of each field that is younger than stored results: every training before it had that
# value. It is left out of the key, so those results are still found.
ALWAYS = {
    "augment": "dihedral",
    "shift_rate": 1.0,
    "latent_rate": 1.0,
    "ema": 0.0,
    "progressive": 0.0,
    "distill": 0.0,
    "distill_features": 0.0,
    "precision": "fp32",
}


class Protocol(Value):
    """One training and scoring recipe.

    ``width_scale`` and ``depth_scale`` shrink the network that is trained, not the design whose
    cost is counted. ``patch`` is the side of the HQ patch in pixels. ``augment`` is ``dihedral``
    (as in the field: each patch under one of the 8 symmetries of the square, flips and rotations
    by quarter turns, drawn evenly) or ``none``. ``precision`` is what convolutions multiply in:
    ``fp32``, which a GPU rounds to TF32, or ``bf16``, with weights and all else in float32
    (``bbnas.binary.precision``). Scores are always those of float32. ``schedule`` is
    ``onecycle``, ``cosine`` (from ``learning_rate`` to 0 along half a cosine) or ``halve`` (the
    learning rate halved every ``halve_every`` iterations). ``validate_every`` = 0 scores once, at
    the end. ``validation_side`` is the side in HQ pixels of the centre crop scored of each
    validation image; 0 scores whole images.

    Options of training that cost nothing at inference:

    - ``shift_rate`` multiplies the learning rate of the parameters that a unit compares with its
      stream or adds to it (``bbnas.binary.Unit.shifts``). Adam's steps are as large for them as
      for weights; in a short training they would change the stream faster than the convolutions
      can follow.
    - ``latent_rate`` multiplies the learning rate of the full-precision weights whose signs are
      the 1-bit weights.
    - ``ema`` is the decay per step of an exponential moving average of the weights and of
      BatchNorm's statistics, corrected for its start (Kingma & Ba 2015, §7.2); 0 is none. The
      average is what is scored and saved; latent weights are averaged before they are binarized.
    - ``progressive`` is a share of the iterations, of which the first half trains the network
      without binarization and the second half with 1-bit weights alone. Weights come before
      activations as in Zhuang et al. 2018, "Towards effective low-bitwidth convolutional neural
      networks"; Martinez et al. 2020 begin with activations. ``bbnas.binary.Stage`` says what
      a 1-bit convolution computes meanwhile. Scores are those of the 1-bit network.
    - ``distill`` is the weight of a second L1 loss, that of the output against a teacher's
      (Hinton et al. 2015, with the loss of restoration). The teacher is the full-precision
      network of the same width and depth, trained by the same protocol, or the one that a recipe
      names.
    - ``distill_features`` is the weight of a third L1 loss, that of the features which the
      tail reads against the teacher's (hints, Romero et al. 2015), each divided by its mean
      magnitude in an image: residual alignment makes the student's k times as large.

    ``rungs`` are the iterations at which a search scores a candidate on its way and may stop it.
    ``noise`` is the standard deviation of PSNR (dB) between seeds, as ``bbnas fidelity`` measures
    it. Neither changes what a training to the end gives.
    """

    name: str
    width_scale: float = Field(default=1.0, gt=0, le=1)
    depth_scale: float = Field(default=1.0, gt=0, le=1)
    iterations: int = Field(ge=1)
    batch: int = Field(ge=1)
    patch: int = Field(ge=8)
    augment: Literal["dihedral", "none"] = "dihedral"
    learning_rate: float = Field(gt=0)
    betas: tuple[float, float] = (0.9, 0.99)
    shift_rate: float = Field(default=1.0, gt=0, le=1)
    latent_rate: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    ema: float = Field(default=0.0, ge=0, lt=1)
    progressive: float = Field(default=0.0, ge=0, lt=1)
    distill: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    distill_features: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    schedule: Literal["onecycle", "cosine", "halve"] = "halve"
    precision: Literal["fp32", "bf16"] = "fp32"
    halve_every: int = Field(default=200_000, ge=1)
    validate_every: int = Field(default=0, ge=0)
    validation_side: int = Field(default=0, ge=0)
    rungs: tuple[int, ...] = ()
    noise: float = Field(default=0.03, ge=0)
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _rungs_fit(self) -> Self:
        steps = (0, *self.rungs, self.iterations)
        if any(after <= before for before, after in pairwise(steps)):
            raise ValueError(
                f"rungs {list(self.rungs)}: must ascend between 1 and iterations - 1 "
                f"({self.iterations - 1})"
            )
        if any(rung <= self.progressive * self.iterations for rung in self.rungs):
            raise ValueError(
                f"rungs {list(self.rungs)}: must come after the first {self.progressive:g} of the "
                "iterations, since a rung scores the 1-bit network; lower progressive, or leave "
                "out the rungs"
            )
        return self

    @property
    def teaches(self) -> bool:
        """Whether a training has a teacher."""
        return self.distill > 0 or self.distill_features > 0

    @property
    def key(self) -> str:
        """12 hexadecimal digits over all that decides a result."""
        return _key(self)

    def replace(self, **changes: Any) -> Self:
        """A validated copy with ``changes``."""
        return self.model_validate(self.model_dump() | changes)

    def changed(self, changes: Mapping[str, Any], name: str, where: str) -> Self:
        """A copy called ``name`` with ``changes`` that a user asks for; ``where`` begins an error.

        Rungs keep their shares of the iterations. Those within ``progressive`` are left out.

        Raises:
            UserError: an unknown field, or a value out of its rule.
        """
        asked = self.model_dump() | {"name": name, "rungs": ()} | dict(changes)
        changed = validate(type(self), asked, where)
        share = changed.iterations / self.iterations
        rungs = dict.fromkeys(round(rung * share) for rung in self.rungs)
        first, end = changed.progressive * changed.iterations, changed.iterations
        return changed.replace(rungs=tuple(rung for rung in rungs if first < rung < end))

    def with_seed(self, seed: int) -> Self:
        """The same protocol with another seed."""
        return self.replace(seed=seed)

    def longer(self, factor: float, largest: int | None = None) -> Self:
        """The protocol with ``factor`` times the training compute and without rungs: a patch 1.5
        times as large, at most ``largest``, and more iterations.

        Raises:
            UserError: a factor that needs no more iterations than this protocol has.
        """
        patch = self.patch * 3 // 2
        if largest is not None:
            patch = max(self.patch, min(patch, largest))
        share = (self.patch / patch) ** 2
        iterations = math.ceil(self.iterations * factor * share)
        if iterations <= self.iterations:
            raise UserError(f"long factor {factor:g}: must be above {1 / share:g}")
        name = f"{self.name}-x{factor:g}"
        return self.replace(name=name, patch=patch, iterations=iterations, rungs=())

    def trained(self, design: Design) -> Design:
        """The design as this protocol trains it: reduced width and depth, same k / k*.

        A removed residual stays at its share of the depth.
        """
        broken = design.break_at
        return design.replace(
            width=max(3, round(design.width * self.width_scale)),
            depth=max(1, round(design.depth * self.depth_scale)),
            break_at=None if broken is None else max(1, round(broken * self.depth_scale)),
        ).canonical()


# Cached: all evaluations of a study have the same one.
@lru_cache(256)
def _key(protocol: Protocol) -> str:
    deciding = protocol.model_dump(exclude=UNDECIDING).items()
    content = json.dumps(
        {name: value for name, value in deciding if (name, value) not in ALWAYS.items()},
        sort_keys=True,
    )
    return hashlib.sha256(content.encode()).hexdigest()[:12]


PROTOCOLS: dict[str, Protocol] = {
    "proxy": Protocol(
        name="proxy",
        width_scale=0.25,
        iterations=1000,
        batch=4,
        patch=24,
        learning_rate=1e-3,
        shift_rate=0.1,
        schedule="onecycle",
        validation_side=192,
        rungs=(125, 500),
    ),
    # The smallest one that judges a network of 12 channels at its own width: bbnas rivals.
    "true-width": Protocol(
        name="true-width",
        iterations=1000,
        batch=4,
        patch=48,
        learning_rate=1e-3,
        shift_rate=0.1,
        schedule="onecycle",
        validation_side=192,
        noise=0.04,  # of 6 rivals with 3 seeds each, 8×32 to 32×8 (docs/worth-it.md)
    ),
    # Paper §4.1 with the authors' HR patch and iterations (methods.md, [code]).
    "paper": Protocol(
        name="paper",
        iterations=300_000,
        batch=16,
        patch=128,
        learning_rate=1e-4,
        validate_every=5_000,
    ),
    # The same for DnCNN and DnCNN-3, by the paper's batch and patch.
    "paper-dncnn": Protocol(
        name="paper-dncnn",
        iterations=300_000,
        batch=32,
        patch=64,
        learning_rate=1e-4,
        validate_every=5_000,
    ),
}


def get_protocol(name: str) -> Protocol:
    """Raises UserError for a name that is no protocol."""
    if name not in PROTOCOLS:
        raise unknown("protocol", name, PROTOCOLS)
    return PROTOCOLS[name]


def paper_protocol(task: Task) -> Protocol:
    """The paper's schedule for the task's backbone."""
    return PROTOCOLS["paper" if task.backbone.name == "srresnet" else "paper-dncnn"]


def load_protocol(name_or_path: str | Path) -> Protocol:
    """A protocol by name, or one from a YAML file (named after the file).

    Changes may follow either: ``proxy,iterations=500,patch=32``. Rungs keep their shares of the
    iterations.

    Raises:
        UserError: neither a protocol nor a file, a file that is not a protocol, or an unknown
            change.
    """
    text = str(name_or_path)
    name, *changes = text.split(",")
    if name in PROTOCOLS:
        found = PROTOCOLS[name]
    elif names_file(name):
        found = validate(Protocol, {"name": Path(name).stem} | read_yaml(name), name)
    else:
        raise unknown("protocol (or a .yaml file)", name, PROTOCOLS)
    return _changed(found, changes, text) if changes else found


def _changed(protocol: Protocol, changes: Sequence[str], where: str) -> Protocol:
    asked: dict[str, Any] = {}
    for change in changes:
        name, equals, value = change.partition("=")
        if not equals or not value or name in ("name", "rungs"):
            raise UserError(
                f"protocol {where!r}: {change!r} must be FIELD=VALUE, such as iterations=500; "
                "names and rungs are for a YAML file"
            )
        asked[name] = parse_yaml(value, f"protocol {where!r}")
    return protocol.changed(asked, ",".join([protocol.name, *changes]), f"protocol {where!r}")
