"""What the benchmark measures, how it judges, what its command says. No test asserts a time."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from bbnas.bench import engine as engine_bench
from bbnas.bench.contestants import Assignment, ContestantProcess, chain
from bbnas.bench.engine import (
    ALL,
    AVX2,
    BOUNDS,
    CASES,
    LQ,
    PYTORCH,
    EngineBench,
    Timing,
    check_rules,
    roofline,
)
from bbnas.cli import main
from bbnas.engine import Model, check, isas
from bbnas.errors import UserError

needs_library = pytest.mark.skipif(
    not {"avx2", "avx512", "neon"} & set(isas()), reason="no compiled library"
)


def timings(case: str, **ms: float) -> list[Timing]:
    """Of three rounds; a name is a contestant's and its threads, as bbnas_2."""
    contestants = (*ALL, *AVX2)
    names = {c.name.lower().replace(" ", "_").replace("-", "_"): c.name for c in contestants}
    names |= {name: name for name in BOUNDS}
    found = []
    for key, value in ms.items():
        name, _, threads = key.rpartition("_")
        rounds = (value, 1.5 * value, value)
        found.append(Timing(case, names[name], int(threads), "", rounds, rounds, value))
    return found


FP32 = {"pytorch_fp32_1": 160, "openvino_fp32_1": 79, "onnxruntime_fp32_1": 90}
NETWORK = timings("bbcu-m", bbnas_1=10, bbnas_2=5, **FP32)
UNIT = timings("unit", bbnas_1=2, counting_1=1, copying_1=0.5)


def test_rules_are_judged_where_they_hold() -> None:
    fastest, bf16, pytorch, avx2, threads = check_rules(NETWORK, "avx512")
    assert fastest.peer == "fastest fp32 peer, OpenVINO fp32"
    assert fastest.ratio == pytest.approx(7.9)
    assert (fastest.passed, pytorch.passed, threads.passed) == (False, True, True)
    assert (fastest.word, pytorch.word) == ("falls short", "pass")
    assert (bf16.ratio, bf16.passed, bf16.word) == (None, None, "not measured")
    # Peers that were not kept to AVX2 are nothing to check_rules the AVX2 path by.
    assert (avx2.passed, avx2.word) == (None, "avx2 only")
    kept = timings("bbcu-m", bbnas_avx2_1=20, pytorch_fp32_avx2_1=90, openvino_fp32_avx2_1=70)
    for isa in ("avx512", "avx2"):
        avx2 = list(check_rules([*NETWORK, *kept], isa))[3]
        assert (avx2.ours, avx2.ratio, avx2.passed) == ("bbnas AVX2", pytest.approx(3.5), True)

    fastest, bf16, pytorch, avx2, threads = check_rules(NETWORK, "avx2")
    assert fastest.ratio == pytest.approx(7.9)
    assert (fastest.passed, fastest.word) == (None, "avx512 only")
    assert (avx2.at_least, avx2.passed, threads.passed) == (3, True, True)
    assert all(verdict.passed is None for verdict in check_rules(NETWORK, "avx2", (32, 18)))
    assert not list(check_rules([], "avx2"))
    # Without one of the peers nobody knows the fastest.
    some = [timing for timing in NETWORK if timing.contestant != "OpenVINO fp32"]
    assert next(check_rules(some, "avx512")).word == "not measured"


def test_two_threads_are_judged_on_an_idle_machine() -> None:
    """Other processes take the cores that a second thread would use."""
    slow = [*NETWORK[:1], *timings("bbcu-m", bbnas_2=9), *NETWORK[2:]]
    for load, passed in ((0.1, False), (3.0, None)):
        *others, threads = check_rules(slow, "avx512", load=load)
        assert (threads.ratio, threads.passed) == (pytest.approx(10 / 9), passed)
        assert others[0].passed is False
    assert "3.0" in threads.word


@pytest.mark.skipif(not isas(), reason="no compiled library")
def test_the_peer_pytorch_runs_a_network_by_pytorch() -> None:
    """Without being told so, a network of bbnas runs by the library's training kernels."""
    case, cpu = CASES["dncnn"], min(getattr(os, "sched_getaffinity", lambda _: {0})(0))
    process = ContestantProcess(Assignment(case, PYTORCH, (cpu,), (24, 16), ()))
    try:
        process.wait()
        assert (process.kernels.split()[0], process.missing) == ("torch", "")
        assert all(seconds > 0 for seconds in process.turn())
    finally:
        process.end()


def test_the_roofline() -> None:
    found = roofline(UNIT, "avx512")
    assert found is not None
    # 57,600 pixels, 2 words of input and 4 vectors of output, 3 columns of 8 instructions
    assert found.instructions == 57600 * 2 * 4 * 3 * 8
    assert found.instructions_per_second == pytest.approx(found.instructions * 1e3)
    assert (found.instructions_fraction, found.bytes_fraction) == pytest.approx((0.5, 0.25))
    assert {"50%", "25%"} <= set(found.words.replace(",", "").split())
    assert roofline(UNIT, "portable") is None
    assert roofline(NETWORK, "avx512") is None


@pytest.mark.parametrize("binary", [True, False])
def test_a_chain_is_a_program(binary: bool) -> None:
    program = chain(3, binary, width=32)
    check(program)
    image = np.random.default_rng(0).random((5, 7, 32), np.float32)
    assert Model(program, "torch").run(image).std() > 0.01


def test_unknown_cases_and_missing_peers(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="unknown case 'bbcu-x': choose from unit, bbcu-l"):
        engine_bench.bench_engine(["bbcu-x"])
    monkeypatch.setattr(engine_bench, "choose_isa", lambda: "avx2")
    monkeypatch.setattr(engine_bench, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'bbnas\[bench\]'"):
        engine_bench.bench_engine(["unit"])
    monkeypatch.setattr(engine_bench, "choose_isa", lambda: "")
    with pytest.raises(UserError, match="no compiled engine"):
        engine_bench.bench_engine(["unit"])


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    code = main(["bench", "engine", *(str(word) for word in words)])
    return code, *capsys.readouterr()


@needs_library
def test_contestants_take_turns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--cases", "unit", "--rounds", 2, "--lq", "24x16", "-o", tmp_path / "b.html")
    code, out, _ = run(capsys, *words, "--json")
    assert code == 0  # no rule is of so small an image
    found = json.loads(out)
    assert found["passed"] is True
    named = {(t["contestant"], t["threads"]): t for t in found["times"] + found["missing"]}
    assert {name for name, threads in named if threads == 1} >= {c.name for c in ALL} | {*BOUNDS}
    assert {threads for _, threads in named} >= {1, found["machine"]["cores"]}
    for timing in found["times"]:
        assert len(timing["rounds_ms"]) == len(timing["wall_ms"]) == 2
    assert "u1" in named["OpenVINO 1-bit", 1]["kernels"]
    assert {verdict["passed"] for verdict in found["verdicts"]} == {None}
    assert found["roofline"]["isa"] == found["machine"]["isa"]
    text = (tmp_path / "b.html").read_text(encoding="utf-8")
    assert "one 64" in text


@pytest.mark.parametrize("speed", [9.0, 1.0])
def test_the_exit_code_tells_whether_a_rule_falls_short(
    speed: float,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    peers = {name: speed * ms / 8 for name, ms in FP32.items()}
    times = timings("dncnn", bbnas_1=10, bbnas_2=5, **peers)
    verdicts = tuple(check_rules(times, "avx2"))
    machine = {"cpu": None, "cores": 2, "date": "", "isa": "avx2", "load": 0.0, "versions": {}}
    passed = all(verdict.passed is not False for verdict in verdicts)
    made = EngineBench(machine, LQ, 3, tuple(times), (), verdicts, None, passed)
    monkeypatch.setattr(engine_bench, "bench_engine", lambda *args: made)
    code, out, _ = run(capsys, "-o", tmp_path / "b.html")
    assert code == (0 if speed > 3 else 1)
    for text in (out, (tmp_path / "b.html").read_text(encoding="utf-8")):
        assert CASES["dncnn"].title in text
        assert ("falls short" in text) == (code == 1)
        assert all(figure in text for figure in ("avx2", "320×180", "3 rounds"))


def test_bad_input_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (("--cases", "bbcu-x"), ("--lq", "0x3"), ("--rounds", 0)):
        code, _, err = run(capsys, *words)
        assert (code, err.count("\n")) == (2, 1)
