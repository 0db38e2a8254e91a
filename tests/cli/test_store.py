from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path

import pandas as pd

from bbnas.store.tables import SCHEMA_VERSION


def test_databases_are_checked_and_the_exit_code_says(at_home) -> None:
    code, out, err = at_home("store", "check")
    assert (code, err) == (0, "")
    assert out.splitlines()[-1] == "sound"
    shutil.copy("studies/first.db", "torn.db")
    with sqlite3.connect("torn.db") as database:
        database.execute("UPDATE bbnas_evaluations SET status = 'fine' WHERE id = 1")
    code, out, _ = at_home("store", "check", "torn.db", "--json")
    assert code == 1
    told = json.loads(out)
    assert not told["sound"]
    assert told["databases"][0]["problems"]
    assert at_home("store", "check", "--storage", "torn.db")[0] == 1
    Path("torn.db").write_bytes(Path("torn.db").read_bytes()[:5000])
    code, out, err = at_home("store", "check", "torn.db")
    assert (code, err) == (1, "")
    assert out.startswith("problem: ")


def test_an_older_database_is_upgraded_by_the_command_that_the_error_names(at_home) -> None:
    Path("old.db").unlink(missing_ok=True)
    with sqlite3.connect("old.db") as database:
        script = Path(__file__).parents[1] / "store" / "schema_4.sqlite.sql"
        database.executescript(script.read_text())
    code, _, err = at_home("studies", "list", "--storage", "old.db")
    assert code == 2
    remedy = err[err.index("bbnas store upgrade") :].split()[1:4]
    code, out, err = at_home(*remedy)
    assert (code, err) == (0, "")
    assert "old.db.schema-4 is what was before" in out
    assert "up to date" in at_home(*remedy)[1]
    assert at_home("studies", "list", "--storage", "old.db")[0] == 0
    assert json.loads(at_home(*remedy, "--json")[1])["databases"][0]["after"] == SCHEMA_VERSION


def test_a_database_that_cannot_be_upgraded_keeps_no_other_from_it(
    at_home, tmp_path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("studies").mkdir()
    script = (Path(__file__).parents[1] / "store" / "schema_4.sqlite.sql").read_text()
    for name in ("a", "b", "c"):
        with sqlite3.connect(f"studies/{name}.db") as database:
            database.executescript(script)
            if name == "b":
                database.execute("UPDATE bbnas_version SET version = 3")
    code, out, err = at_home("store", "upgrade", "--no-backup")
    assert (code, out.count("no copy is kept"), err.count("\n")) == (2, 2, 1)
    assert "studies/b.db" in err


def test_a_study_is_written_and_read_back(at_home) -> None:
    for file in ("first.csv", "first.parquet", "kept/first.json"):
        assert at_home("store", "export", "first", file) == (0, f"wrote {file}\n", "")
    table = pd.read_parquet("first.parquet")
    assert len(table) == len(pd.read_csv("first.csv")) == 4
    assert list(table.columns) == list(pd.read_csv("first.csv").columns)
    code, out, err = at_home("store", "import", "kept/first.json", "--name", "again")
    assert (code, err) == (0, "")
    assert out.splitlines()[-1] == "next: bbnas studies show again"
    shown = [json.loads(at_home("studies", "show", s, "--json")[1]) for s in ("first", "again")]
    assert [one["recommended"] for one in shown] == [shown[0]["recommended"]] * 2
    code, _, err = at_home("store", "import", "kept/first.json", "--name", "again")
    assert code == 2
    assert "already" in err
    code, out, _ = at_home("store", "merge", "first", "again", "--into", "both")
    assert code == 0
    assert "4 designs, 4 of both" in out
    code, _, err = at_home("store", "merge", "first", "again", "--into", "both")
    assert (code, err.count("\n")) == (2, 1)
    for args in (("export", "first", "x.txt"), ("import", "first.csv")):
        code, _, err = at_home("store", *args)
        assert (code, err.count("\n")) == (2, 1)
        assert ".json" in err
    for name in ("again", "both"):
        assert at_home("studies", "delete", name, "--yes")[0] == 0


def test_optunas_dashboard_gets_a_database_of_its_own(at_home) -> None:
    Path("first.optuna.db").unlink(missing_ok=True)
    for database, code in (("first.optuna.db", 0), ("sqlite:///first.optuna.db", 2)):
        ended, out, err = at_home("store", "to-optuna", "first", database)
        assert ended == code
        assert err.count("\n") == (code > 0)
        assert out in ("", OPTUNA)


OPTUNA = (
    "4 trials in sqlite:///first.optuna.db\nnext: optuna-dashboard sqlite:///first.optuna.db\n"
)
