"""A recommendation as a table: on screen after a search, and in the report."""

from __future__ import annotations

from bbnas.analysis.recommendation import Recommendation
from bbnas.reporting.words import describe
from bbnas.study import Study
from bbnas.tasks import get_task


def summary(study: Study, recommendation: Recommendation) -> list[tuple[str, str]]:
    """The rows of the table, as (what, value): the design, and its figures."""
    design = recommendation.candidate.evaluation.design
    return [*describe(design, get_task(study.config.task)), *recommendation.rows()]
