"""The documentation: complete, up to date, and its code runs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import pytest
import yaml

import bbnas
from bbnas.cli import cli
from bbnas.searching import samplers

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
SAMPLERS = DOCS / "guide" / "sampler.md"
NOTEBOOKS = sorted((DOCS / "notebooks").glob("*.ipynb"))

pytestmark = pytest.mark.skipif(not DOCS.exists(), reason="needs a source checkout")


def code(page: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def test_every_link_leads_somewhere() -> None:
    command = [sys.executable, str(DOCS / "build.py"), "check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


def test_the_navigation_has_every_page() -> None:
    def listed(entry: Any) -> set[str]:
        if isinstance(entry, str):
            return {entry}
        inner = entry.values() if isinstance(entry, dict) else entry
        return {page for item in inner for page in listed(item)}

    pages = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    pages |= {path.relative_to(DOCS).with_suffix(".md").as_posix() for path in NOTEBOOKS}
    made = {"index.md", "changelog.md", "contributing.md", "commands.md", "api"}
    navigation = yaml.safe_load((DOCS / "mkdocs.yml").read_text("utf-8"))["nav"]
    assert listed(navigation) == pages | made


@pytest.mark.parametrize("page", [ROOT / "README.md", *DOCS.rglob("*.md")], ids=lambda p: p.stem)
def test_commands_and_options_exist(page: Path) -> None:
    text = page.read_text("utf-8")
    shell = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [line for block in shell for line in block.replace("\\\n", "").splitlines()]
    for line in [*lines, *re.findall(r"`(bbnas [^`]+)`", text)]:
        if not line.startswith("bbnas "):
            continue
        words = line.split("#")[0].split()[1:]
        command: click.Command = cli
        while isinstance(command, click.Group) and words and not words[0].startswith("-"):
            command = command.commands[words.pop(0)]
        options = {name for p in command.params for name in (*p.opts, *p.secondary_opts)}
        asked = {word for word in words if re.match(r"-\w|--", word)}
        assert asked <= options | {"--help", "--version"}, line


# A measured time, and the names of a machine.
TIME = re.compile(r"\b[\d.,]+ ?(?:ms|min|h|s)\b|\b(?!per)\w+ (?:minutes?|milliseconds)\b")
MACHINE = re.compile(r"EPYC|[Mm]achine|AVX")
# Times that a machine does not change: the lease of a run, and the limits that a user gives.
SET = re.compile(r"every 15 s|after 60 s|`[^`\n]*`")


@pytest.mark.parametrize("page", [ROOT / "README.md", *DOCS.rglob("*.md")], ids=lambda p: p.stem)
def test_a_time_names_its_machine(page: Path) -> None:
    """In its section, or above the first section for the whole page."""
    text = SET.sub("", page.read_text("utf-8"))
    top, *sections = re.split(r"^## ", text, flags=re.MULTILINE)
    for section in (top, *sections):
        if found := TIME.search(section):
            assert MACHINE.search(section) or MACHINE.search(top), found[0]


def test_the_table_has_every_environment_variable() -> None:
    sources = [*ROOT.glob("bbnas/**/*.py"), *ROOT.glob("bbnas/native/src/*")]
    used = {
        name
        for path in sources
        for name in re.findall(r"(?<!_)BBNAS_[A-Z0-9_]+", path.read_text())
    }
    rows = re.findall(r"^\| `(BBNAS_\w+)`", (DOCS / "environment.md").read_text(), re.MULTILINE)
    assert set(rows) == used
    assert len(rows) == len(used)


def test_the_citation_is_of_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert citation["version"] == bbnas.__version__
    assert f"## [{bbnas.__version__}]" in (ROOT / "CHANGELOG.md").read_text("utf-8")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_small_and_was_run_from_top_to_bottom(path: Path) -> None:
    assert path.stat().st_size < 300_000
    cells = [c for c in json.loads(path.read_text("utf-8"))["cells"] if c["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert not [output for output in outputs if output["output_type"] == "error"]
    assert not [output for output in outputs if output.get("name") == "stderr"]


def test_a_shell_completes_commands() -> None:
    words = {"_BBNAS_COMPLETE": "bash_complete", "COMP_WORDS": "bbnas data fe", "COMP_CWORD": "2"}
    command = [sys.executable, "-m", "bbnas"]
    done = subprocess.run(
        command, env=os.environ | words, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == ["plain,fetch"]


def test_the_default_sampler_works_in_a_study_of_optuna(monkeypatch: pytest.MonkeyPatch) -> None:
    names = run(code(SAMPLERS)[0], monkeypatch)
    assert len(names["study"].trials) == 12
    assert names["study"].best_trials


def test_a_sampler_of_ones_own_searches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, own, search = code(SAMPLERS)
    assert len(own.splitlines()) <= 30
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(samplers.SAMPLERS, "balanced", None)  # gone after the test
    names = run(own + search, monkeypatch)
    study = bbnas.open_study("formula")
    assert study.config.sampler == "balanced"
    designs = [candidate.evaluation.design for candidate in study.candidates]
    assert len(designs) == names["result"].counts.done == 12
    # Balanced: both values of an axis that every trial asks come about equally often.
    assert abs(2 * sum(design.binary("body") for design in designs) - len(designs)) <= 4


def run(text: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The names of our own page's code after it ran as a module."""
    module = ModuleType("page")
    monkeypatch.setitem(sys.modules, "page", module)
    exec(compile(text, "page", "exec"), module.__dict__)  # noqa: S102
    return module.__dict__
