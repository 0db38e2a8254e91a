"""The same search on Ray's workers: real processes, some of which are killed."""

from __future__ import annotations

import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from quick import SPACE, Formula, Stub, quick_search

from bbnas.design import Design
from bbnas.errors import UserError
from bbnas.space import Space

PROGRAM = Path(__file__).parents[1] / "helpers" / "quick.py"
ENVIRONMENT = {"PYTHONPATH": str(Path(__file__).parents[2]), "RAY_ADDRESS": "127.0.0.1:1"}


# One design for each width.
WIDTHS = Space.from_dict(
    SPACE
    | {
        "axes": {
            "binarize": [["body"]],
            "norm": "none",
            "k_ratio": 1,
            "activation": "rprelu",
            "width": [16, 32, 48, 64, 80, 96],
            "depth": 16,
        }
    }
)


def attempts(log: Path) -> Counter[str]:
    return Counter(line.split()[0] for line in log.read_text().splitlines())


def start(folder: Path, seconds: float) -> subprocess.Popen[str]:
    formula = {"seconds": seconds, "log": str(folder / "log")}
    arguments = {"folder": str(folder), "budget": 16, "workers": 2, "formula": formula}
    return subprocess.Popen(
        [sys.executable, str(PROGRAM), json.dumps(arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env=os.environ | ENVIRONMENT,
    )


def wait_for(log: Path, lines: int, process: subprocess.Popen[str]) -> None:
    while not log.exists() or len(log.read_text().splitlines()) < lines:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


@dataclass(frozen=True)
class NoNumber(Formula):
    def __call__(self, design: Design, *rest: Any) -> Any:
        found = super().__call__(design, *rest)
        answers = {64: replace(found, psnr=math.nan), 80: None}
        return answers.get(design.width, found)


def test_killed_workers_lose_nothing_and_bad_answers_are_failures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    log = tmp_path / "log"
    # One design kills the worker that first evaluates it, another one every worker.
    evaluate = NoNumber(log=str(log), kills=((16, 1), (32, 99)))
    result = quick_search(tmp_path, 6, workers=2, space=WIDTHS, evaluator=evaluate)
    found = {c.evaluation.design.width: c.evaluation for c in result.study.candidates}
    assert set(found) == set(WIDTHS.axes.width)
    failed = {width: e.error for width, e in found.items() if e.status == "failed"}
    assert {width for width, e in found.items() if e.status != "ok"} == set(failed) == {32, 64, 80}
    assert failed[32].startswith("3 workers died evaluating it")
    assert "PSNR nan" in failed[64]
    assert "NoneType" in failed[80]
    assert result.counts.failed == 3
    attempted = attempts(log)
    tries = {width: attempted[found[width].design.key] for width in found}
    assert tries == {16: 2, 32: 3, 48: 1, 64: 1, 80: 1, 96: 1}
    pids = {int(line.split()[1]) for line in log.read_text().splitlines()}
    assert os.getpid() not in pids
    assert len(pids) <= 2 + 4, "workers are not reused"
    import ray

    assert not ray.is_initialized()


class Refuses(Stub):
    def __call__(self, design: Design, *_: object) -> Any:
        raise UserError("the images are too small for a patch of 48: use larger images")


def test_bad_input_found_by_a_worker_is_told_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^the images are too small"):
        quick_search(tmp_path, 5, workers=2, evaluator=Refuses())
    import ray

    assert not ray.is_initialized()


def test_kill_9_and_ctrl_c_of_a_driver_with_workers(tmp_path: Path) -> None:
    log = tmp_path / "log"
    killed = start(tmp_path, seconds=0.2)
    wait_for(log, 5, killed)
    killed.kill()
    killed.communicate()
    begun = len(log.read_text().splitlines())
    interrupted = start(tmp_path, seconds=0.5)
    wait_for(log, begun + 3, interrupted)
    interrupted.send_signal(signal.SIGINT)
    out, err = interrupted.communicate(timeout=60)
    assert json.loads(out)["interrupted"], err
    assert "Traceback" not in err
    before = json.loads(out)["done"]
    result = quick_search(tmp_path, 16, evaluator=Formula(log=str(log)))
    assert 3 <= before < 16
    assert result.trained == 16 - before
    keys = [candidate.evaluation.design.key for candidate in result.study.candidates]
    assert len(set(keys)) == 16
    assert set(attempts(log)) == set(keys)
    # Two workers, each with at most one candidate in hand at each of the two ends.
    assert attempts(log).total() <= 16 + 4


def test_strangers_cannot_use_the_workers(tmp_path: Path) -> None:
    driver = start(tmp_path, seconds=0.5)
    try:
        wait_for(tmp_path / "log", 1, driver)
        # Ray's own processes name the address, on the command line.
        found = subprocess.run(
            ["ps", "-ewwo", "ppid,args"], capture_output=True, text=True, check=True
        )
        own = [line for line in found.stdout.splitlines() if line.split()[0] == str(driver.pid)]
        address = re.search(r"--gcs-address=(\S+)", "\n".join(own))
        assert address is not None
        environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
        code = f"import ray; ray.init(address={address[1]!r}); print('in', ray.nodes())"
        with subprocess.Popen(
            [sys.executable, "-c", code],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
        ) as stranger:
            assert stranger.stdout is not None
            # It would try again for minutes.
            verdict = next(
                (line for line in stranger.stdout if re.match(r"in |.*InvalidAuthToken", line)), ""
            )
            stranger.kill()
        assert "InvalidAuthToken" in verdict
    finally:
        driver.kill()
        driver.communicate()


def test_one_worker_never_imports_ray(tmp_path: Path) -> None:
    program = (
        f"import sys; sys.path.insert(0, {str(PROGRAM.parent)!r})\n"
        f"import quick; quick.quick_search({str(tmp_path)!r}, 2)\n"
        "print(sorted({m.split('.')[0] for m in sys.modules} & {'ray', 'torch'}))\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=os.environ | ENVIRONMENT,
    )
    assert run.stdout.strip() == "[]", run.stderr
