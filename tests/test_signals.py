from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

# Each keeps the main thread of a program from ending by itself.
HOLDS = {
    # A call of a library that takes long. It runs no Python until it is over.
    "native": "import hashlib; hashlib.pbkdf2_hmac('sha256', b'', b'', 2**31 - 1)",
    # A library that ignores the exception.
    "swallowed": "while True:\n        try: time.sleep(600)\n        except BaseException: pass",
    # A thread that is waited for.
    "threads": (
        "from concurrent.futures import ThreadPoolExecutor\n"
        "    with ThreadPoolExecutor(1) as pool:\n"
        "        pool.submit(time.sleep, 600)\n"
        "        time.sleep(600)"
    ),
    # Nothing: the exception ends it.
    "python": "time.sleep(600)",
}
PROGRAM = """
import subprocess, sys, time
from bbnas import files, signals

def run():
    signals.keeps("half of it is kept")
    child = subprocess.Popen(["sh", "-c", "sleep 600 & echo $!; wait"], stdout=subprocess.PIPE)
    with files.temporary_folder() as folder:
        print(child.pid, int(child.stdout.readline()), folder, flush=True)
        hold()
    return 0

def hold():
    HOLD

sys.exit(signals.run_until_signal(run))
"""


def alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


@pytest.mark.parametrize("hold", HOLDS)
@pytest.mark.parametrize(("number", "times"), [(signal.SIGINT, 1), (signal.SIGTERM, 2)])
def test_a_signal_ends_whatever_runs(
    hold: str, number: signal.Signals, times: int, tmp_path: Path
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM.replace("HOLD", HOLDS[hold])],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        *pids, folder = process.stdout.readline().split()
        assert Path(folder).is_dir()
        assert all(alive(int(pid)) for pid in pids)
        time.sleep(0.2)  # until it is held
        started = time.monotonic()
        for _ in range(times):
            process.send_signal(number)
            time.sleep(0.2)
        _, err = process.communicate(timeout=30)
    assert time.monotonic() - started < 3
    assert process.returncode == 128 + number
    assert err.splitlines()[-1] == "interrupted: half of it is kept"
    assert "Traceback" not in err
    assert not any(alive(int(pid)) for pid in pids)
    assert not Path(folder).exists()


def test_a_signal_is_held_back_to_the_end_of_a_block() -> None:
    from bbnas.signals import delayed

    done = []

    def interrupted() -> None:
        with delayed() as asked:
            assert not asked()
            signal.raise_signal(signal.SIGINT)
            done.append(asked())
        done.append("beyond")

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert done == [True]


def test_a_second_signal_may_pass() -> None:
    from bbnas.signals import delayed

    done = []

    def interrupted_twice() -> None:
        with delayed(second=True):
            signal.raise_signal(signal.SIGINT)
            done.append(1)
            signal.raise_signal(signal.SIGINT)
            done.append(2)

    with pytest.raises(KeyboardInterrupt):
        interrupted_twice()
    assert done == [1]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_nohup_is_respected(tmp_path: Path) -> None:
    code = (
        "import signal\n"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "from bbnas.signals import run_until_signal\n"
        "run_until_signal(lambda: signal.raise_signal(signal.SIGHUP) or 0)\n"
        "print('to the end')"
    )
    found = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert found.stdout == "to the end\n"
