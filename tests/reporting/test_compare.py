"""The page that compares studies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bbnas import UserError
from bbnas.analysis.compare import agreements
from bbnas.analysis.findings import findings
from bbnas.reporting.compare import compare
from bbnas.study import Study


def test_a_page_of_two_studies(synthetic_study: Callable[..., Study], tmp_path: Path) -> None:
    one = synthetic_study(120, skip_psnr=20.0)
    other = synthetic_study(120, seed=1, name="second", data="others", skip_psnr=21.0)
    page = compare([one, other], tmp_path / "c.html").read_text(encoding="utf-8")
    assert "differ in their images" in page
    assert 'id="plot-fronts"' in page
    assert 'id="plot-race"' in page
    rows = agreements([findings(one), findings(other)])
    assert page.count('<th scope="row">') == 2 + len(rows)
    assert (tmp_path / "plotly.min.js").is_file()


def test_empty_studies_say_so(synthetic_study: Callable[..., Study], tmp_path: Path) -> None:
    empty = replace(synthetic_study(3), candidates=(), references=())
    page = compare([empty, empty], tmp_path / "c.html", inline=True).read_text(encoding="utf-8")
    assert "No study has a front yet" in page
    assert "too few designs" in page


def test_two_to_six_studies(synthetic_study: Callable[..., Study], tmp_path: Path) -> None:
    study = synthetic_study(3)
    for wrong in ([study], [study] * 7):
        with pytest.raises(UserError):
            compare(wrong, tmp_path / "c.html")
