from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("torch", "optuna", "ray", "pandas", "plotly", "skimage", "sklearn", "sqlalchemy")


def bbnas(*args: str, cwd: Path | None = None, **environ: str) -> subprocess.CompletedProcess[str]:
    """The command as a user runs it: a process of its own."""
    root = str(Path(__file__).parents[2])
    return subprocess.run(
        [sys.executable, "-m", "bbnas", *args],
        check=False,
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": root} | environ,
        capture_output=True,
        text=True,
        timeout=120,
        stdin=subprocess.DEVNULL,
    )


def run(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    """The command in this process: exit code, standard output, standard error."""
    from bbnas.cli import main

    code = main(args)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.mark.parametrize(
    "code",
    [
        "import bbnas",
        "from bbnas.cli import main; main(['--help'])",
        "from bbnas.cli import main; main(['search', '--help'])",
        "from bbnas.cli import main; main(['space', 'show', 'bbcu'])",
        "from bbnas.cli import main; main(['tasks'])",
    ],
)
def test_nothing_heavy_is_imported_before_it_is_used(code: str) -> None:
    check = f"{code}; import sys; print('HEAVY', *[m for m in {HEAVY} if m in sys.modules])"
    found = subprocess.run(
        [sys.executable, "-c", check],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.splitlines()[-1] == "HEAVY"


def test_every_command_has_help(capsys) -> None:
    from bbnas.cli import cli

    def walk(group, words):
        for name, command in group.commands.items():
            assert command.help, [*words, name]
            yield [*words, name]
            if hasattr(command, "commands"):
                yield from walk(command, [*words, name])

    names = list(walk(cli, []))
    assert ["space", "show"] in names
    for words in names:
        code, out, err = run(capsys, *words, "--help")
        assert (code, err) == (0, "")
        assert out.startswith(f"Usage: bbnas {' '.join(words)}")


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["sarch"], "Did you mean"),
        (["space", "show", "bbc"], "did you mean 'bbcu'"),
        (["design", "show", "bbcu-w4"], "did you mean 'bbcu-v4'"),
        (["cost", "srresnt"], "did you mean 'srresnet'"),
        (["cost", "bbcu-m", "--task", "sr44"], "did you mean 'sr4'"),
        (["cost", "srresnet", "--task", "jpeg10"], "use dncnn3 there"),
        (["design", "list", "--task", "jpg10"], "did you mean 'jpeg10'"),
        (["space", "show", "bbcu", "--task", "denoise2"], "did you mean 'denoise25'"),
        (["cost", "bbcu-m", "--lq", "320"], "320x180"),
        (["cost", "bbcu-m", "--lq", "0x180"], "320x180"),
        (["cost", "bbcu-m", "--tsk", "sr4"], "Did you mean '--task'"),
        (["cost"], "Missing argument 'DESIGN'"),
        (["cost", "missing.yaml"], "missing.yaml: cannot be read"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(capsys, args, says) -> None:
    code, out, err = run(capsys, *args)
    assert code == 2
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert says in err


def test_debug_shows_the_traceback_wherever_it_stands(capsys) -> None:
    for args in (["--debug", "design", "show", "nope"], ["design", "show", "nope", "--debug"]):
        code, _, err = run(capsys, *args)
        assert code == 2
        assert "Traceback" in err
        assert err.splitlines()[-1].startswith("error: unknown preset")
    assert "Traceback" not in run(capsys, "design", "show", "nope")[2]


def test_a_reader_that_goes_is_no_error() -> None:
    command = f"{sys.executable} -m bbnas space show bbcu --json"
    found = subprocess.run(
        ["bash", "-c", f"{command} | true"],
        check=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert found.stderr == ""


def test_help_and_version_in_a_process(tmp_path) -> None:
    assert bbnas("--help", cwd=tmp_path).stdout.startswith("Usage: bbnas")
    assert bbnas(cwd=tmp_path).stdout.startswith("Usage: bbnas")
    version = bbnas("--version", cwd=tmp_path)
    assert version.returncode == 0
    assert version.stdout.startswith("bbnas ")
