from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from bbnas.analysis.benefit import benefit
from bbnas.cost import count
from bbnas.design import Design
from bbnas.errors import UserError
from bbnas.paper import TABLES, find_scores, paper_table
from bbnas.paper.printed import printed_rows, records
from bbnas.presets import load_design
from bbnas.tasks import Part, get_task

METHOD_TABLES = ("table1", "table2", "table3", "table4")

# (table, row, task, figure): printed, computed. All else agrees to the digit.
ODD = {
    ("table1", "SRResNet", "sr4", "OPs (G)"): ("146.14", "146.08"),
}
CELLS = [
    (table, i, figure)
    for table in METHOD_TABLES
    for i, row in enumerate(printed_rows(table))
    for figure, printed in (("OPs (G)", row.ops), ("Params (K)", row.params))
    if printed
]


@pytest.fixture(scope="module")
def tables():
    return {name: paper_table(name) for name in TABLES}


def cell(table, row: int, title: str):
    (index,) = [i for i, column in enumerate(table.columns) if column.title == title]
    return table.rows[row][index]


def noted(table, found) -> str:
    return " ".join(table.notes[n - 1] for n in found.notes)


@pytest.mark.parametrize(("name", "row", "figure"), CELLS)
def test_every_cost_is_the_printed_one_or_a_known_oddity(tables, name, row, figure):
    table, line = tables[name], printed_rows(name)[row]
    assert table.rows[row][0].text == line.label
    paper, computed = (cell(table, row, f"{figure} ({s})") for s in ("paper", "computed"))
    assert paper.text == (line.ops if figure == "OPs (G)" else line.params)
    odd = ODD.get((name, line.label, line.task, figure))
    if odd is None:
        assert Decimal(computed.text) == Decimal(paper.text)
        assert computed.notes == ()
    else:
        assert (paper.text, computed.text) == odd
        assert odd[0] in noted(table, computed)
        assert odd[1] in noted(table, computed)


def test_the_parametrised_costs_are_all_of_them():
    # 20 rows with a network in Table 1, 8 in Tables 2 and 3 each, 4 in Table 4 (OPs only).
    assert len(CELLS) == 2 * (20 + 8 + 8) + 4
    known = {(t, printed_rows(t)[i].label, printed_rows(t)[i].task, f) for t, i, f in CELLS}
    assert known.issuperset(ODD)


def test_costs_are_counted_now_and_kept_unrounded(tables):
    table = tables["table1"]
    last = len(table.rows) - 1
    cost = count(load_design("bbcu-l", get_task("sr4")), get_task("sr4"))
    assert cell(table, last, "OPs (G) (computed)").value == cost.ops / 1e9
    assert cell(table, last, "Params (K) (computed)").value == cost.params / 1e3


def test_bam_s_accumulation_is_what_the_print_adds_and_said_to_be_ours():
    # 528 pairs of a layer and an earlier one: a MAC and a comparison to a bit an element, a scale
    # and a threshold each.
    bbcu, bam = (
        count(load_design(name, get_task("sr4")), get_task("sr4")) for name in ("bbcu-l", "bam")
    )
    assert bam.ops - bbcu.ops == 528 * 64 * 320 * 180 * (1 + 1 / 64)
    assert bam.params - bbcu.params == 2 * 528


def test_bam_is_marked(tables):
    table = tables["table1"]
    labels = [row[0] for row in table.rows]
    marked = {label.text for label in labels if "could not be verified" in noted(table, label)}
    assert marked == {"BAM"}


@pytest.mark.parametrize("row", records("table6"), ids=lambda row: row["part"])
def test_table_6_is_the_printed_one_but_for_conv_hr(tables, row):
    table = tables["table6"]
    keys = [*list(row)[1:5], "psnr_f_set14_db", "psnr_b_set14_db", *list(row)[7:]]
    paper, computed = (
        [cell(table, i, f"{row['part']} ({source})") for i in range(8)]
        for source in ("paper", "computed")
    )
    assert [c.text for c in paper] == [row[key] for key in keys]
    odd = {}
    if row["part"] == "upsampling":
        # conv_hr's 64 · 64 · 9 weights are in the printed OPs and not in the printed Params.
        odd = {"params_f_k": "331.78", "params_b_k": "10.37", keys[-1]: "0.03"}
        assert round(294.912 + 64 * 64 * 9 / 1e3, 2) == 331.78
    for key, found in zip(keys, computed, strict=True):
        if "psnr" in key:
            assert found.text == ""
        elif key in odd:
            assert found.text == odd[key]
            assert row[key] in noted(table, found)
            assert odd[key] in noted(table, found)
        else:
            assert (key, found.text) == (key, row[key])
            assert found.notes == ()


def test_table_6_says_what_unrounded_costs_give(tables):
    table = tables["table6"]
    # The head's 1728 weights save 31/32 of themselves: 0.02 dB / 1.674 K.
    assert round(0.02 / (1.728 * 31 / 32) * 1e3, 2) == 11.95
    assert "head 204.13 and 11.95" in noted(table, table.rows[-1][0])
    assert table.rows[-1][0].notes == table.rows[-2][0].notes


def test_known_oddities_are_all_that_is_noted_without_scores(tables):
    assert {name: len(table.notes) for name, table in tables.items()} == {
        "table1": 3,  # bicubic, SRResNet ×4, BAM
        "table2": 0,
        "table3": 1,  # DnCNN-3 on Classic5
        "table4": 0,
        "table5": 0,
        "table6": 3,
    }


def test_notes_are_numbered_as_met_and_every_one_is_used(tables, tmp_path, write_scores):
    for i, preset in enumerate(("bbcu-l", "bnn", "srresnet")):
        write_scores(tmp_path / str(i), preset=preset)
    for table in (*tables.values(), paper_table("table1", find_scores(tmp_path)[0])):
        met = [n for column in table.columns for n in column.notes]
        met += [n for row in table.rows for found in row for n in found.notes]
        assert list(dict.fromkeys(met)) == list(range(1, len(table.notes) + 1))


def test_the_paper_s_classic5_is_odd_as_noted():
    by_label = {row.label: row for row in printed_rows("table3")}
    pairs = zip(by_label["DnCNN-3"].results, by_label["DnCNN-3-Lite"].results, strict=True)
    for full, lite in pairs:
        assert (float(full.psnr) < float(lite.psnr)) == (full.dataset == "Classic5")


def test_without_scores_there_is_no_column_of_ours(tables):
    for table in tables.values():
        assert {column.source for column in table.columns} <= {"", "paper", "computed"}


def test_scores_fill_the_row_of_their_design_and_task_alone(tmp_path, write_scores, tables):
    write_scores(tmp_path, preset="irnet", benchmarks={"Set5": (31.234, 0.88344)})
    table = paper_table("table1", find_scores(tmp_path)[0])
    ours = [c.title for c in table.columns if c.source == "ours"]
    assert ours == ["Set5 PSNR (ours)", "Set5 SSIM (ours)"]
    filled = [i for i in range(len(table.rows)) if cell(table, i, ours[0]).text]
    labels = [(row[0].text, row[1].text) for row in table.rows]
    assert [labels[i] for i in filled] == [("IRNet", "×4")]
    psnr, ssim = (cell(table, filled[0], title) for title in ours)
    assert (psnr.text, psnr.value, ssim.text) == ("31.23", 31.234, "0.8834")
    assert "300,000 of 300,000 iterations" in noted(table, psnr)
    # The paper's own figures stay what they were.
    for i in range(len(table.rows)):
        for column in tables["table1"].columns:
            before = cell(tables["table1"], i, column.title)
            assert cell(table, i, column.title).text == before.text


def test_levels_of_denoising_are_kept_apart(tmp_path, write_scores):
    scores = {"CBSD68": (29.5, 0.84)}
    write_scores(tmp_path, preset="bbcu", task="denoise25", benchmarks=scores, images=68)
    table = paper_table("table2", find_scores(tmp_path)[0])
    (column,) = [c for c in table.columns if c.source == "ours"]
    assert column.title == "CBSD68 σ=25 PSNR (ours)"
    filled = [i for i in range(len(table.rows)) if cell(table, i, column.title).text]
    assert [table.rows[i][0].text for i in filled] == ["BBCU"]


def test_a_network_under_two_names_has_one_score(tmp_path, write_scores):
    write_scores(tmp_path, preset="reactnet")
    found = find_scores(tmp_path)[0]
    table = paper_table("table4", found)
    assert cell(table, 0, "Set5 PSNR (ours)").text == "31.50"  # BBCU-V1 is ReActNet's unit
    table = paper_table("table1", found)
    filled = [i for i in range(len(table.rows)) if cell(table, i, "Set5 PSNR (ours)").text]
    assert [table.rows[i][0].text for i in filled] == ["ReActNet"]


def test_a_benchmark_that_is_not_whole_is_told(tmp_path, write_scores):
    write_scores(tmp_path, images=3)
    table = paper_table("table4", find_scores(tmp_path)[0])
    found = cell(table, 3, "Set5 PSNR (ours)")
    assert "on 3 images called Set5, which has 5" in noted(table, found)


def test_an_infinite_psnr_is_shown_as_such(tmp_path, write_scores):
    write_scores(tmp_path, benchmarks={"Set5": (None, 1.0)})
    found = cell(paper_table("table4", find_scores(tmp_path)[0]), 3, "Set5 PSNR (ours)")
    assert (found.text, found.value) == ("∞", None)


def test_a_study_has_a_column_of_its_own_with_protocol_and_data(evaluated, synthetic_study):
    study = synthetic_study(20, baselines=("srresnet", "bbcu-l"), name="mine")
    table = paper_table("table1", studies=[study])
    (column,) = [c for c in table.columns if c.source not in ("", "paper", "computed")]
    assert column.source == "mine: sr4, protocol proxy, validation images"
    (note,) = [table.notes[n - 1] for n in column.notes]
    assert study.config.protocol.key in note
    assert study.config.data in note
    assert study.config.data_description in note
    values = {(row[0].text, row[1].text): row[-1].value for row in table.rows if row[-1].text}
    by_name = {c.baseline: c.evaluation.psnr for c in study.candidates if c.baseline}
    assert values[("SRResNet", "×4")] == by_name["srresnet"]
    assert values[("BBCU-L", "×4")] == by_name["bbcu-l"]
    assert all(scale == "×4" for _, scale in values)


def test_a_study_of_another_task_adds_no_column(synthetic_study):
    study = synthetic_study(20, baselines=("srresnet", "bbcu-l"))
    assert len(paper_table("table2", studies=[study]).columns) == 5 + 9


def test_what_diverged_has_no_figure(synthetic_study):
    study = synthetic_study(5, baselines=("bbcu-l",), references=False)
    first, *rest = study.candidates
    lost = replace(first.evaluation, status="diverged", psnr=float("nan"))
    study = replace(study, candidates=(replace(first, evaluation=lost), *rest))
    assert "validation" not in " ".join(
        c.title for c in paper_table("table4", studies=[study]).columns
    )


def test_table_6_lays_a_study_s_benefit_beside(synthetic_study):
    study = synthetic_study(3, diverged=0, name="mine")
    table = paper_table("table6", studies=[study])
    by_parts = {e.design.binarize: e for e in study.references}
    for part in Part:
        (index,) = [
            i for i, c in enumerate(table.columns) if c.group == part and "mine" in c.source
        ]
        full, single = by_parts[()], by_parts[(part,)]
        cells = [row[index] for row in table.rows]
        assert [c.text for c in cells[:4]] == [""] * 4
        assert cells[4].value == full.psnr
        assert cells[5].value == single.psnr
        expected = benefit(
            full.psnr, single.psnr, full.ops, single.ops, full.params, single.params
        )
        assert (cells[6].value, cells[7].value) == pytest.approx(expected)


def test_table_6_takes_checkpoints_on_set14(tmp_path, write_scores):
    tail = Design(binarize=(Part.TAIL,), k_ratio=1.0).canonical().to_dict()
    for name, design, psnr in (("full", Design().to_dict(), 28.5), ("tail", tail, 27.7)):
        scores = {"Set14": (psnr, 0.77)}
        write_scores(tmp_path / name, design=design, benchmarks=scores, images=14)
    table = paper_table("table6", find_scores(tmp_path)[0])
    ours = [cell(table, i, "tail (ours, Set14)").text for i in range(8)]
    saved = 1592.5248 * 63 / 64
    assert ours == ["", "", "", "", "28.50", "27.70", f"{0.8 / saved * 1e6:.2f}", "477.90"]
    head = [cell(table, i, "head (ours, Set14)").text for i in range(8)]
    assert head == ["", "", "", "", "28.50", "", "", ""]  # nobody trained it


def test_bicubic_is_scored_where_the_images_are():
    def score(task, dataset):
        return (28.4212, 0.81043) if (task, dataset) == ("sr4", "Set5") else None

    table = paper_table("table1", bicubic=score)
    filled = [
        (row[0].text, row[1].text, found.text)
        for row in table.rows
        for column, found in zip(table.columns, row, strict=True)
        if column.source == "ours" and found.text
    ]
    assert filled == [("Bicubic", "×4", "28.42"), ("Bicubic", "×4", "0.8104")]


def test_an_unknown_table_is_named():
    with pytest.raises(UserError, match=r"unknown table 'tabel1'.*did you mean 'table1'"):
        paper_table("tabel1")
