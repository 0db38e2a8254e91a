from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from bbnas.design import ABLATED, Design
from bbnas.presets import PRESETS
from bbnas.space import load_space

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


def test_space_show_counts_distinct_designs(capsys) -> None:
    code, out, _ = run(capsys, "space", "show", "bbcu", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["designs"] == load_space("bbcu").count()
    assert found["key"] == load_space("bbcu").key
    assert len(found["axes"]["binarize"]) == 16

    _, table, _ = run(capsys, "space", "show", "bbcu")
    assert f"{found['designs']:,} distinct designs" in table
    for axis in set(Design.model_fields) - {"method", *ABLATED}:
        assert axis in table


def test_a_space_is_shown_as_the_task_has_it(capsys) -> None:
    found = json.loads(run(capsys, "space", "show", "methods", "--task", "jpeg10", "--json")[1])
    assert found["axes"]["binarize"] == [["body"]]  # DnCNN-3 has no upsampling
    assert found["axes"]["depth"] == [18]
    assert found["designs"] == len(found["axes"]["method"]) * len(found["axes"]["width"])
    listed = json.loads(run(capsys, "space", "list", "--task", "jpeg10", "--json")[1])["spaces"]
    assert {s["name"]: s["designs"] for s in listed}["methods"] == found["designs"]


def test_tasks_are_listed_with_how_they_are_measured(capsys) -> None:
    code, out, _ = run(capsys, "tasks", "--json")
    found = {task["name"]: task for task in json.loads(out)["tasks"]}
    assert code == 0
    assert list(found) == [
        *("sr2", "sr3", "sr4"),
        *("denoise15", "denoise25", "denoise50"),
        *("jpeg10", "jpeg20", "jpeg30", "jpeg40"),
    ]
    _, table, _ = run(capsys, "tasks")
    lines = {line.split()[0]: line for line in table.splitlines() if line.strip()}
    for name, task in found.items():
        for told in (task["backbone"]["title"], task["metric"], str(task["level"])):
            assert told in lines[name]
        assert all(benchmark in lines[name] for benchmark in task["benchmarks"])


def test_presets_are_listed_with_the_printed_costs(capsys) -> None:
    code, out, _ = run(capsys, "design", "list", "--task", "denoise25")
    assert code == 0
    lines = {line.split()[0]: line.split() for line in out.splitlines() if line.strip()}
    # Table 2.
    assert lines["dncnn"][-2:] == ["38.42", "667.01"]
    assert lines["bbcu"][-2:] == ["0.80", "24.19"]
    assert "srresnet" not in lines
    found = json.loads(run(capsys, "design", "list", "--task", "jpeg10", "--json")[1])
    costs = {row["name"]: (row["ops"], row["params"]) for row in found["presets"]}
    # 18 body convolutions in 1-bit, head and tail of one image channel in full precision.
    assert costs["bbcu"][1] == 2 * 9 * 64 + 18 * 9 * 64**2 / 32
    assert costs["bbcu"][0] == (2 * 9 * 64 + 18 * 9 * 64**2 / 64) * 320 * 180


def test_a_preset_is_shown_as_it_fits_the_task(capsys) -> None:
    found = json.loads(run(capsys, "design", "show", "bbcu-m", "--task", "jpeg10", "--json")[1])
    assert (found["design"]["binarize"], found["design"]["depth"]) == (["body"], 18)
    assert found["label"] == "body, BBCU, 64×18"


def test_space_list_names_the_built_in_spaces(capsys) -> None:
    code, out, _ = run(capsys, "space", "list", "--json")
    assert code == 0
    assert "bbcu" in [s["name"] for s in json.loads(out)["spaces"]]
    assert "bbcu" in run(capsys, "space", "list")[1]


def test_design_show_prints_a_file_that_is_the_design(capsys, tmp_path) -> None:
    code, out, _ = run(capsys, "design", "show", "bbcu-m")
    assert code == 0
    assert PRESETS["bbcu-m"].key in out
    assert Design.from_dict(yaml.safe_load(out)) == PRESETS["bbcu-m"]
    file = tmp_path / "again.yaml"
    file.write_text(out)
    again = json.loads(run(capsys, "design", "show", str(file), "--json")[1])
    assert again["key"] == PRESETS["bbcu-m"].key


def test_cost_prints_the_paper_s_digits_and_plain_counts(capsys) -> None:
    code, out, _ = run(capsys, "cost", "bbcu-m")
    assert code == 0
    # Table 1: BBCU-M ×4.
    assert "3.95 G OPs, 51 K Params" in out
    # Table 6: the body's and the upsampling's operations in M, all binary here.
    assert "67,947.73" in out
    assert "76,441.19" in out
    found = json.loads(run(capsys, "cost", "bbcu-m", "--json")[1])
    fp = 3 * 9 * 64 * (1 + 16) * 320 * 180
    assert found["macs_fp"] == fp
    assert found["ops"] == pytest.approx(fp + found["macs_binary"] / 64)
    assert set(found["parts"]) >= {"head", "body", "upsampling", "tail"}
    assert sum(p["ops"] for p in found["parts"].values()) == pytest.approx(found["ops"])


def test_cost_grows_with_the_image(capsys) -> None:
    whole = json.loads(run(capsys, "cost", "bbcu-l", "--json")[1])
    quarter = json.loads(run(capsys, "cost", "bbcu-l", "--lq", "160x90", "--json")[1])
    assert quarter["ops"] == pytest.approx(whole["ops"] / 4)
    assert quarter["params"] == whole["params"]


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


@pytest.mark.parametrize("content", ["binarize: [bdy]", "widht: 3", "[", "- 1"])
def test_a_bad_design_file_is_named(capsys, tmp_path, content) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(content)
    code, out, err = run(capsys, "cost", str(file))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert str(file) in err


def test_debug_shows_the_traceback_wherever_it_stands(capsys) -> None:
    for args in (["--debug", "design", "show", "nope"], ["design", "show", "nope", "--debug"]):
        code, _, err = run(capsys, *args)
        assert code == 2
        assert "Traceback" in err
        assert err.splitlines()[-1].startswith("error: unknown preset")
    assert "Traceback" not in run(capsys, "design", "show", "nope")[2]


def test_a_fault_is_one_line_that_says_how_to_see_more(capsys) -> None:
    from bbnas.cli.console import guarded

    def fault() -> None:
        raise ZeroDivisionError("by\nzero")

    assert guarded(fault, debug=False) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "unexpected ZeroDivisionError: by zero" in err
    assert "--debug" in err
    assert guarded(fault, debug=True) == 1
    assert "Traceback" in capsys.readouterr().err


def test_a_full_disk_is_one_line(capsys) -> None:
    from bbnas.cli.console import guarded

    def write() -> None:
        with Path("/dev/full").open("w") as file:
            file.write("x")

    assert guarded(write, debug=False) == 2
    assert capsys.readouterr().err.startswith("error: No space left on device; free some space")


def test_an_interruption_is_130(capsys) -> None:
    from bbnas.cli.console import guarded

    def stop() -> None:
        raise KeyboardInterrupt

    assert guarded(stop, debug=False) == 130
    assert capsys.readouterr().err == "interrupted\n"


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


@pytest.mark.parametrize(
    ("text", "count"), [("5G", 5e9), ("100K", 1e5), ("1.5e9", 1.5e9), ("250 m", 2.5e8), ("7", 7)]
)
def test_counts_take_si_prefixes(text, count) -> None:
    from bbnas.cli.console import Count

    assert Count().convert(text, None, None) == count


@pytest.mark.parametrize("text", ["0", "-5G", "5GB", "lots", "", "1e999"])
def test_what_is_no_count_is_refused(text) -> None:
    import click

    from bbnas.cli.console import Count

    with pytest.raises(click.UsageError, match="such as 5G"):
        Count().convert(text, None, None)


def test_json_holds_null_where_a_number_is_not_finite(capsys) -> None:
    import numpy as np

    from bbnas.cli.console import print_json

    print_json({"a": float("nan"), "b": [np.float32(1.5), np.inf], "c": np.int64(3), "d": ("x",)})
    assert json.loads(capsys.readouterr().out) == {"a": None, "b": [1.5, None], "c": 3, "d": ["x"]}
