"""Reading a study: table, front, hypervolume, effects, VC/VP, recommendation. Never trains."""

from __future__ import annotations

from bbnas.analysis.benefit import BenefitRow, benefit, benefit_rows, ranking, study_benefit
from bbnas.analysis.fidelity import agreement, seed_noise
from bbnas.analysis.findings import Finding, StudyFindings, effects, findings
from bbnas.analysis.frame import frame
from bbnas.analysis.hypervolume import Box, hypervolume, hypervolume_curve
from bbnas.analysis.knee import knee
from bbnas.analysis.latency import TimeAgreement, time_agreement
from bbnas.analysis.methods import MethodRanking, methods_frame, rank_methods
from bbnas.analysis.pareto import front, non_dominated
from bbnas.analysis.recommend import recommend
from bbnas.analysis.recommendation import Recommendation

__all__ = [
    "BenefitRow",
    "Box",
    "Finding",
    "MethodRanking",
    "Recommendation",
    "StudyFindings",
    "TimeAgreement",
    "agreement",
    "benefit",
    "benefit_rows",
    "effects",
    "findings",
    "frame",
    "front",
    "hypervolume",
    "hypervolume_curve",
    "knee",
    "methods_frame",
    "non_dominated",
    "rank_methods",
    "ranking",
    "recommend",
    "seed_noise",
    "study_benefit",
    "time_agreement",
]
