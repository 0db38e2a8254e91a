"""Reports of ablations: their figures are computed, and a user's text stays text."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from plotly.graph_objects import Figure
from scipy.stats import t

from bbnas.ablations.ablation import Ablation, MeasuredAblation, load_ablation
from bbnas.ablations.claims import CONTRARY, SAME
from bbnas.ablations.page import to_markdown, to_plain, write_ablation
from bbnas.ablations.tables import AblationReport, ablation_report
from bbnas.evaluation import Evaluation
from bbnas.resources import builtin

Make = Callable[..., MeasuredAblation]


@pytest.fixture
def measure(evaluated: Callable[..., Evaluation]) -> Make:
    """An ablation as trained: PSNR by row, and noise that mostly is of the seed."""

    def make(ablation: Ablation, psnr: dict[str, float]) -> MeasuredAblation:
        rng = np.random.default_rng(0)
        shift = rng.normal(0, 0.2, ablation.seeds)

        def one(row: Any, seed: int) -> Evaluation:
            value = psnr.get(row.name, 26.0) + shift[seed] + rng.normal(0, 0.01)
            found = evaluated(row.design, value, protocol=ablation.protocol_of(row, seed))
            return replace(found, status="ok" if math.isfinite(value) else "diverged")

        return MeasuredAblation(
            ablation,
            "fingerprint",
            "12 photographs",
            {
                row.name: tuple(one(row, seed) for seed in range(ablation.seeds))
                for row in ablation.rows
            },
        )

    return make


def table(found: AblationReport, name: str) -> list[dict[str, str]]:
    chosen = next(each for each in found.tables if each.name == name)
    return [dict(zip(chosen.columns, row, strict=True)) for row in chosen.rows]


def test_table_4_beside_the_paper(measure: Make) -> None:
    psnr = {"BBCU-V1": 26.5, "BBCU-V2": 26.7, "BBCU-V3": 26.8, "BBCU-V4": math.nan}
    found = ablation_report(measure(load_ablation("table4_units"), psnr), skip_psnr=26.0)
    verdicts = {row["claim"]: row for row in table(found, "claims")}
    assert verdicts["BBCU-V3 above BBCU-V1"]["verdict"] == SAME
    assert verdicts["BBCU-V1 above BBCU-V2"]["verdict"] == CONTRARY
    assert verdicts["BBCU-V4 above BBCU-V3"]["verdict"] == CONTRARY  # it diverges
    assert re.findall(r"\d+", found.headline)[:4] == ["3", "1", "0", "2"]
    share = re.search(r"this is (1/[\d,]+) of its pixels", " ".join(found.limits))
    assert f"after {share[1]} of the paper’s training" in found.headline  # what limits it most
    # Table 4: means of 31.71 28.31 27.37 25.51 29.54 and 31.54 28.19 27.31 25.35 29.25.
    assert verdicts["BBCU-V3 above BBCU-V1"]["the paper’s difference"] == (
        "+0.16 dB (+0.06 to +0.29)"
    )
    rows = {row["row"]: row for row in table(found, "rows")}
    assert rows["BBCU-V1"]["the paper’s PSNR (dB)"] == "28.33"
    assert rows["BBCU-V4"]["PSNR (dB)"] == "diverged"
    assert rows["BBCU-V4"]["remark"] == "diverged with 5 of 5 seeds"
    low, high = map(
        float, rows["BBCU-V2"]["95 %"].replace("−", "-").replace("+", "").split(" to ")
    )
    assert low < 0.2 < high
    assert high - low < 0.06  # what a seed does to all is not in it


def test_table_6_has_vc_and_vp(measure: Make) -> None:
    ablation = load_ablation("table6_parts")
    psnr = {"full precision": 28.60, "head": 28.58, "body": 28.38, "upsampling": 28.59}
    found = ablation_report(measure(ablation, psnr | {"tail": 27.76}), skip_psnr=25.0)
    rows = {row["part"]: row for row in table(found, "benefit")}
    assert rows["body"]["OPs_f (M)"] == "67947.73"
    assert rows["body"]["the paper’s VC"] == "3.29"
    assert float(rows["body"]["VC (1e-6 dB/M OPs)"]) == pytest.approx(3.29, abs=0.4)
    assert rows["tail"]["rank"] == "4"
    claims = {row["claim"]: row for row in table(found, "claims")}
    assert claims["VC of tail above body"]["verdict"] == SAME
    assert claims["VC of tail above body"]["the paper’s difference"] == "+532.54 1e-6 dB/M OPs"


def test_a_peak_over_k_is_given_as_k(measure: Make) -> None:
    ablation = load_ablation("fig6_amplification")
    psnr = {
        row.name: 26 - 0.1 * math.log2(row.x) ** 2 for row in ablation.rows if "64 ch" in row.name
    }
    found = ablation_report(measure(ablation, psnr), skip_psnr=20.0)
    claims = {row["claim"]: row for row in table(found, "claims")}
    at_64 = claims["1-bit 64 channels is highest at 1"]
    assert at_64["verdict"] == SAME
    # Width 64 is trained at 16: 130·16/64 = 32.5.
    assert re.fullmatch(r"k = 3\d(\.\d)? \[.*\].* 130·16/64 is 32.5", at_64["remark"])


@pytest.mark.parametrize("name", builtin("ablations"))
def test_every_ablation_makes_its_pages(measure: Make, name: str, tmp_path: Path) -> None:
    found = ablation_report(measure(load_ablation(name), {}), skip_psnr=25.0)
    html, markdown = write_ablation(found, tmp_path)
    assert (html.name, markdown.name) == (f"{name}.html", f"{name}.md")
    for figure in found.figures:
        Figure(figure)  # raises for what Plotly does not know
    text = markdown.read_text()
    for part in found.tables:
        rules = [line for line in text.splitlines() if line.startswith("| ---")]
        assert any(rule.count("|") == len(part.columns) + 1 for rule in rules)
    for named in ("training seeds", "data fingerprint", "torch", f"bbnas ablation run {name}"):
        assert named in text
    assert "![" not in text
    assert f"]({name}-1.png)" in to_markdown(found, [f"{name}-1.png"])


def test_protocols_of_rows_are_compared_in_pairs(measure: Make, tmp_path: Path) -> None:
    ablation = load_ablation("training_tricks")
    measured = measure(ablation, {"bbcu": 26.0, "ema": 26.2, "progressive": 25.8})
    found = ablation_report(measured, skip_psnr=25.0)
    rows = {row["row"]: row for row in table(found, "rows")}
    assert rows["halve"]["protocol"] == "schedule=halve, halve_every=3556"
    assert rows["bbcu"]["protocol"] == ""
    for name in ("ema", "progressive"):
        gaps = np.subtract(measured.psnr(name), measured.psnr("bbcu"))
        half = t.ppf(0.975, len(gaps) - 1) * gaps.std(ddof=1) / math.sqrt(len(gaps))
        ends = f"{gaps.mean() - half:+.3f} to {gaps.mean() + half:+.3f}"
        assert rows[name]["against bbcu (dB)"] == f"{gaps.mean():+.3f}".replace("-", "−")
        assert rows[name]["95 %"] == ends.replace("-", "−")
    others = len(ablation.rows) - 1
    assert found.headline.startswith(
        f"{others} rows compared with bbcu: 1 better, 1 worse, {others - 2} not"
    )
    html, markdown = write_ablation(found, tmp_path)
    for page in (html, markdown):
        assert "within seeds" in page.read_text()
    plain = {row["row"]: row["protocol"] for row in to_plain(found)["rows"]}
    assert plain["ema"] == {"ema": 0.999}


def test_texts_of_a_user_stay_texts(measure: Make, tmp_path: Path) -> None:
    ablation = load_ablation("table4_units")
    evil = "<script>alert(1)</script>|</script>"
    rows = tuple(
        row.model_copy(update={"name": evil}) if row.name == "BBCU-V2" else row
        for row in ablation.rows
    )
    ablation = ablation.model_copy(
        update={"rows": rows, "title": evil, "notes": (evil,), "claims": ()}
    )
    found = ablation_report(measure(ablation, {}), skip_psnr=25.0)
    html, markdown = write_ablation(found, tmp_path)
    page = html.read_text()
    assert "<script>alert" not in page
    data = re.search(r'id="plotly-figures">(.*?)</script>', page, re.DOTALL)
    assert data is not None
    assert (
        "&lt;script&gt;alert(1)&lt;/script&gt;|&lt;/script&gt;"
        in (json.loads(data[1])["0"]["data"][0]["y"])
    )
    text = markdown.read_text()
    assert "<script>" not in text.replace("\\<", "")
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert all(len(re.findall(r"(?<!\\)\|", line)) > 3 for line in lines)
