from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bbnas.analysis.export import export
from bbnas.axes import k_star
from bbnas.errors import UserError
from bbnas.presets import PRESETS, load_design
from bbnas.protocol import PROTOCOLS
from bbnas.recipe import Recipe
from bbnas.study import Study
from bbnas.tasks import get_task


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_a_recipe_survives_yaml(recipe: Recipe, tmp_path: Path) -> None:
    assert Recipe.from_yaml(written(tmp_path / "r.yaml", recipe.to_yaml())) == recipe


def test_presets_and_protocols_go_by_name(tmp_path: Path) -> None:
    recipe = Recipe.from_yaml(written(tmp_path / "r.yaml", "design: bbcu-m\ntask: sr4\n"))
    assert recipe.design == PRESETS["bbcu-m"]
    assert recipe.protocol == PROTOCOLS["paper"]
    assert recipe.data is None
    other = Recipe.from_yaml(written(tmp_path / "d.yaml", "design: bbcu-m\ntask: denoise25\n"))
    assert other.design == load_design("bbcu", get_task("denoise25"))  # of DnCNN's depth and parts
    # Paper §4.1: DnCNN by batches of 32 patches of 64, as long as the others.
    schedule = (other.protocol.batch, other.protocol.patch, other.protocol.iterations)
    assert schedule == (32, 64, 300_000)
    text = "design: bbcu-m\ntask: sr4\nprotocol: proxy\n"
    assert Recipe.from_yaml(written(tmp_path / "p.yaml", text)).protocol == PROTOCOLS["proxy"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("design: bbcu-m\ntask: sr4\nprotocoll: paper\n", "unknown key 'protocoll'.*'protocol'"),
        ("design: bbcu-m\ntask: sr5\n", "task = 'sr5': unknown task 'sr5'"),
        ("design: bbcu-n\ntask: sr4\n", "design = 'bbcu-n': unknown preset.*did you mean"),
        ("design: {width: 64, widht: 3}\ntask: sr4\n", "unknown key 'design.widht'"),
        ("design: bbcu-m\ntask: sr4\nprotocol: papre\n", "did you mean 'paper'"),
        ("task: sr4\n", "key 'design' is missing"),
        ("- 1\n", "must hold keys and values"),
    ],
)
def test_mistakes_are_one_line_naming_file_and_key(
    text: str, message: str, tmp_path: Path
) -> None:
    path = written(tmp_path / "recipe.yaml", text)
    with pytest.raises(UserError, match=message) as caught:
        Recipe.from_yaml(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_shortened_schedule_halves_at_the_same_share() -> None:
    recipe = Recipe(design=PRESETS["bbcu-m"], task="sr4")
    short = recipe.shortened(3000).protocol
    assert (short.iterations, short.halve_every, short.validate_every) == (3000, 2000, 750)
    assert recipe.shortened(300_000) == recipe
    assert recipe.shortened(30_000).protocol.validate_every == 5000
    assert recipe.shortened(1).protocol.validate_every == 1
    with pytest.raises(UserError, match="iterations = 0"):
        recipe.shortened(0)
    proxy = recipe.model_copy(update={"protocol": PROTOCOLS["proxy"]}).shortened(100)
    assert (proxy.protocol.iterations, proxy.protocol.rungs) == (100, ())


def test_export_takes_the_recommended_design_in_full(
    synthetic_study: Callable[..., Study], tmp_path: Path
) -> None:
    study = synthetic_study(candidates=60)
    recipe = export(study, data="photos")
    number = recipe.provenance.trial
    found = next(c.evaluation for c in study.candidates if c.number == number)
    assert recipe.design == found.design.canonical()
    assert recipe.protocol == PROTOCOLS["paper"]
    assert recipe.data == "photos"
    assert recipe.provenance.design_key == found.design.key
    assert recipe.provenance.protocol == study.config.protocol
    assert recipe.provenance.psnr == found.psnr
    assert Recipe.from_yaml(written(tmp_path / "r.yaml", recipe.to_yaml())) == recipe
    # What carries k over: the proxy trained with the same share of its width's k*.
    if recipe.design.k_ratio is not None:
        trained = study.config.protocol.trained(recipe.design)
        share = recipe.design.k / k_star(recipe.design.width)
        assert trained.k / k_star(trained.width) == pytest.approx(share)


def test_export_picks(synthetic_study: Callable[..., Study]) -> None:
    study = synthetic_study(candidates=60)
    feasible = {c.number: c.evaluation for c in study.candidates if c.evaluation.feasible}
    best = max(feasible.values(), key=lambda e: e.psnr)
    assert export(study, pick="best-psnr").design == best.design.canonical()
    number = max(feasible)
    assert export(study, pick=f"trial {number}").provenance.trial == number
    limit = sorted(e.ops for e in feasible.values())[5]
    assert export(study, pick="best-psnr", max_ops=limit).provenance.ops <= limit


def test_export_of_a_trial_that_is_not_there_or_diverged(
    synthetic_study: Callable[..., Study],
) -> None:
    study = synthetic_study(candidates=60, diverged=0.2)
    lost = next(c.number for c in study.candidates if not c.evaluation.feasible)
    with pytest.raises(UserError, match="has no trial 4711"):
        export(study, pick="trial 4711")
    with pytest.raises(UserError, match=f"trial {lost}: diverged"):
        export(study, pick=f"trial {lost}")
