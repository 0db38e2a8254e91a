"""YAML as a user may write it: values, or one line that names file, line and rule."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

from bbnas.cli import main
from bbnas.design import Design
from bbnas.errors import UserError
from bbnas.schema import parse_yaml, read_yaml

PACKAGE = Path(__file__).parents[1] / "bbnas"

# The content of a file, and the line that is at fault.
FAULTS = {
    "a date that does not exist": ("a: 1\nb: 2026-02-31\n", 2),
    "a deep list": ("a: 1\n\nb: " + "[" * 5000, 3),
    "a long integer": ("a: " + "1" * 5001, 1),
    "an integer of more than 64 bits": ("a: 1\nb: 9223372036854775808\n", 2),
    "a tag without its value": ("a: !!int x\n", 1),
    "no boolean": ("a: 1\nb: !!bool maybe\n", 2),
    "no timestamp": ("a: !!timestamp now\n", 1),
    "an object of Python": ("a: !!python/object/apply:os.system [true]\n", 1),
    "a tab": ("a: 1\n\tb: 2\n", 2),
    "an open bracket": ("a: 1\nb: [1,\n", 3),
    "a list as a key": ("a: 1\n? [1]\n: 2\n", 2),
    "a control character": ("a: 1\nb: \x07\n", 2),
    "an alias of nothing": ("a: *b\n", 1),
    "an alias inside its anchor": ("a: 1\nb: &b [*b]\n", 2),
    "two documents": ("a: 1\n---\nb: 1\n", 2),
}
# Nine levels of nine aliases: 9⁹ values in 300 bytes.
LAUGHS = "l0: &l0 [1]\n" + "".join(f"l{n + 1}: &l{n + 1} [{f'*l{n},' * 9}]\n" for n in range(9))
MERGES = "l0: &l0 {a: 1}\n" + "".join(
    f"l{n + 1}: &l{n + 1}\n  <<: [{f'*l{n},' * 9}]\n" for n in range(9)
)
COMMANDS = {
    "a recipe": "train FILE",
    "a design": "cost FILE",
    "a space": "space show FILE",
    "a protocol": "search --protocol FILE",
    "an ablation": "ablation show FILE",
}


@pytest.mark.parametrize(("text", "line"), FAULTS.values(), ids=FAULTS)
def test_a_fault_has_its_file_and_line(text: str, line: int, tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(text)
    with pytest.raises(UserError) as error:
        read_yaml(file)
    assert str(error.value).startswith(f"{file}, line {line}: ")
    assert len(str(error.value)) < len(str(file)) + 300


@pytest.mark.parametrize("text", [LAUGHS, MERGES], ids=["lists", "merges"])
def test_a_short_file_cannot_hold_billions_of_values(text: str) -> None:
    with pytest.raises(UserError, match=r"x, line \d+: .*values"):
        parse_yaml(text, "x")


def test_aliases_and_merges_are_read() -> None:
    text = "a: &a {b: [1, 2.5], c: 2026-02-28}\nd: *a\ne: {<<: *a, c: off}\n"
    read = parse_yaml(text, "x")
    assert read["d"] == read["a"]
    assert read["e"] == {"b": [1, 2.5], "c": False}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
@pytest.mark.parametrize("fault", list(FAULTS)[:3])
def test_every_command_that_reads_yaml_refuses_it(
    command: str,
    fault: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    text, line = FAULTS[fault]
    Path("x.yaml").write_text(text)
    assert main([word.replace("FILE", "x.yaml") for word in command.split()]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"error: x.yaml, line {line}: ")
    assert err.count("\n") == 1


def test_a_message_does_not_quote_a_long_value(tmp_path: Path) -> None:
    file = tmp_path / "design.yaml"
    for content in ({"norm": "x" * 10_000}, {"binarize": list("x" * 1000)}, {"k" * 1000: 1}):
        file.write_text(json.dumps(content))
        with pytest.raises(UserError) as error:
            Design.from_yaml(file)
        assert len(str(error.value)) < 600


def test_yaml_is_parsed_in_one_place_and_json_of_users_in_one() -> None:
    def calls(path: Path) -> set[str]:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        return {
            f"{node.func.value.id}.{node.func.attr}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
        }

    parsers = {
        *("yaml.load", "yaml.safe_load", "yaml.load_all", "yaml.compose", "csv.reader"),
        *("csv.DictReader", "pd.read_csv", "pickle.load", "pickle.loads", "torch.load"),
    }
    found = {
        (path.relative_to(PACKAGE).as_posix(), call)
        for path in PACKAGE.rglob("*.py")
        for call in calls(path) & parsers
    }
    # These CSV files come with bbnas: no CSV of a user is read. A foreign checkpoint is read by
    # weights_only (tests/inference/test_importing.py).
    assert found == {
        ("data/datasets.py", "csv.DictReader"),
        ("paper/printed.py", "csv.DictReader"),
        ("inference/importing.py", "torch.load"),
    }
