from __future__ import annotations

from bbnas.bench.sampler.efficiency import Trace
from bbnas.bench.sampler.page import draw_volume


def test_a_curve_is_the_median_of_steps_and_ends_with_the_median_search() -> None:
    traces = [
        Trace("random", s, (1, 2), (10.0 * (s + 1), 100.0 + s), (0.5, 1.0), "", (), 0.0, 0.0)
        for s in range(3)
    ]
    figure = draw_volume(traces, {"random": "a < b"}, "seconds")
    low, high, middle = figure["data"]
    assert middle["x"][0] == 0
    assert middle["x"][-1] == 101.0
    at = dict(zip(middle["x"], middle["y"], strict=True))
    # One of three is there from 10 s, two from 20 s, all from 30 s on.
    assert {v for x, v in at.items() if x < 20} == {0.0}
    assert {v for x, v in at.items() if 20 <= x < 100} == {0.5}
    assert all(a <= b <= c for a, b, c in zip(low["y"], middle["y"], high["y"], strict=True))
    assert middle["name"] == "a &lt; b"
