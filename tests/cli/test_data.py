from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bbnas.data.sets import SETS, Source
from tests.cli.test_cli import HEAVY, run
from tests.data.serving import serving

SET5 = ("baby", "bird", "butterfly", "head", "woman")


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("BBNAS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("BBNAS_DATA", raising=False)
    return tmp_path


@pytest.fixture
def root(tmp_path) -> Path:
    folder = tmp_path / "data" / "Set5"
    folder.mkdir(parents=True)
    for seed, name in enumerate(SET5):
        pixels = np.random.default_rng(seed).integers(0, 256, (250, 300, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{name}.png")
    return tmp_path / "data"


def test_list_names_every_set_with_its_place_and_terms(capsys, root) -> None:
    code, out, err = run(capsys, "data", "list", "--data-root", str(root))
    assert (code, err) == (0, "")
    for known in SETS.values():
        assert known.name in out
        assert f"{known.folder}/" in out
        if known.source is None:
            assert f"{known.name}: ask for it at {known.page}" in out
    assert re.search(r"Set5 +sr 2/3/4 +5 .* there ", out)
    assert re.search(r"Set14 +sr 2/3/4 +14 .* fetch ", out)

    found = json.loads(run(capsys, "data", "list", "--data-root", str(root), "--json")[1])
    by_name = {one["name"]: one for one in found["sets"]}
    assert by_name.keys() == SETS.keys()
    assert by_name["Set5"]["found"] == str(root / "Set5")
    assert by_name["Set14"]["found"] is None
    assert by_name["DIV2K-train"]["images"] == 800
    assert by_name["DIV2K-train"]["checksum"].startswith("md5:")
    assert by_name["LIVE1"]["addresses"] == []


def test_check_of_what_is_in_order(capsys, root, monkeypatch) -> None:
    monkeypatch.setenv("BBNAS_DATA", str(root))
    for names in (["Set5"], ["set5"], []):  # without a name: what is there
        code, out, err = run(capsys, "data", "check", *names)
        assert (code, err) == (0, "")
        assert re.search(r"Set5 +complete +5 of 5 ", out)
    found = json.loads(run(capsys, "data", "check", "Set5", "--json")[1])["sets"]
    assert len(found) == 1
    assert found[0]["ok"] is True
    assert (found[0]["images"], found[0]["expected"]) == (5, 5)


def test_check_names_what_is_wrong_and_ends_with_2(capsys, root) -> None:
    (root / "Set5" / "bird.png").write_text("no image")
    (root / "Set5" / "baby.png").unlink()
    Image.new("RGB", (300, 250)).save(root / "Set5" / "lena.png")
    for names in (["Set5"], []):
        code, out, err = run(capsys, "data", "check", *names, "--data-root", str(root))
        assert code == 2
        assert err.startswith(f"error: Set5, {root / 'Set5'}: 1 cannot be decoded: bird.png")
        assert err.count("\n") == 1
        assert "Set5, missing: baby\n" in out
        assert "Set5, surplus: lena.png\n" in out
        assert "Set5, undecodable: bird.png (not a readable" in out
    code, out, _ = run(capsys, "data", "check", "Set5", "--json", "--data-root", str(root))
    found = json.loads(out)["sets"][0]
    assert code == 2
    assert (found["ok"], found["missing"], found["surplus"]) == (False, ["baby"], ["lena.png"])
    assert found["undecodable"].keys() == {"bird.png"}


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["check", "Set5", "Set14"], "Set14, below ROOT: not there; get it by: bbnas data fetch"),
        (["check", "manga109"], "ask for it at http://www.manga109.org/en/"),
        (["check", "Set6"], "did you mean 'Set5'"),
        (["fetch", "LIVE1"], "it must be asked for at https://live.ece.utexas.edu/"),
        (["fetch", "Kodak42"], "did you mean 'Kodak24'"),
    ],
)
def test_bad_input_is_one_line(capsys, root, args, says) -> None:
    code, _, err = run(capsys, "data", *args, "--data-root", str(root))
    assert code == 2
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert says.replace("ROOT", str(root)) in err


def test_no_data_root_is_one_line(capsys) -> None:
    for args in (["check"], ["fetch", "Set5"]):
        code, out, err = run(capsys, "data", *args)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert "--data-root DIR or set BBNAS_DATA" in err
    assert run(capsys, "data", "list")[0] == 0  # which needs none


def test_prepare_says_what_it_made_and_then_that_it_made_nothing(capsys, root, places) -> None:
    folder = str(root / "Set5")
    code, out, err = run(capsys, "data", "prepare", folder, "--task", "sr2")
    assert (code, err) == (0, "")
    assert "5 photographs from Set5: 4 to train on, 1 held out" in out
    packs = sorted((places / "cache").glob("*.rgb"))
    assert len(packs) == 2
    for pack in packs:
        assert f"{pack.stat().st_size / 1e6:,.1f} MB  {pack}" in out
    assert re.search(r"1\.4 MB in all, made in \d+ s \(.+\)\n", out)
    assert (
        "1.4 MB in all, all of it was there already\n"
        in run(capsys, "data", "prepare", folder, "--task", "sr2")[1]
    )
    found = json.loads(run(capsys, "data", "prepare", folder, "--task", "sr2", "--json")[1])
    assert found["bytes"] == 5 * 250 * 300 * 3 + 4 * 125 * 150 * 3
    assert (found["made"], found["files"]) == (0, [str(pack) for pack in packs])


@pytest.mark.parametrize(
    ("args", "says"),
    [(["nowhere"], "nowhere"), ([".", "--task", "sr5"], "'sr4'")],
)
def test_prepare_of_what_is_not_there(capsys, args, says) -> None:
    code, out, err = run(capsys, "data", "prepare", *args)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert says in err


def test_fetch_from_a_server(capsys, root, places, monkeypatch) -> None:
    files = {f"/{name}.png": (root / "Set5" / f"{name}.png").read_bytes() for name in SET5}
    with serving() as server:
        server.files.update(files)
        addresses = tuple(f"{server.address}{path}" for path in files)
        known = replace(SETS["Set5"], source=Source(addresses, "", "the test"))
        monkeypatch.setitem(SETS, "Set5", known)
        new = places / "new"
        server.cut = 50_000
        code, out, err = run(capsys, "data", "fetch", "set5", "--data-root", str(new))
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert "run the same command again to resume" in err
        server.cut = None
        code, out, err = run(capsys, "data", "fetch", "set5", "--data-root", str(new))
        assert (code, err) == (0, "")
        assert f"Set5: 5 images in {new / 'Set5'}\n" in out
        assert known.terms in out
        args = ["data", "fetch", "Set5", "--data-root", str(new), "--json"]
        again = json.loads(run(capsys, *args)[1])
        assert again["fetched"] == [{"name": "Set5", "folder": str(new / "Set5"), "images": 0}]
        assert run(capsys, "data", "check", "Set5", "--data-root", str(new))[0] == 0


def test_progress_in_a_pipe_is_lines_with_the_time_left(capsys, monkeypatch) -> None:
    from bbnas.cli import progress
    from bbnas.data.sets import DataProgress

    monkeypatch.setattr(progress, "LINE_SECONDS", 0)
    with progress.work_progress(quiet=False) as show:
        show(DataProgress("downloading x.zip", 1_000_000, 4_000_000, in_bytes=True))
        show(DataProgress("checking Set5", 2, 5))
        show(DataProgress("downloading y", 3_000_000, None, in_bytes=True))
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(" | ")[:2] for line in lines] == [
        ["1/4 MB", "downloading x.zip"],
        ["2/5", "checking Set5"],
        ["3 MB", "downloading y"],
    ]
    assert ["left" in line for line in lines] == [True, True, False]
    with progress.work_progress(quiet=True) as show:
        assert show is None


def test_a_terminal_gets_a_bar(tmp_path) -> None:
    """In a pseudo-terminal, as ``script`` opens one."""
    code = (
        "from bbnas.cli.progress import work_progress\n"
        "from bbnas.data.sets import DataProgress\n"
        "with work_progress(False) as show:\n"
        "    for done in range(1, 4): show(DataProgress('checking Set5', done, 3))\n"
        "    show(DataProgress('comparing MD5', 1, 2, in_bytes=True))\n"
    )
    ours, theirs = pty.openpty()
    repository = str(Path(__file__).parents[2])
    environ = os.environ | {"PYTHONPATH": repository, "TERM": "xterm", "COLUMNS": "100"}
    done = subprocess.run([sys.executable, "-c", code], check=False, stderr=theirs, env=environ)
    os.close(theirs)
    shown = os.read(ours, 1 << 16).decode()
    os.close(ours)
    assert done.returncode == 0
    assert "comparing MD5" in shown
    assert "0/0 MB" in shown


def test_list_and_check_import_nothing_heavy(root) -> None:
    code = (
        "from bbnas.cli import main\n"
        f"main(['data', 'list', '--data-root', {str(root)!r}])\n"
        f"main(['data', 'check', '--data-root', {str(root)!r}])\n"
        f"import sys; print('HEAVY', *[m for m in {HEAVY} if m in sys.modules])\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.splitlines()[-1] == "HEAVY"
