"""The result of a search in plain values."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from bbnas.analysis import front, rank_methods, recommend
from bbnas.analysis.glance import point
from bbnas.errors import UserError
from bbnas.study import Study

if TYPE_CHECKING:
    from bbnas.searching import SearchResult


def summary(study: Study, result: SearchResult) -> dict[str, Any]:
    """A search in plain values, as ``--json`` prints it; ``recommended`` may be None.

    ``methods`` are those of :func:`bbnas.analysis.rank_methods`, best first: the mean difference
    ``against`` BBCU in dB at the ``sizes`` that both have, and the ``best`` PSNR.
    """
    try:
        chosen = recommend(study)
        recommended = point(chosen.candidate.evaluation) | {
            "estimate": chosen.psnr,
            "error": chosen.error,
            "ties": len(chosen.ties),
        }
    except UserError:
        recommended = None
    return {
        "study": study.config.name,
        "storage": study.storage,
        "space": study.config.space.name,
        "task": study.config.task,
        "seed": study.config.seed,
        "evaluated": len(study.candidates),
        "stopped": result.counts.stopped,
        "failed": result.counts.failed,
        "duplicates": study.duplicates,
        "rejected": study.rejected,
        "reused": result.counts.reused,
        "seconds": round(result.seconds, 3),
        "complete": result.complete,
        "latency": None if study.config.latency is None else asdict(study.config.latency),
        "confirmed": len({e.design.key for e in study.confirmations}),
        "recommended": recommended,
        "methods": _methods(study),
        "front": [point(candidate.evaluation) for candidate in front(study)],
    }


def _methods(study: Study) -> list[dict[str, Any]]:
    ranking = rank_methods(study)
    return [
        {"method": row.method, "against": row.against, "sizes": row.pairs, "best": row.best}
        for row in (ranking.rows if ranking else ())
    ]
