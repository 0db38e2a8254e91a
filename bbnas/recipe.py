"""Recipe: everything that a full training needs, in one YAML file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import Field, ValidationInfo, field_validator

from bbnas.design import Design
from bbnas.errors import UserError
from bbnas.presets import at_depth, load_design
from bbnas.protocol import Protocol, get_protocol, paper_protocol
from bbnas.schema import Value, read_yaml, validate
from bbnas.tasks import get_task

if TYPE_CHECKING:
    from pathlib import Path

DEFAULT_TASK = "sr4"  # stands in for an invalid task while other fields are validated


class Provenance(Value):
    """The study that a recipe was exported from, and the figures of its design there."""

    study: str
    storage: str
    trial: int
    design_key: str
    psnr: float
    ssim: float
    ops: float
    params: float
    protocol: Protocol
    data: str
    versions: dict[str, str]
    date: datetime


def _paper_schedule(fields: dict[str, Any]) -> Protocol:
    # Without a valid task, validation has failed already and the value is never used.
    return paper_protocol(get_task(fields.get("task", DEFAULT_TASK)))


class Recipe(Value):
    """A design at full width and depth, and how it is trained.

    ``data`` is what :func:`bbnas.load_dataset` takes: a folder of images, ``LQ_DIR:HQ_DIR``, or
    the name of embedded photographs; None stands for ``cc0``. In YAML, ``design`` may be the name
    of a preset, which is fitted to the task, and ``protocol`` that of a protocol. The default
    protocol is the paper's for the task's backbone. Residual alignment carries over from the width
    that the proxy trained, since a Design holds k relative to k*(width). ``teacher`` is the
    checkpoint of the network that the protocol distills from (``Protocol.teaches``).
    """

    # The first field: design and the default of protocol depend on it.
    task: str
    design: Design
    protocol: Protocol = Field(default_factory=_paper_schedule)
    data: str | None = None
    teacher: str | None = None
    provenance: Provenance | None = Field(default=None)

    @field_validator("task")
    @classmethod
    def _known_task(cls, value: str) -> str:
        with _value_error():
            return get_task(value).name

    @field_validator("design", mode="before")
    @classmethod
    def _named_design(cls, value: Any, info: ValidationInfo) -> Any:
        task = get_task(info.data.get("task", DEFAULT_TASK))
        if isinstance(value, Mapping):
            return at_depth(value, task)
        if not isinstance(value, str):
            return value
        with _value_error():
            return load_design(value, task)

    @field_validator("design")
    @classmethod
    def _fitted_design(cls, value: Design, info: ValidationInfo) -> Design:
        return value.fitted(get_task(info.data.get("task", DEFAULT_TASK)))

    @field_validator("protocol", mode="before")
    @classmethod
    def _named_protocol(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        with _value_error():
            return get_protocol(value)

    @classmethod
    def from_yaml(cls, path: str | Path) -> Recipe:
        """The recipe in a YAML file.

        Raises:
            UserError: it is no recipe; the message names the file, the key and the rule.
        """
        return validate(cls, read_yaml(path), path)

    def to_yaml(self) -> str:
        content = self.model_dump(mode="json", exclude_none=True)
        return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)

    def shortened(self, iterations: int) -> Recipe:
        """The recipe with another number of iterations, and its halvings at the same shares.

        The interval between validations stays, but there are at least four (two in a training of
        a few iterations). Rungs are dropped: a full training is never stopped.

        Raises:
            UserError: ``iterations`` is not positive.
        """
        if iterations < 1:
            raise UserError(f"iterations = {iterations}: must be at least 1; try 1000")
        protocol = self.protocol
        if iterations == protocol.iterations:
            return self
        share = iterations / protocol.iterations
        quarter = max(1, iterations // 4, min(4, iterations // 2))
        shorter = protocol.replace(
            iterations=iterations,
            halve_every=max(1, round(protocol.halve_every * share)),
            validate_every=min(protocol.validate_every, quarter),
            rungs=(),
        )
        return self.model_copy(update={"protocol": shorter})


@contextmanager
def _value_error() -> Iterator[None]:
    """Turn a UserError into a ValueError, to which pydantic adds the key."""
    try:
        yield
    except UserError as error:
        raise ValueError(str(error)) from error
