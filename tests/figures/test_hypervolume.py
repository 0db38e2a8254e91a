from __future__ import annotations

import plotly.graph_objects as go

from bbnas.analysis import hypervolume_curve
from bbnas.figures.hypervolume import draw_hypervolume


def test_plotly_accepts_the_hypervolume(synthetic_study):
    curve = hypervolume_curve(synthetic_study(60))
    spec = draw_hypervolume(curve)
    go.Figure(spec)
    assert spec["data"][0]["y"] == list(curve.volume)
