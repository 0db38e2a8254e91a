"""The fidelities that ship with bbnas: the command's own layout, and the figures of the pages."""

from __future__ import annotations

import json
import math
import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from bbnas.analysis.fidelity import summary
from bbnas.fidelity import Fidelity, Interval, MeasuredFidelity, of_content, to_content
from bbnas.protocol import PROTOCOLS, load_protocol
from bbnas.reporting.fidelity import folded, to_markdown
from bbnas.resources import builtin
from bbnas.store import Store
from bbnas.store.fidelities import (
    add_fidelity,
    find_fidelity,
    shipped_fidelities,
    shipped_fidelity,
)
from bbnas.store.tables import COMPARABLE
from bbnas.tasks import TASKS, get_task
from bbnas.text import from_json, to_json

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PROXY = PROTOCOLS["proxy"]
SR4 = get_task("sr4")
SHIPPED = builtin("fidelities", ".json")
in_a_checkout = pytest.mark.skipif(not DOCS.exists(), reason="needs a source checkout")


def measured(**changes: object) -> MeasuredFidelity:
    result = Fidelity(
        designs=6,
        useful=4,
        floor=24.5,
        kendall_tau=Interval(0.8, 0.5, 1.0),
        spearman_rho=Interval(0.9, 0.6, 1.0),
        ordered_pairs=None,
        pairs=0,
        top=0.5,
        proxy_noise=None,
        long_noise=0.02,
        proxy_seconds=5.0,
        long_seconds=60.0,
        baselines={"OPs": Interval(0.3, -0.1, 0.6)},
        biases=(),
    )
    environment = {"cpu": "a processor", "kernels": "torch"}
    known = MeasuredFidelity("sr4", "s", PROXY, PROXY, "d", result, environment, "2026-01-02")
    return replace(known, **changes)  # type: ignore[arg-type]


def test_what_the_command_prints_is_what_ships() -> None:
    other = measured(protocol=load_protocol("proxy,iterations=500"))
    found = [measured(), other]
    assert of_content(from_json(to_json(to_content(found)))) == found


def test_a_tau_of_equal_ranks_is_kept_as_unknown(tmp_path: Path) -> None:
    level = replace(measured().result, kendall_tau=Interval(math.nan, math.nan, math.nan))
    store = Store(f"sqlite:///{tmp_path}/f.db", create=True)
    add_fidelity(store, measured(result=level))
    found = find_fidelity(store, SR4, PROXY, "d")
    assert found is not None
    assert math.isnan(found.result.kendall_tau.value)
    assert found.measured >= "2026"
    assert str(found.result.kendall_tau) == "–"


@pytest.mark.parametrize("task", SHIPPED)
def test_every_shipped_file_is_whole(task: str) -> None:
    found = shipped_fidelities(get_task(task))
    content = json.loads(SHIPPED[task].read_text("utf-8"))
    # Only of the proxy that was measured: after a change of the proxy nothing is quoted.
    same = [f for f in found if f.protocol.with_seed(0).key == PROXY.with_seed(0).key]
    assert shipped_fidelity(get_task(task), PROXY, found[0].data) == next(iter(same), None)
    for each in found:
        assert (each.task, each.shipped) == (task, True)
        assert each.earlier == (content["schema"] < COMPARABLE)
        assert each.environment["cpu"] in each.machine
        assert each.measured in each.machine
        for interval in (each.result.kendall_tau, each.result.spearman_rho):
            assert interval.low <= interval.value <= interval.high <= 1
        assert shipped_fidelity(get_task(task), each.protocol.with_seed(5), each.data) == each
        elsewhere = shipped_fidelity(get_task(task), each.protocol, "other images")
        assert elsewhere is not None
        assert elsewhere.other_images
        assert "on other images" in elsewhere.origin
        (first, *_) = summary(each)
        assert each.machine in first
        assert ("earlier version" in first) == each.earlier
    unknown = load_protocol("proxy,iterations=7")
    assert shipped_fidelity(get_task(task), unknown, found[0].data) is None


def test_a_task_without_a_file_has_none() -> None:
    (without, *_) = [task for name, task in TASKS.items() if name not in SHIPPED]
    assert shipped_fidelities(without) == []


@in_a_checkout
def test_the_page_is_what_the_command_writes_of_the_shipped_file() -> None:
    command = json.loads(SHIPPED["sr4"].read_text("utf-8"))["command"]
    command = command.replace("--json", "-o docs/proxies.md")
    assert (DOCS / "proxies.md").read_text("utf-8") == to_markdown(
        shipped_fidelities(SR4), command
    )


@in_a_checkout
@pytest.mark.parametrize("task", SHIPPED)
def test_the_table_of_measurements_has_the_shipped_figures(task: str) -> None:
    (row,) = re.findall(
        rf"^\| {task}(?:, (\d+) designs)? \| (.+) \|$",
        (DOCS / "measurements.md").read_text("utf-8"),
        re.MULTILINE,
    )
    found = shipped_fidelities(get_task(task))[0].result
    assert found.designs == int(row[0] or 24)
    assert found.ordered_pairs is not None
    free = ", ".join(f"{found.baselines[name].value:.2f}" for name in ("OPs", "Params"))
    assert row[1].split(" | ") == [
        str(found.kendall_tau),
        str(found.spearman_rho),
        f"{100 * found.ordered_pairs:.0f} % of {found.pairs}",
        f"{100 * found.top:.0f} %",
        free,
        f"{found.proxy_seconds:.1f}, {found.long_seconds:.0f}",
    ]


@in_a_checkout
def test_readme_quotes_the_shipped_figure() -> None:
    text = " ".join((ROOT / "README.md").read_text("utf-8").split())
    assert f"Kendall τ {shipped_fidelities(SR4)[0].result.kendall_tau}" in text


def test_a_folded_command_is_the_same_command() -> None:
    command = "bbnas fidelity " + " ".join(f"--protocol proxy,iterations={n}" for n in range(9))
    command += " -o 'a folder/page.md'"
    lines = folded(command).splitlines()
    assert len(lines) > 1
    assert max(map(len, lines)) <= 93
    assert shlex.split("".join(line.removesuffix("\\") for line in lines)) == shlex.split(command)
