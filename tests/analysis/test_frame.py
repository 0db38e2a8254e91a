from __future__ import annotations

from dataclasses import replace

import pandas as pd

from bbnas.analysis import frame
from bbnas.analysis.frame import AXES, COLUMNS
from bbnas.design import ABLATED, Design
from bbnas.tasks import Part


def test_one_row_a_candidate_with_every_axis(synthetic_study):
    study = synthetic_study(60, baselines=("srresnet", "bbcu-m"))
    table = frame(study)
    assert list(table.columns) == list(COLUMNS)
    assert set(AXES) == set(Design.model_fields) - set(ABLATED)
    assert list(table["number"]) == [c.number for c in study.candidates]
    assert list(table["baseline"][:3]) == ["srresnet", "bbcu-m", ""]
    assert list(table["binarize"][:2]) == ["none", "body+upsampling"]
    assert pd.isna(table["k_ratio"][0])
    assert table["k_ratio"][1] == 1.0
    for row, candidate in zip(table.itertuples(), study.candidates, strict=True):
        assert row.key == candidate.evaluation.design.key
        assert row.ops == candidate.evaluation.ops
        assert row.feasible == (candidate.evaluation.status == "ok")
        assert pd.isna(row.psnr) == (not row.feasible)


def test_idle_axes_show_their_canonical_value(synthetic_study, evaluated):
    study = synthetic_study(1)
    design = Design(binarize=(Part.HEAD,), convs_per_residual=8).canonical()
    idle = evaluated(design, psnr=26.0)
    study = replace(study, candidates=(replace(study.candidates[0], evaluation=idle),))
    table = frame(study)
    assert table["convs_per_residual"][0] == 1
    assert table["key"][0] == Design(binarize=(Part.HEAD,)).key


def test_an_empty_study_keeps_columns_and_types(synthetic_study):
    empty = frame(replace(synthetic_study(1), candidates=()))
    assert list(empty.columns) == list(COLUMNS)
    assert len(empty) == 0
    assert empty["psnr"].dtype == "float64"
