"""A study as one table: what the screen, the report and the CSV all show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bbnas.axes import in_turn
from bbnas.design import ABLATED, Design
from bbnas.study import Candidate, Study

if TYPE_CHECKING:
    import pandas as pd

AXES: tuple[str, ...] = tuple(name for name in Design.model_fields if name not in ABLATED)
COLUMNS: tuple[str, ...] = (
    "number",
    "key",
    "label",
    "baseline",
    "status",
    "feasible",
    "psnr",
    "ssim",
    "ops",
    "params",
    "latency",
    "seconds",
    "finished",
    *AXES,
    "error",
)


def frame(study: Study) -> pd.DataFrame:
    """One row a candidate, in the order in which they finished.

    ``psnr`` is in dB, ``ops`` and ``params`` are plain counts (paper's convention), ``seconds``
    is the wall time of training, ``latency`` (s) is NaN where it was not measured. There is one
    column per design axis: ``binarize`` as ``body+upsampling`` or ``none``, ``method`` as the
    published method whose unit it is (empty for any other unit), ``k_ratio`` NaN without residual
    alignment. An axis that is idle in a design shows its canonical value.
    """
    import pandas as pd

    rows = [_row(candidate) for candidate in study.candidates]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    numbers = ["psnr", "ssim", "ops", "params", "latency", "seconds", "k_ratio"]
    return table.astype(dict.fromkeys(numbers, "float64"))


def _row(candidate: Candidate) -> dict[str, Any]:
    evaluation = candidate.evaluation
    design = evaluation.design
    axes = {axis: getattr(design, axis) for axis in AXES}
    axes["binarize"] = "+".join(design.binarize) or "none"
    axes["groups"] = in_turn(design.groups)
    axes["method"] = design.published
    return {
        "number": candidate.number,
        "key": design.key,
        "label": design.label(),
        "baseline": candidate.baseline,
        "status": evaluation.status,
        "feasible": evaluation.feasible,
        "psnr": evaluation.psnr,
        "ssim": evaluation.ssim,
        "ops": evaluation.ops,
        "params": evaluation.params,
        "latency": evaluation.latency,
        "seconds": evaluation.seconds,
        "finished": candidate.finished,
        **axes,
        "error": evaluation.error,
    }
