from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
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


def commands():
    """(words, command) of every command and group."""
    from bbnas.cli import cli

    def walk(group, words):
        for name, command in group.commands.items():
            yield [*words, name], command
            if hasattr(command, "commands"):
                yield from walk(command, [*words, name])

    return list(walk(cli, []))


def test_every_command_and_every_option_has_help(capsys) -> None:
    assert ["space", "show"] in [words for words, _ in commands()]
    for words, command in commands():
        assert command.help, words
        for option in command.params:
            if isinstance(option, click.Option):
                assert option.help, (words, option.name)
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


def test_every_command_stands_under_one_heading_with_a_whole_sentence(capsys) -> None:
    from bbnas.cli import GROUPS, cli

    names = [command.name for group in GROUPS.values() for command in group]
    assert sorted(names) == sorted(cli.commands)
    out = run(capsys, "--help")[1]
    assert all(f"\n{heading}:\n" in out for heading in GROUPS)
    for name in names:
        (line,) = [line for line in out.splitlines() if line.startswith(f"  {name} ")]
        assert line.endswith(".")
        assert not line.endswith("...")


def test_an_option_means_the_same_in_all_commands() -> None:
    own = {  # where a study, a recipe or a checkpoint may know it, or the file or default differs
        *("--output", "--storage", "--task", "--data", "--protocol", "--space", "--budget"),
        *("--latency", "--rounds", "--seeds", "--designs", "--format"),
    }
    seen: dict[str, tuple[object, ...]] = {}
    for words, command in commands():
        for option in command.params:
            name = max(option.opts, key=len)
            if isinstance(option, click.Option) and name not in own:
                meaning = (option.help, option.default, option.required, option.type.name)
                assert seen.setdefault(name, meaning) == meaning, (words, name)


@pytest.mark.parametrize(
    "args",
    [
        "tasks",
        "space list",
        "space show bbcu",
        "design list",
        "cost bbcu-m",
        "data list",
        "ablation list",
        "ablation show table4_units",
        "paper table1",
        "paper table4",
        "doctor",
    ],
)
def test_a_table_in_a_pipe_fits_120_columns(capsys, args) -> None:
    code, out, _ = run(capsys, *args.split())
    assert code == 0
    rule = max(index for index, line in enumerate(out.splitlines()) if "──" in line or index == 0)
    assert max(len(line) for line in out.splitlines()[: rule + 5]) <= 120


@pytest.mark.parametrize(
    "args",
    [
        "train none.yaml",
        "evaluate none.safetensors --benchmark Set5",
        "restore . --model none.safetensors -o out",
        "pack none.safetensors -o out.bbn",
        "export-model none.safetensors --format onnx -o out.onnx",
        "profile none.bbn",
        "bench sampler --table none.json.gz",
    ],
)
def test_a_missing_file_is_told_before_anything_heavy_is_imported(args) -> None:
    check = (
        f"import sys; from bbnas.cli import main; code = main({args.split()!r}); "
        f"print(code, *[m for m in {HEAVY} if m in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", check],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout == "2\n"
    assert found.stderr.count("\n") == 1
    assert "none." in found.stderr


@pytest.mark.parametrize(
    ("line", "completed"),
    [
        ("bbnas sea", ["search"]),
        ("bbnas search --task jpeg1", ["jpeg10"]),
        ("bbnas search --space me", ["methods"]),
        ("bbnas search --protocol paper-", ["paper-dncnn"]),
        ("bbnas design show bbcu-m", ["bbcu-m"]),
        ("bbnas ablation run table4", ["table4_units"]),
        ("bbnas report mi", ["mine"]),
        ("bbnas paper table6", ["table6"]),
    ],
)
def test_a_shell_completes_names(tmp_path, line, completed) -> None:
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "mine.db").write_bytes(b"")
    words = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split()) - 1)}
    found = bbnas(cwd=tmp_path, _BBNAS_COMPLETE="bash_complete", **words)
    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout.split() == [f"plain,{name}" for name in completed]


def test_a_shell_is_given_its_completion(tmp_path) -> None:
    found = bbnas(cwd=tmp_path, _BBNAS_COMPLETE="zsh_source")
    assert found.returncode == 0
    assert "#compdef bbnas" in found.stdout


def test_help_and_version_in_a_process(tmp_path) -> None:
    assert bbnas("--help", cwd=tmp_path).stdout.startswith("Usage: bbnas")
    assert bbnas(cwd=tmp_path).stdout.startswith("Usage: bbnas")
    version = bbnas("--version", cwd=tmp_path)
    assert version.returncode == 0
    assert version.stdout.startswith("bbnas ")
