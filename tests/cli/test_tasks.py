from __future__ import annotations

import json

from tests.cli.test_cli import run


def test_tasks_are_listed_with_how_they_are_measured(capsys, monkeypatch) -> None:
    monkeypatch.setattr("bbnas.cli.console.PIPE_WIDTH", 200)  # a task in one line
    code, out, _ = run(capsys, "tasks", "--json")
    found = {task["name"]: task for task in json.loads(out)["tasks"]}
    assert code == 0
    assert list(found) == [
        *("sr2", "sr3", "sr4"),
        *("denoise15", "denoise25", "denoise50", "denoise"),
        *("jpeg10", "jpeg20", "jpeg30", "jpeg40", "jpeg"),
    ]
    _, table, _ = run(capsys, "tasks")
    lines = {line.split()[0]: line for line in table.splitlines() if line.strip()}
    for name, task in found.items():
        for told in (task["backbone"]["title"], task["metric"], str(task["level"])):
            assert told in lines[name]
        assert all(benchmark in lines[name] for benchmark in task["benchmarks"])
