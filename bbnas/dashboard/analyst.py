"""What a dashboard says of a study beyond its rows: front, effects and recommendation."""

from __future__ import annotations

from dataclasses import dataclass

from bbnas.analysis import recommend
from bbnas.analysis.effects import Fit, fit_effects
from bbnas.analysis.reasons import reasons
from bbnas.analysis.recommend import Recommendation
from bbnas.errors import UserError
from bbnas.study import Study


@dataclass(frozen=True)
class Analysis:
    """``missing`` says why there is no ``recommendation``."""

    recommendation: Recommendation | None = None
    reasons: tuple[str, ...] = ()
    fit: Fit | None = None
    missing: str = ""


def analyse(study: Study) -> Analysis:
    """The analysis of a study: a tenth of a second on 200 designs."""
    fit = fit_effects(study)
    try:
        chosen = recommend(study)
    except UserError as error:
        return Analysis(fit=fit, missing=str(error))
    return Analysis(chosen, tuple(reasons(study, chosen)), fit)
