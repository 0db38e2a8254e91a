from __future__ import annotations

import math
import sqlite3
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from quick import SPACE, Formula, price, quick_search

from bbnas.design import Design
from bbnas.searching.samplers import Setting, make_sampler, sampler_options
from bbnas.searching.trials import Trials
from bbnas.space import Space
from bbnas.study import StudyConfig

SMALL = Space.from_dict(SPACE)


def make(
    sampler: str = "tpe",
    seed: tuple[int, int] = (0, 0),
    skip_psnr: float | None = None,
    objectives: tuple[str, ...] = ("psnr", "ops", "params"),
    **options: object,
) -> Trials:
    config = StudyConfig.of(
        Formula(skip_psnr=skip_psnr),
        SMALL,
        sampler=sampler,
        sampler_options=sampler_options(sampler, options),
        objectives=objectives,
    )
    setting = Setting(SMALL, config, lambda d: [price(d).ops], lambda d: True, seed)
    return Trials(SMALL, config, make_sampler(setting))


def test_a_given_design_is_told_like_one_asked_for() -> None:
    trials, rng = make(n_startup_trials=3), np.random.default_rng(1)
    for _ in range(12):
        trials.tell(trials.give(SMALL.sample(rng)), Formula()(SMALL.sample(rng)))
    assert trials.give(Design(width=48)) is None


def test_tpe_turns_away_from_what_it_is_told_to_avoid() -> None:
    """Batch normalisation is over a limit: it is asked for ever less."""
    trials, asked = make(n_startup_trials=10), []
    for _ in range(60):
        number, design = trials.ask()
        asked.append(design.norm == "batchnorm")
        if asked[-1]:
            trials.avoid(number, {"ops": 0.5})
        else:
            trials.tell(number, Formula()(design))
    assert np.mean(asked[-30:]) < np.mean(asked[:10])
    assert sum(asked[-30:]) <= 5


@pytest.mark.parametrize("floor", [-math.inf, 25.0])
def test_what_is_remembered_is_learned_from(floor: float) -> None:
    """Everything but width 64 was bad: so it suggests width 64, from the first on."""

    def first_after(seed: int) -> int:
        skip = None if math.isinf(floor) else floor
        trials = make(seed=(seed, 40), skip_psnr=skip, objectives=("psnr",), n_startup_trials=10)
        rng = np.random.default_rng(seed)
        for _ in range(40):
            found = Formula()(SMALL.sample(rng).replace(activation="rprelu"))
            psnr = 26.0 + 0.001 * rng.random() if found.design.width == 64 else 20.0
            trials.remember(replace(found, status="ok", psnr=psnr), {})
        return trials.ask()[1].width

    # One of three widths at random would be 64 every time in 1 of 243 such tests.
    assert [first_after(seed) for seed in range(5)] == [64] * 5


def test_a_design_outside_the_space_is_not_reported() -> None:
    trials = make()
    trials.remember(Formula()(Design(width=48)), {})
    assert trials.tell(None, Formula()(Design(width=48))) == {}


def test_generations_go_on_after_a_resume(tmp_path: Path) -> None:
    def generations() -> list[int]:
        with sqlite3.connect(tmp_path / "quick.db") as database:
            query = (
                "SELECT json_extract(notes, '$.\"NSGAIISampler:generation\"') "
                "FROM bbnas_candidates ORDER BY number"
            )
            return [row[0] for row in database.execute(query)]

    settings = {"sampler": "nsga2", "sampler_options": {"population_size": 4}}
    quick_search(tmp_path, 14, **settings)
    before = generations()
    quick_search(tmp_path, 20, **settings)
    assert generations()[:14] == before
    assert before[-1] >= 2
    assert min(generations()[14:]) >= before[-1]
