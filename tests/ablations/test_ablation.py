"""Ablations as files: the built-in ones agree with the paper, an error is one line."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
import yaml

from bbnas.ablations.ablation import load_ablation
from bbnas.ablations.claims import FEW_SEEDS
from bbnas.data import load_dataset
from bbnas.errors import UserError
from bbnas.paper.printed import printed_psnr, records
from bbnas.presets import PRESETS
from bbnas.protocol import PROTOCOLS
from bbnas.resources import builtin
from bbnas.runs.confirm import FACTOR

SMALL: dict[str, Any] = {
    "version": 1,
    "title": "Units",
    "question": "Which?",
    "task": "sr4",
    "protocol": "proxy",
    "seeds": 2,
    "reference": "V1",
    "x": "k / k*",
    "paper": {"table": "table4", "datasets": ["Set5", "B100"]},
    "rows": [
        {"name": "V1", "design": "bbcu-v1", "paper": "BBCU-V1"},
        {"name": "V4", "design": {"preset": "bbcu", "k_ratio": 2}, "x": 2, "series": "k"},
        {"name": "BBCU-V3", "design": {"binarize": ["body"], "k_ratio": 4}, "x": 4, "series": "k"},
    ],
    "claims": [{"kind": "above", "of": "V4", "than": ["V1"]}],
}


def write(folder: Path, **changes: Any) -> str:
    path = folder / "units.yaml"
    path.write_text(yaml.safe_dump(SMALL | changes))
    return str(path)


OURS = ("training_tricks", "short_training")
PAPERS = [name for name in builtin("ablations") if name not in OURS]


def test_the_tables_and_figures_of_the_paper_are_there() -> None:
    assert set(PAPERS) == {
        "fig5_residual_span",
        "fig6_amplification",
        *(f"table{n}_{what}" for n, what in enumerate(("methods", "denoise", "jpeg"), 1)),
        "table4_units",
        "table5_breakpoint",
        "table6_parts",
    }


@pytest.mark.parametrize("name", PAPERS)
def test_a_built_in_ablation_claims_what_the_paper_prints(name: str) -> None:
    ablation = load_ablation(name)
    assert ablation.claims
    rows = {row.name: ablation.printed(row) for row in ablation.rows}
    parts = {row.name: row.design.binarize for row in ablation.rows}
    columns = {"vc": "vc_1e-6_db_per_mops", "vp": "vp_1e-3_db_per_kparams"}
    for claim in ablation.claims:
        if claim.kind != "above" or ablation.paper is None:
            continue
        for other in claim.than:
            if claim.figure == "psnr":
                own, its = rows[claim.of], rows[other]
                assert fmean(own.values()) > fmean(its.values()), (claim.of, other)
                assert list(own) == list(its) == list(ablation.paper.datasets)
            else:
                table = {
                    line["part"]: float(line[columns[claim.figure]]) for line in records("table6")
                }
                assert table[parts[claim.of][0]] > table[parts[other][0]]


def test_sweeps_differ_in_one_choice_alone() -> None:
    spans = load_ablation("fig5_residual_span")
    for row in spans.rows:
        design = row.design
        span = design.convs_per_residual if design.binarize else design.convs_per_block or 2
        assert span == row.x
    ks = load_ablation("fig6_amplification")
    assert {row.design.k_ratio == row.x for row in ks.rows} == {True}
    breaks = load_ablation("table5_breakpoint")
    printed = [line["position"] for line in records("table5")]
    assert sorted(row.paper for row in breaks.rows) == sorted(printed)
    for row in breaks.rows[1:]:
        assert str(row.design.break_at) == row.paper
        assert row.design.replace(break_at=None) == PRESETS["bbcu"]


def test_printed_figures_by_label() -> None:
    assert printed_psnr("table6", "sr4")["none"] == {"Set14": 28.60}
    assert printed_psnr("table6", "sr4")["tail"] == {"Set14": 27.76}
    assert printed_psnr("table2", "denoise25")["BBCU"]["CBSD68"] == 30.56
    assert "Manga109" not in printed_psnr("table1", "sr4")["BAM"]  # not printed
    assert printed_psnr("table1", "jpeg10") == {}


def test_a_file_of_one_s_own(tmp_path: Path) -> None:
    found = load_ablation(write(tmp_path))
    assert (found.name, found.protocol.name) == ("units", "proxy")
    v1, v4, other = found.rows
    assert v1.design == PRESETS["bbcu-v1"].canonical()
    assert v4.design == PRESETS["bbcu"].replace(k_ratio=2.0)
    assert other.design.depth == 32  # of the task's backbone
    assert found.printed(v1) == {"Set5": 31.54, "B100": 27.31}
    assert found.printed(v4) == {}
    assert found.series == {"k": {"V4": 2.0, "BBCU-V3": 4.0}}
    assert [found.protocol_of(v1, seed).seed for seed in range(2)] == [0, 1]
    assert (
        load_ablation(
            write(
                tmp_path,
                protocol={"iterations": 3, "batch": 2, "patch": 16, "learning_rate": 0.001},
            )
        ).protocol.name
        == "units"
    )


def test_rows_of_one_design_differ_in_their_protocol(tmp_path: Path) -> None:
    rows = [
        {"name": "V1", "design": "bbcu-v1"},
        {"name": "slow", "design": "bbcu-v1", "protocol": {"ema": 0.9, "iterations": 2000}},
        {"name": "late", "design": "bbcu-v1", "protocol": {"progressive": 0.5}},
    ]
    plain: dict[str, Any] = {"paper": None, "claims": []}
    found = load_ablation(write(tmp_path, rows=rows, **plain))
    proxy = PROTOCOLS["proxy"]
    v1, slow, late = found.rows
    assert found.protocol_of(v1) == proxy
    assert found.protocol_of(v1, 3) == proxy.with_seed(3)
    changed = found.protocol_of(slow, 1)
    assert changed.key == proxy.replace(ema=0.9, iterations=2000, seed=1).key
    assert changed.rungs == (250, 1000)  # the same shares
    assert changed.name == "proxy,ema=0.9,iterations=2000"
    assert found.protocol_of(late).key == proxy.replace(progressive=0.5, rungs=()).key
    # They change whichever protocol the ablation is run by.
    other = load_ablation(write(tmp_path, rows=rows, **plain), "proxy,batch=2")
    assert other.protocol_of(slow).key == proxy.replace(ema=0.9, iterations=2000, batch=2).key


def test_the_options_of_training_are_compared_at_twelve_times_the_proxy() -> None:
    found = load_ablation("training_tricks")
    largest = load_dataset().largest_patch
    assert found.protocol.key == PROTOCOLS["proxy"].longer(FACTOR, largest).key
    assert {row.design for row in found.rows if row.protocol} == {PRESETS["bbcu"]}
    assert found.rows[0].protocol == {}
    assert found.reference == found.rows[0].name
    assert found.seeds >= FEW_SEEDS  # an interval is then of a row's own differences


ROWS = SMALL["rows"]
V4_WITH = {"name": "x", "design": "bbcu-v4"}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"version": 2}, "version = 2"),
        ({"sedes": 3}, "unknown key 'sedes' (known: "),
        ({"task": "sr9"}, "task 'sr9'"),
        ({"protocol": "proxi"}, "'proxi'"),
        ({"protocol": None}, "protocol = None"),
        ({"seeds": 0}, "seeds = 0"),
        ({"rows": "all"}, "rows = 'all': must be a list"),
        ({"rows": ROWS[:1]}, "rows: must be two or more"),
        ({"reference": "V2"}, "reference: unknown row 'V2'"),
        ({"rows": [*ROWS, ROWS[0]]}, "'V1' appears twice"),
        (
            {"rows": [*ROWS, {"name": "x", "design": "reactnet"}]},
            "V1 and x train the same network by one protocol",
        ),
        (
            {"rows": [*ROWS, {"name": "x", "design": "bbcu-v1", "protocol": {"ema": 0}}]},
            "V1 and x train the same network",
        ),
        (
            {"rows": [*ROWS, V4_WITH | {"protocol": {"emma": 0.9}}]},
            "row x: protocol: unknown key 'emma' (known: ",
        ),
        (
            {"rows": [*ROWS, V4_WITH | {"protocol": {"ema": 2}}]},
            "row x: protocol: ema = 2: must be less than 1",
        ),
        (
            {"rows": [*ROWS, V4_WITH | {"protocol": {"seed": 3}}]},
            "row x: protocol: seed is the same for all rows",
        ),
        ({"rows": [*ROWS, V4_WITH | {"protocol": "ema"}]}, "protocol = 'ema'"),
        ({"rows": [*ROWS, {"name": "x", "design": "bbcv"}]}, "row x: "),
        (
            {"rows": [*ROWS, {"name": "x", "design": {"preset": "bbcu", "k": 2}}]},
            "unknown key 'k'",
        ),
        (
            {"rows": [*ROWS, {"name": "x", "design": {"preset": "bbcu", "break_at": 33}}]},
            "row x: design: break_at = 33: must be one of the 32 convolutions",
        ),
        ({"rows": [*ROWS, {"name": "x", "design": "bnn", "series": "k"}]}, "must have an x"),
        ({"rows": [*ROWS, {"name": "x", "design": "bnn", "paper": "V9"}]}, "'V9'"),
        ({"paper": {"table": "table9", "datasets": ["Set5"]}}, "paper: unknown table 'table9'"),
        ({"paper": {"table": "table4", "datasets": ["Set6"]}}, "'Set6'"),
        ({"claims": [{"kind": "above", "of": "V5", "than": ["V1"]}]}, "unknown row 'V5'"),
        ({"claims": [{"kind": "above", "of": "V1"}]}, "than must name other rows"),
        ({"claims": [{"kind": "falls", "of": "V1"}]}, "unknown series 'V1'"),
        ({"claims": [{"kind": "flat", "of": "k"}]}, "within belongs to flat"),
        ({"claims": [{"kind": "falls", "of": "k", "at": 2}]}, "at belongs to peak"),
        ({"claims": [{"kind": "peak", "of": "k", "at": 2, "than": ["k"]}]}, "leave out than"),
        (
            {"claims": [{"kind": "above", "of": "V4", "than": ["V1"], "figure": "vc"}]},
            "rows that binarize one part each",
        ),
    ],
)
def test_a_bad_file_is_one_line_that_names_it(tmp_path: Path, changes, says) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UserError) as error:
        load_ablation(write(tmp_path, **changes))
    text = str(error.value)
    assert says in text, text
    assert "units.yaml" in text
    assert "\n" not in text
    assert len(text) < 400


def test_an_unknown_ablation_suggests_the_nearest() -> None:
    with pytest.raises(UserError, match="table4_units"):
        load_ablation("table4_unit")
