"""The benefit of binarizing a part: VC and VP (paper Eq. 10–11)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from bbnas.evaluation import Evaluation
from bbnas.study import Study
from bbnas.tasks import Part

if TYPE_CHECKING:
    import pandas as pd


class Benefit(NamedTuple):
    """PSNR lost per operation and per parameter saved; lower is more worth binarizing.

    ``vc`` is in 1e-6 dB per M OPs and ``vp`` in 1e-3 dB per K parameters, as Table 6 prints them.
    """

    vc: float
    vp: float


def benefit(
    psnr_f: float,
    psnr_b: float,
    ops_f: float,
    ops_b: float,
    params_f: float,
    params_b: float,
) -> Benefit:
    """VC (Eq. 10) and VP (Eq. 11) of one part, full precision (f) against binarized (b).

    PSNR in dB; OPs and Params as plain counts, of the part or of the whole network: only their
    differences matter. NaN where a PSNR is NaN or nothing is saved. Table 6's printed costs and
    PSNRs give its VC and VP to the digit, rounded by way of three digits (``cost.printed``).
    """
    loss, mega_ops, kilo_params = (
        psnr_f - psnr_b,
        (ops_f - ops_b) / 1e6,
        (params_f - params_b) / 1e3,
    )
    return Benefit(
        vc=loss / mega_ops * 1e6 if mega_ops else math.nan,
        vp=loss / kilo_params * 1e3 if kilo_params else math.nan,
    )


@dataclass(frozen=True)
class BenefitRow:
    """One line of Table 6, measured: a part binarized alone, everything else full precision.

    ``ops_f − ops_b`` and ``params_f − params_b`` are those of the part, plain counts of whole
    networks; ``rank`` 1 is the part most worth binarizing.
    """

    part: Part
    ops_f: float
    ops_b: float
    params_f: float
    params_b: float
    psnr_f: float
    psnr_b: float
    vc: float
    vp: float
    rank: int


def benefit_rows(reference: Evaluation, singles: Mapping[Part, Evaluation]) -> list[BenefitRow]:
    """VC and VP by part, in network order.

    ``reference`` is the full-precision network, ``singles`` the same with one part binarized. A
    part that diverged has NaN and comes last in rank.
    """
    found = {
        part: benefit(reference.psnr, e.psnr, reference.ops, e.ops, reference.params, e.params)
        for part, e in singles.items()
    }
    order = sorted(found, key=lambda part: _rank_key(*found[part]))
    return [
        BenefitRow(
            part=part,
            ops_f=reference.ops,
            ops_b=singles[part].ops,
            params_f=reference.params,
            params_b=singles[part].params,
            psnr_f=reference.psnr,
            psnr_b=singles[part].psnr,
            vc=found[part].vc,
            vp=found[part].vp,
            rank=order.index(part) + 1,
        )
        for part in Part
        if part in found
    ]


def ranking(rows: list[BenefitRow]) -> list[Part]:
    """Parts in the order in which to binarize them: by VC, then by VP."""
    return [row.part for row in sorted(rows, key=lambda row: _rank_key(row.vc, row.vp))]


def study_benefit(study: Study) -> list[BenefitRow]:
    """``benefit_rows`` from a study's references; empty where they do not hold them.

    The reference is the first full-precision evaluation that is feasible; the singles are those
    that differ from it by one binarized part.
    """
    full = [e for e in study.references if not e.design.binarize and e.feasible]
    if not full:
        return []
    singles: dict[Part, Evaluation] = {}
    for evaluation in study.references:
        if len(evaluation.design.binarize) == 1:
            singles.setdefault(evaluation.design.binarize[0], evaluation)
    return benefit_rows(full[0], singles)


def benefit_frame(rows: list[BenefitRow]) -> pd.DataFrame:
    """The rows as a table; OPs in M and Params in K as Table 6 prints them, of the part.

    What a part costs follows from what it saves: 1-bit it takes 1/64 of its OPs, 1/32 of its
    Params.
    """
    import pandas as pd

    ops = [(row.ops_f - row.ops_b) / 1e6 for row in rows]
    params = [(row.params_f - row.params_b) / 1e3 for row in rows]
    return pd.DataFrame(
        {
            "part": [str(row.part) for row in rows],
            "ops_f_m": [saved * 64 / 63 for saved in ops],
            "ops_b_m": [saved / 63 for saved in ops],
            "params_f_k": [saved * 32 / 31 for saved in params],
            "params_b_k": [saved / 31 for saved in params],
            "ops_saved_m": ops,
            "params_saved_k": params,
            "psnr_f": [row.psnr_f for row in rows],
            "psnr_b": [row.psnr_b for row in rows],
            "vc": [row.vc for row in rows],
            "vp": [row.vp for row in rows],
            "rank": [row.rank for row in rows],
        }
    )


def _rank_key(vc: float, vp: float) -> tuple[float, float]:
    return (math.inf if math.isnan(vc) else vc, math.inf if math.isnan(vp) else vp)
