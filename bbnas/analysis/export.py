"""The recipe of a study's recommended design."""

from __future__ import annotations

from datetime import UTC, datetime

from bbnas.analysis.recommend import recommend
from bbnas.environment import environment
from bbnas.recipe import Provenance, Recipe
from bbnas.study import Study


def export(
    study: Study,
    pick: str = "knee",
    max_ops: float | None = None,
    max_params: float | None = None,
    max_latency: float | None = None,
    data: str | None = None,
) -> Recipe:
    """The recipe of a study's recommended design, under the paper's schedule.

    ``pick`` (``knee``, ``best-psnr`` or ``trial N``) and the limits are those of
    ``bbnas.analysis.recommend``. ``data`` is the image folder to write into the recipe.

    Raises:
        UserError: nothing to pick from, nothing within the limits, or a trial that is not there
            or has no PSNR.
    """
    chosen = recommend(study, pick, max_ops, max_params, max_latency).candidate
    found = chosen.evaluation
    return Recipe(
        design=found.design,
        task=found.task,
        data=data,
        provenance=Provenance(
            study=study.config.name,
            storage=study.storage,
            trial=chosen.number,
            design_key=found.design.key,
            psnr=found.psnr,
            ssim=found.ssim,
            ops=found.ops,
            params=found.params,
            protocol=found.protocol,
            data=study.config.data_description,
            versions=environment() | {"kernels": "not recorded"} | dict(found.environment),
            date=datetime.now(UTC).replace(microsecond=0),
        ),
    )
