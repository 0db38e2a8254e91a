from __future__ import annotations

import math
from dataclasses import replace

import pytest

from bbnas.analysis import benefit, benefit_rows, ranking, study_benefit
from bbnas.analysis.benefit import benefit_frame
from bbnas.cost import printed
from bbnas.design import Design
from bbnas.tasks import Part

# Table 6: OPs (M), Params (K), PSNR on Set14 (dB), VC (1e-6 dB per M OPs), VP (1e-3 dB per K).
TABLE_6 = {
    Part.HEAD: (99.53, 1.56, 1.73, 0.05, 28.60, 28.58, "204.14", "11.91"),
    Part.BODY: (67947.73, 1061.68, 1179.65, 36.86, 28.60, 28.38, "3.29", "0.19"),
    Part.UPSAMPLING: (76441.19, 1194.39, 294.91, 9.22, 28.60, 28.59, "0.13", "0.04"),
    Part.TAIL: (1592.53, 24.88, 1.73, 0.05, 28.60, 27.76, "535.83", "500.00"),
}


def table_6(part):
    ops_f, ops_b, params_f, params_b, psnr_f, psnr_b, _, _ = TABLE_6[part]
    return benefit(psnr_f, psnr_b, ops_f * 1e6, ops_b * 1e6, params_f * 1e3, params_b * 1e3)


@pytest.mark.parametrize("part", list(Part))
def test_table_6_inputs_give_table_6(part):
    # Rounded as the paper's costs are: 0.02 dB / 1.68 K = 11.9048, by way of 11.905, is 11.91.
    assert tuple(printed(value, 1) for value in table_6(part)) == TABLE_6[part][6:]


def test_the_paper_s_conclusion_is_the_ranking_of_table_6(evaluated):
    reference = evaluated(Design(), psnr=28.60, ops=146.08e9, params=1515e3)
    singles = {
        part: evaluated(
            Design(binarize=(part,)),
            psnr=row[5],
            ops=146.08e9 - (row[0] - row[1]) * 1e6,
            params=1515e3 - (row[2] - row[3]) * 1e3,
        )
        for part, row in TABLE_6.items()
    }
    rows = benefit_rows(reference, singles)
    assert [row.part for row in rows] == list(Part)
    # "Upsampling part is most worth to be binarized"; first and last convolution least.
    assert ranking(rows) == [Part.UPSAMPLING, Part.BODY, Part.HEAD, Part.TAIL]
    assert [row.rank for row in rows] == [3, 2, 1, 4]
    for row in rows:
        assert (row.vc, row.vp) == pytest.approx(table_6(row.part))
        assert row.ops_f - row.ops_b == pytest.approx(
            (TABLE_6[row.part][0] - TABLE_6[row.part][1]) * 1e6
        )


def test_equal_vc_is_ranked_by_vp_and_a_diverged_part_comes_last(evaluated):
    full = evaluated(Design(), psnr=30.0, ops=100e6, params=100e3)
    single = Design(binarize=(Part.BODY,))
    rows = benefit_rows(
        full,
        {
            Part.HEAD: evaluated(single, psnr=math.nan, ops=50e6, params=50e3),
            Part.BODY: evaluated(single, psnr=29.0, ops=50e6, params=50e3),
            Part.TAIL: evaluated(single, psnr=29.0, ops=50e6, params=20e3),
        },
    )
    assert ranking(rows) == [Part.TAIL, Part.BODY, Part.HEAD]
    assert [row.rank for row in rows] == [3, 2, 1]


def test_nothing_saved_is_not_a_number():
    assert all(math.isnan(value) for value in benefit(28, 27, 5e9, 5e9, 1e6, 1e6))


def test_a_gain_in_psnr_is_negative():
    assert benefit(28.0, 28.1, 2e6, 1e6, 2e3, 1e3) == pytest.approx((-1e5, -100.0))


def test_study_benefit_reads_the_references(synthetic_study):
    study = synthetic_study(3)
    rows = study_benefit(study)
    assert [row.part for row in rows] == list(Part)
    table = benefit_frame(rows)
    assert table["ops_saved_m"][1] == pytest.approx(67947.73 - 1061.68, abs=0.01)
    assert table["params_saved_k"][1] == pytest.approx(1179.65 - 36.86, abs=0.01)
    assert study_benefit(replace(study, references=study.references[1:])) == []
    assert len(study_benefit(replace(study, references=study.references[:3]))) == 2
