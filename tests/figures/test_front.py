from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
from dataclasses import replace

import plotly.graph_objects as go
import pytest

from bbnas.analysis import front, recommend
from bbnas.design import TITLES
from bbnas.figures.colouring import IDLE, colourings
from bbnas.figures.front import draw_front, front_figure
from bbnas.figures.hover import hover
from bbnas.reporting.picture import BROWSERS
from bbnas.reporting.plain import write_figures


@pytest.mark.parametrize(("candidates", "diverged"), [(120, 0.05), (1, 0.0), (3, 1.0)])
def test_plotly_accepts_every_front(synthetic_study, candidates, diverged):
    study = synthetic_study(candidates, diverged=diverged)
    chosen = 0 if diverged == 0 else None
    spec = draw_front(front_figure(study, chosen, bicubic=25.0))
    go.Figure(spec)  # raises on a name or value that Plotly does not know
    assert spec["data"]


def test_every_candidate_is_one_dot_of_its_kind(synthetic_study):
    study = synthetic_study(200, baselines=("srresnet", "bbcu-m"))
    chosen = recommend(study).candidate.number
    figure = front_figure(study, chosen)
    kinds = {dot.number: dot.kind for dot in figure.dots}
    assert list(kinds) == [c.number for c in study.candidates]
    for candidate in study.candidates:
        kind = kinds[candidate.number]
        assert (kind == "infeasible") == (not candidate.evaluation.feasible)
        assert (kind == "baseline") == bool(candidate.baseline)
        assert (kind == "recommended") == (candidate.number == chosen)
    members = {c.number for c in front(study)}
    # A tie with the knee may be recommended, and that need not be on the front.
    assert {n for n, k in kinds.items() if k == "front"} == members - {chosen}


def test_of_many_candidates_a_sample_is_drawn_and_the_rest_counted(synthetic_study, monkeypatch):
    monkeypatch.setattr("bbnas.figures.front.DRAWN", 40)
    study = synthetic_study(200)
    figure = front_figure(study, 7)
    spec = draw_front(figure)
    drawn = {n for trace in spec["data"] for n in trace.get("customdata", ())}
    wanted = {d.number for d in figure.dots if d.kind != "beaten"}
    beaten = [d.number for d in figure.dots if d.kind == "beaten"]
    assert drawn >= wanted | {beaten[0], beaten[-1]}
    assert len(drawn - wanted) == 40
    names = [trace["name"] for trace in spec["data"]]
    assert f"{len(beaten) - 40} more not drawn" in names


def test_the_envelope_is_the_best_psnr_for_the_ops(synthetic_study):
    study = synthetic_study(150)
    figure = front_figure(study, None)
    feasible = [dot for dot in figure.dots if dot.kind != "infeasible"]
    for ops, psnr in figure.envelope:
        assert psnr == max(dot.psnr for dot in feasible if dot.x <= ops)


def test_a_few_hopeless_candidates_do_not_squeeze_the_axis(synthetic_study):
    study = synthetic_study(100, diverged=0)
    beaten = [d.number for d in front_figure(study, None).dots if d.kind == "beaten"][:2]
    sunk = tuple(
        replace(c, evaluation=replace(c.evaluation, psnr=8.0)) if c.number in beaten else c
        for c in study.candidates
    )
    figure = front_figure(replace(study, candidates=sunk), None)
    assert figure.bottom > 20
    assert figure.below == sum(dot.psnr < figure.bottom for dot in figure.dots) >= 2
    assert all(d.psnr > figure.bottom for d in figure.dots if d.kind == "front")


def test_published_designs_need_bicubic_on_the_same_images(synthetic_study):
    study = synthetic_study(20)
    assert front_figure(study, None).overlay == ()
    overlaid = front_figure(study, None, bicubic=25.0)
    assert {row.method for row in overlaid.overlay} >= {"SRResNet", "BBCU-L", "BBCU-M"}


def test_a_front_of_nothing(synthetic_study):
    assert front_figure(replace(synthetic_study(1), candidates=()), None) is None
    lost = front_figure(synthetic_study(4, diverged=1.0), None)
    assert {dot.kind for dot in lost.dots} == {"infeasible"}
    assert lost.envelope == ()


def test_hover_names_design_and_escapes_what_users_wrote(synthetic_study):
    candidate = synthetic_study(3, diverged=0).candidates[0]
    text = hover(replace(candidate, baseline="<b>mine</b>"))
    assert f"{candidate.evaluation.psnr:.2f} dB" in text
    assert candidate.evaluation.design.label().split(", ")[0] in text
    assert "&lt;b&gt;mine" in text


def test_each_dot_is_drawn_once_in_each_colouring(synthetic_study):
    study = synthetic_study(150, baselines=("srresnet", "bbcu-m"))
    chosen = recommend(study).candidate.number
    spec = draw_front(front_figure(study, chosen))
    for colouring in ("params", "parts"):
        numbers = [
            number
            for trace in spec["data"]
            if trace["meta"]["mode"] in ("always", colouring)
            and "customdata" in trace  # else an entry of the legend, or a line
            for number in trace["customdata"]
        ]
        assert sorted(numbers) == [c.number for c in study.candidates]


def test_methods_are_colours_of_their_own_and_come_first(methods_study):
    study = methods_study({(m, w): 25.0 + w / 64 for m in TITLES for w in (32, 64)})
    figure = front_figure(study, None)
    assert figure.colours == ("methods", "params")  # of denoising all have one 1-bit part
    spec = draw_front(figure)
    go.Figure(spec)
    shown = [trace for trace in spec["data"] if trace["visible"]]
    assert {trace["meta"]["mode"] for trace in shown} == {"always", "methods"}
    assert not spec["layout"]["coloraxis"]["showscale"]
    drawn = {t["name"]: t["customdata"] for t in shown if "customdata" in t}
    assert sorted(n for numbers in drawn.values() for n in numbers) == list(range(2 * len(TITLES)))
    for candidate in study.candidates:
        title = TITLES[candidate.evaluation.design.published]
        assert candidate.number in drawn[title]
    styles = [(t["marker"]["color"], t["marker"]["symbol"][0]) for t in shown if "customdata" in t]
    assert len(set(styles)) == len(styles)


@pytest.mark.parametrize("x", ["ops", "params", "latency"])
def test_every_choice_can_colour_over_every_cost(synthetic_study, x):
    study = synthetic_study(150)
    timed = tuple(
        replace(c, evaluation=replace(c.evaluation, latency=c.evaluation.ops / 1e12))
        for c in study.candidates[:-1]  # the last was not measured
    )
    study = replace(study, candidates=(*timed, study.candidates[-1]))
    names = colourings(study)
    assert {"params", "parts", "norm", "k_ratio", "activation", "width", "estimator"} <= set(names)
    shown = 149 if x == "latency" else 150
    for colour in names:
        figure = front_figure(study, 3, x=x, colour=colour)
        spec = draw_front(figure)
        go.Figure(spec)
        numbers = [n for t in spec["data"] if t["visible"] for n in t.get("customdata", ())]
        assert len(numbers) == len(set(numbers)) == shown
        for trace in spec["data"]:
            assert len(trace["x"]) == len(trace["y"])
            for each in ("color", "size", "symbol"):
                values = trace.get("marker", {}).get(each)
                assert not isinstance(values, list) or len(values) == len(trace["x"])
    e = study.candidates[3].evaluation
    cost = {"ops": e.ops, "params": e.params, "latency": e.latency * 1e3}[x]
    (star,) = [t for t in spec["data"] if t.get("marker", {}).get("symbol") == "star"]
    assert star["x"] == [cost]


def test_a_choice_colours_each_dot_by_its_value(synthetic_study):
    study = synthetic_study(150)
    traces = draw_front(front_figure(study, None, colour="norm"))["data"]
    designs = {c.number: c.evaluation.design for c in study.candidates}
    names = set()
    for trace in traces:
        if trace["meta"]["mode"] == "norm" and "customdata" in trace:
            names.add(trace["name"])
            for number in trace["customdata"]:
                design = designs[number]
                assert trace["name"] == (design.norm if design.binarize else IDLE)
    assert names == {"none", "batchnorm", IDLE}
    spec = draw_front(front_figure(study, None, colour="k_ratio"))
    for trace in spec["data"]:
        if trace["meta"]["mode"] == "k_ratio" and "coloraxis" in trace.get("marker", {}):
            ratios = [designs[number].k_ratio for number in trace["customdata"]]
            assert trace["marker"]["color"] == pytest.approx([math.log10(k) for k in ratios])
    assert spec["layout"]["coloraxis"]["showscale"]


def stopped(candidate, psnr):
    e = candidate.evaluation
    stop = replace(e, status="stopped", psnr=math.nan, ssim=math.nan, rungs=((125, psnr),))
    return replace(candidate, evaluation=stop)


def test_a_stopped_candidate_stands_at_the_psnr_of_its_rung(synthetic_study):
    study = synthetic_study(60, diverged=0)
    worst = min(study.candidates, key=lambda c: c.evaluation.psnr)
    psnr = worst.evaluation.psnr + 0.01
    study = replace(
        study,
        candidates=tuple(stopped(c, psnr) if c is worst else c for c in study.candidates),
    )
    figure = front_figure(study, None)
    (dot,) = [dot for dot in figure.dots if dot.kind == "stopped"]
    assert (dot.number, dot.psnr) == (worst.number, psnr)
    assert f"stopped at iteration 125 with {psnr:.2f} dB" in hover(dot.candidate)
    (trace,) = [t for t in draw_front(figure)["data"] if t.get("customdata") == [worst.number]]
    assert trace["y"] == [psnr]
    assert trace["visible"]


def test_stopped_candidates_do_not_squeeze_the_front(synthetic_study):
    study = synthetic_study(100, diverged=0)
    members = {c.number for c in front(study)}
    study = replace(
        study,
        candidates=tuple(c if c.number in members else stopped(c, 5.0) for c in study.candidates),
    )
    figure = front_figure(study, None)
    psnr = [dot.psnr for dot in figure.dots if dot.kind == "front"]
    assert max(psnr) - figure.bottom < 2.5 * (max(psnr) - min(psnr))
    assert figure.below == len(study.candidates) - len(members)


def test_the_overlay_keeps_the_axis_around_the_designs(synthetic_study):
    study = synthetic_study(100)
    figure = front_figure(study, None, bicubic=25.0)
    spec = draw_front(figure, overlay=True)
    low, high = spec["layout"]["yaxis"]["range"]
    published = [row.gain for row in figure.overlay]
    own = [dot.psnr - 25.0 for dot in figure.dots if dot.kind == "front"]
    assert low <= min(published + own)
    assert max(published + own) <= high
    assert high - low < 1.2 * (max(published + own) - min(*published, figure.bottom - 25.0))
    members = {n for t in spec["data"] if t["visible"] for n in t.get("customdata", ())}
    assert members == {c.number for c in study.candidates}
    shown = {
        n: y
        for t in spec["data"]
        if t["visible"]
        for n, y in zip(t.get("customdata", ()), t["y"], strict=False)
    }
    for dot in figure.dots:
        if dot.kind == "front":
            assert shown[dot.number] == pytest.approx(dot.psnr - 25.0)


def test_published_designs_are_hidden_until_asked_for(synthetic_study):
    study = synthetic_study(20)
    (overlay,) = [
        trace
        for trace in draw_front(front_figure(study, None, 25.0))["data"]
        if trace["meta"]["mode"] == "published"
    ]
    assert overlay["visible"] is False
    assert max(overlay["y"]) == pytest.approx(32.16 - 28.63)  # SRResNet over bicubic, Set5


def test_the_colour_bar_spans_the_candidates(synthetic_study):
    study = synthetic_study(100, diverged=0)
    axis = draw_front(front_figure(study, None))["layout"]["coloraxis"]
    params = [c.evaluation.params for c in study.candidates]
    assert 10 ** axis["cmin"] == pytest.approx(min(params))
    assert 10 ** axis["cmax"] == pytest.approx(max(params))
    assert axis["colorbar"]["ticktext"] == ["10 K", "100 K", "1 M"]
    one = draw_front(front_figure(synthetic_study(1, diverged=0), None))
    assert len(one["layout"]["coloraxis"]["colorbar"]["tickvals"]) == 1


CHROMIUM = next(filter(None, map(shutil.which, BROWSERS)), None)
HOVER = """
<script>
addEventListener("drawn", (event) => {
  const plot = event.target, seen = [];
  const star = plot.data.findIndex((t) => t.marker && t.marker.symbol === "star");
  const at = (axis, value) => axis._offset + axis.d2p(value);
  const box = plot.getBoundingClientRect(), layout = plot._fullLayout;
  const x = box.left + at(layout.xaxis, plot.data[star].x[0]);
  const y = box.top + at(layout.yaxis, plot.data[star].y[0]);
  plot.on("plotly_hover", (hover) => seen.push(hover.points[0].customdata));
  const target = plot.querySelector(".nsewdrag");
  target.dispatchEvent(new MouseEvent("mousemove", { clientX: x, clientY: y, bubbles: true }));
  setTimeout(() => { document.body.textContent = "RESULT" + JSON.stringify(seen) + "END"; }, 500);
});
</script>
"""


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on PATH")
def test_the_star_is_hovered_where_other_designs_lie_below_it(synthetic_study, tmp_path):
    study = synthetic_study(80, diverged=0)
    chosen = recommend(study).candidate
    e = chosen.evaluation
    around = [
        replace(c, evaluation=replace(c.evaluation, ops=e.ops * factor, psnr=e.psnr - 0.001))
        for c, factor in zip(study.candidates, (0.99, 1.0, 1.01), strict=False)
        if c.number != chosen.number
    ]
    kept = {c.number: c for c in study.candidates} | {c.number: c for c in around}
    figure = front_figure(replace(study, candidates=tuple(kept.values())), chosen.number)
    page = write_figures(tmp_path / "f.html", "title", "words", [draw_front(figure)])
    html = page.read_text("utf-8")
    page.write_text(html.replace("<title>", HOVER + "<title>", 1), "utf-8")
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--window-size=1000,800"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=20000"]
    command += ["--dump-dom", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    found = re.search("<body>RESULT(.*)END", done.stdout)
    assert found, done.stdout[-500:]
    assert json.loads(found[1]) == [chosen.number]


def test_the_estimate_of_the_recommended_design_is_a_bar(synthetic_study):
    study = synthetic_study(30, diverged=0)
    here = study.candidates[5]
    figure = front_figure(study, here.number, estimate=(25.5, 0.06))
    (bar,) = [trace for trace in draw_front(figure)["data"] if "error_y" in trace]
    assert (bar["x"], bar["y"]) == ([here.evaluation.ops], [25.5])
    assert bar["error_y"]["array"] == [0.06]
    without = draw_front(front_figure(study, here.number))["data"]
    assert not [trace for trace in without if "error_y" in trace]
