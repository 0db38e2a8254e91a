"""Recipe: everything that a full training needs, in one YAML file."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial
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


class Provenance(Value):
    """Where an exported recipe comes from, and what the proxy measured of its design."""

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


def _schedule(found: dict[str, Any]) -> Protocol:
    # Without a task, validation has failed already: whatever stands here is never used.
    return paper_protocol(get_task(found.get("task", "sr4")))


class Recipe(Value):
    """A design at full width and depth, and how it is trained.

    ``data`` is a folder of images, None the embedded photographs. In YAML, ``design`` may be a
    preset's name, which fits itself to the task, and ``protocol`` a protocol's; without one it is
    the paper's for the task's backbone. Residual alignment needs no adjusting: a Design
    holds k relative to k*(width), which carries over from the width that the proxy trained.
    """

    task: str  # first: it decides what a preset's name means, and the default of the protocol
    design: Design
    protocol: Protocol = Field(default_factory=_schedule)
    data: str | None = None
    provenance: Provenance | None = Field(default=None)

    @field_validator("design", mode="before")
    @classmethod
    def _preset(cls, value: Any, info: ValidationInfo) -> Any:
        task = get_task(info.data.get("task", "sr4"))
        if isinstance(value, Mapping):
            return at_depth(value, task)
        return _named(partial(load_design, task=task), value)

    @field_validator("design")
    @classmethod
    def _fitted(cls, value: Design, info: ValidationInfo) -> Design:
        task = info.data.get("task")
        return value if task is None else value.fitted(get_task(task))

    @field_validator("protocol", mode="before")
    @classmethod
    def _protocol(cls, value: Any) -> Any:
        return _named(get_protocol, value)

    @field_validator("task")
    @classmethod
    def _task(cls, value: str) -> str:
        return str(_named(get_task, value) and value)

    @classmethod
    def from_yaml(cls, path: str | Path) -> Recipe:
        """Raises UserError naming the file, the key and the rule."""
        return validate(cls, read_yaml(path), path)

    def to_yaml(self) -> str:
        content = self.model_dump(mode="json", exclude_none=True)
        return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)

    def shortened(self, iterations: int) -> Recipe:
        """The recipe over so many iterations, its halving points at the same shares of them.

        Validation keeps its interval, but happens at least four times (twice in a handful).

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
        )
        return self.model_copy(update={"protocol": shorter})


def _named(load: Any, value: Any) -> Any:
    """A name looked up, anything else as it is; ValueError so that the error names the key."""
    if not isinstance(value, str):
        return value
    try:
        return load(value)
    except UserError as error:
        raise ValueError(str(error)) from error
