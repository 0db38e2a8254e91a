"""The models that come with bbnas: packed networks that this project trained, with their cards.

A model NAME is two files in this folder: ``NAME.bbn``, and ``NAME.yaml``, its :class:`Card`.
Neither needs torch. ``bbnas models add NAME CHECKPOINT`` makes them.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from bbnas.design import Design
from bbnas.engine import read_program
from bbnas.errors import UserError, unknown
from bbnas.protocol import Protocol
from bbnas.recipe import Recipe
from bbnas.resources import builtin
from bbnas.schema import Value, read_yaml, validate
from bbnas.tasks import get_task

__all__ = [
    "DEFAULT",
    "FOLDER",
    "Card",
    "Figures",
    "card",
    "model_file",
    "models",
    "names",
    "verify",
]

FOLDER = Path(__file__).parent
DEFAULT = "sr4"  # the model of ``bbnas restore`` without --model


class Figures(Value):
    """Mean PSNR (dB) and SSIM over the ``images`` of a benchmark set, by the task's metric.

    ``baseline`` is the PSNR of bicubic interpolation or, at scale 1, of the degraded image.
    """

    psnr: float
    ssim: float
    baseline: float
    images: int


class Card(Value):
    """What a model is and how it was made.

    ``iterations`` were trained of those of the protocol, in ``hours``, on the images that
    ``data`` describes and ``fingerprint`` identifies. ``scores`` are by task and benchmark set; a
    blind model has those of every task that its own covers. ``curve`` is (iteration, PSNR in dB)
    of the validations during training.
    """

    task: str
    design: Design
    protocol: Protocol
    iterations: int
    hours: float
    data: str
    fingerprint: str
    environment: dict[str, str]
    date: str
    curve: tuple[tuple[int, float], ...] = ()
    scores: dict[str, dict[str, Figures]]
    bytes: int
    sha256: str

    @property
    def recipe(self) -> Recipe:
        """What trains it again, on ``cc0`` or the images of ``bbnas train --data``."""
        return Recipe(task=self.task, design=self.design, protocol=self.protocol)


def models() -> dict[str, Card]:
    """All models by name."""
    return {name: card(name) for name in builtin("models")}


def names() -> dict[str, str]:
    """The models by every name that they answer to: their own, and tasks that they cover."""
    found = models()
    covering = {
        task.name: name for name, card in found.items() for task in get_task(card.task).covered
    }
    return covering | {name: name for name in found}


def card(name: str) -> Card:
    """The card of model ``name``.

    Raises:
        UserError: there is no such model.
    """
    files = builtin("models")
    if name not in files:
        raise unknown("model", name, files)
    return validate(Card, read_yaml(files[name]), files[name])


def model_file(model: str | Path) -> Path:
    """The file of the model that ``model`` names; a path stays as it is."""
    name = names().get(str(model))
    return Path(model) if name is None else builtin("models")[name].with_suffix(".bbn")


def verify(name: str) -> None:
    """Check that the model's file is the one that its card describes, and can be read.

    Raises:
        UserError: there is no such model, or its file is another.
    """
    expected, file = card(name), model_file(name)
    if not file.is_file():
        raise UserError(f"{file}: missing; install bbnas again")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    if digest != expected.sha256:
        raise UserError(
            f"{file}: its SHA-256 is {digest}, not {expected.sha256} as its card says; "
            "install bbnas again"
        )
    read_program(file)
