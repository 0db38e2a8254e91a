from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bbnas.design import Design
from bbnas.engine import isas
from bbnas.engine.latency import Stopwatch, program_of, setting, shape_of
from bbnas.engine.profile import WORK, by_part_and_work, profile
from bbnas.engine.units import chain
from bbnas.errors import UserError
from bbnas.evaluation import LatencySetting
from bbnas.figures.profile import draw_profile
from bbnas.presets import load_design, presets
from bbnas.tasks import Part, get_task

SMALL = (40, 24)
BBCU = load_design("bbcu-m", get_task("sr2")).replace(width=16, depth=2)


def test_a_setting_says_what_ran_where() -> None:
    here = setting(SMALL, threads=2)
    assert (here.lq, here.threads) == (SMALL, 2)
    assert here.isa in (*isas(), "torch")
    assert here.cpu
    assert here.engine not in ("", "unknown")
    assert LatencySetting.from_dict(here.to_dict()) == here
    assert f"40×24 LQ pixels, 2 threads, {here.isa}" in here.words()
    with pytest.raises(UserError, match="mmx"):
        setting(isa="mmx")


def test_more_work_takes_longer() -> None:
    watch = Stopwatch(setting(SMALL))
    small, large = (
        watch.measure(program_of(BBCU.replace(depth=depth), get_task("sr2"))) for depth in (2, 64)
    )
    assert 0 < small.seconds < large.seconds / 2
    for found in (small, large):
        assert found.seconds == pytest.approx(found.ratio * found.reference)
        assert found.runs >= 3
        assert found.setting == watch.setting


def test_a_multiply_accumulate_is_an_even_share_of_a_convolution(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bbnas.engine.latency.MOST_RUNS", 3)
    watch = Stopwatch(setting(SMALL))
    conv = watch.measure(chain(2, False)).seconds - watch.measure(chain(1, False)).seconds
    macs = SMALL[0] * SMALL[1] * 9 * 64 * 64
    assert watch.full_precision_mac() * macs == pytest.approx(conv, rel=0.5)


def test_latencies_are_scaled_by_a_known_reference() -> None:
    watch = Stopwatch(setting(SMALL), reference=2.0)
    found = watch.measure(program_of(BBCU, get_task("sr2")))
    assert found.reference == 2.0
    assert found.seconds == pytest.approx(2.0 * found.ratio)


@pytest.mark.parametrize("isa", [*isas()[:1], "torch"])
def test_every_path_is_measured(isa: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bbnas.engine.latency.REFERENCE_RUNS", 4)
    monkeypatch.setattr("bbnas.engine.latency.MOST_RUNS", 2)
    found = Stopwatch(setting(SMALL, isa=isa)).measure(program_of(BBCU, get_task("sr2")))
    assert found.setting.isa == isa
    assert found.seconds > 0


def test_numbers_do_not_change_a_shape_and_choices_do() -> None:
    key = shape_of(program_of(BBCU, get_task("sr2")))
    same = (
        {"estimator": "clip"}, {"redistribution": True}, {"k_ratio": 4.0}, {"k_ratio": None},
    )  # fmt: skip
    assert {shape_of(program_of(BBCU.replace(**c), get_task("sr2"))) for c in same} == {key}
    others = (
        {"width": 32}, {"depth": 4}, {"norm": "batchnorm"}, {"activation": "none"},
        {"convs_per_residual": 2}, {"binarize": (Part.BODY,)},
        {"activation_position": "after_addition"},
    )  # fmt: skip
    shapes = {shape_of(program_of(BBCU.replace(**c), get_task("sr2"))) for c in others}
    assert len(shapes | {key}) == len(others) + 1


@pytest.mark.parametrize("task", ["sr4", "denoise25"])
def test_every_preset_has_a_profile_by_part(task: str) -> None:
    here = setting(SMALL)
    for name, design in presets(get_task(task)).items():
        program = program_of(design.replace(width=8, depth=3), get_task(task))
        if not isas():
            with pytest.raises(UserError, match="C\\+\\+ compiler"):
                profile(program, here)
            return
        layers = profile(program, here, runs=1)
        assert [layer.index for layer in layers] == list(range(len(program.ops))), name
        assert all(layer.seconds >= 0 and layer.work in WORK.values() for layer in layers)
        parts = list(dict.fromkeys(layer.part for layer in layers))
        expected = [p for p in ("head", "body", "upsampling", "tail") if p in parts]
        assert parts == ["image", *expected]
        assert {"head", "body", "tail"} <= set(parts)
        sums = by_part_and_work(layers)
        total = sum(layer.seconds for layer in layers)
        assert sum(sums.values()) == pytest.approx(total)
        drawn = draw_profile(layers)["data"]
        assert sum(sum(bar["y"]) for bar in drawn) == pytest.approx(total * 1e3)


def test_full_precision_is_other_work() -> None:
    if not isas():
        pytest.skip("no compiled library")
    full = Design(width=16, depth=2)
    for design, work in ((full, "full-precision convolution"), (BBCU, "1-bit convolution")):
        layers = profile(program_of(design, get_task("sr2")), setting(SMALL), runs=1)
        assert {layer.work for layer in layers if layer.part == "body"} == {work}


def test_a_library_of_other_sources_is_another_engine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import bbnas.engine.doctor as doctor

    before = setting(SMALL)
    stamp = tmp_path / "_native.stamp"
    stamp.write_text("another one")
    monkeypatch.setattr(doctor, "LIBRARY", stamp.with_suffix(".so"))
    after = setting(SMALL)
    if before.isa == "torch":
        assert after == before
    else:
        assert after == replace(before, engine="another one")
