from __future__ import annotations

import plotly.graph_objects as go
import pytest

from bbnas.analysis import hypervolume_curve
from bbnas.figures.hypervolume import draw_hypervolume


def test_hypervolume_over_designs_and_over_training(synthetic_study):
    study = synthetic_study(60)
    curve = hypervolume_curve(study)
    over = {name: draw_hypervolume(curve, name) for name in ("designs", "seconds")}
    for spec in over.values():
        go.Figure(spec)
        assert spec["data"][0]["y"] == list(curve.volume)
    assert over["designs"]["data"][0]["x"] == list(range(1, 61))
    minutes = sum(c.evaluation.seconds for c in study.candidates) / 60  # 4.2 s each
    assert over["seconds"]["data"][0]["x"][-1] == pytest.approx(minutes)
    assert "(min)" in over["seconds"]["layout"]["xaxis"]["title"]["text"]
