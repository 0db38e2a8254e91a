from __future__ import annotations

import io
import json
import shutil
import socket
from pathlib import Path

from drivers import Driver, evaluated

from tests.cli.small import SEARCH


def test_studies_are_listed_and_shown(at_home) -> None:
    code, out, err = at_home("studies", "list", "--json")
    assert (code, err) == (0, "")
    (one,) = json.loads(out)["studies"]
    searched = json.loads(at_home(*SEARCH, "--budget", "4", "--json", "-q")[1])
    assert (one["study"], one["task"], one["space"]) == ("first", "sr4", "small")
    assert one["designs"] == searched["evaluated"] == 4
    assert one["best_psnr"] == max(point["psnr"] for point in searched["front"])
    assert one["finished"]

    table = at_home("studies", "list")[1]
    shown = " ".join(table.split())
    for told in ("first", "sr4", "small", "4", f"{one['best_psnr']:.2f}", one["recommended"]):
        assert told in shown
    one_study = json.loads(at_home("studies", "show", "studies/first.db", "--json")[1])
    assert {key: one_study[key] for key in one} == one
    assert one_study["settings"]["Search"]["space"]
    assert (one_study["budget"], one_study["training"], one_study["searches"]) == (4, 0, [])
    assert one_study["front"] == searched["front"]
    code, out, _ = at_home("studies", "show", "first")
    assert code == 0
    shown = " ".join(out.split())
    for told in (one["recommended"], "4 of 4, 0 in training", "nobody", one["storage"], "front: "):
        assert told in shown


def test_a_study_tells_who_searches_it(tmp_path: Path, at_home) -> None:
    driver = Driver(tmp_path, 9, formula={"seconds": 60})
    driver.wait_for(lambda: evaluated(tmp_path / "log").total() == 1)
    storage = str(tmp_path / "quick.db")
    shown = " ".join(at_home("studies", "show", "quick", "--storage", storage)[1].split())
    searched = at_home("studies", "show", "quick", "--storage", storage, "--json")[1]
    driver.kill()
    assert "0 of 9, 1 in training" in shown
    assert f"process {driver.process.pid} on {socket.gethostname()} since" in shown
    (search,) = json.loads(searched)["searches"]
    assert search["process"] == driver.process.pid


def test_a_list_needs_no_study_and_tells_what_is_torn(at_home, monkeypatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    assert at_home("studies", "list")[0] == 0
    assert json.loads(at_home("studies", "list", "--json")[1]) == {"studies": []}
    Path("studies").mkdir()
    Path("studies/torn.db").write_bytes(b"x" * 5000)
    code, _, err = at_home("studies", "list")
    assert code == 0
    assert "torn.db" in err
    code, _, err = at_home("studies", "list", "--storage", "none.db")
    assert (code, err.count("\n")) == (2, 1)


def test_workers_tell_what_they_trained(at_home) -> None:
    at_home(*SEARCH, "--budget", "4", "-q")
    code, out, err = at_home("workers", "first", "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert sum(w["ended"] + w["stopped"] + w["failed"] for w in found["workers"]) >= 4
    assert all(w["trial"] is None for w in found["workers"])
    code, out, _ = at_home("workers", "first")
    assert code == 0
    assert found["workers"][0]["host"] in out
    code, _, err = at_home("workers", "none")
    assert code == 2
    assert err.startswith("error: unknown study")


def test_a_study_is_renamed_and_then_deleted_when_the_question_is_answered(
    at_home, monkeypatch
) -> None:
    shutil.copy("studies/first.db", "studies/copy.db")
    told = "first is now second, in sqlite:///studies/second.db\n"
    assert at_home("studies", "rename", "copy", "second") == (0, told, "")
    assert not Path("studies/copy.db").exists()
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    code, out, err = at_home("studies", "delete", "second")
    assert (code, out) == (0, "nothing is removed\n")
    assert "4 designs" in err
    for nobody in (io.StringIO(), None):
        monkeypatch.setattr("sys.stdin", nobody)
        code, out, err = at_home("studies", "delete", "second")
        assert (code, out) == (2, "")
        assert "--yes removes unasked" in err.splitlines()[-1]
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    assert at_home("studies", "delete", "second")[0] == 0
    assert "unknown study" in at_home("studies", "show", "second")[2]
    assert at_home("studies", "show", "first")[0] == 0
