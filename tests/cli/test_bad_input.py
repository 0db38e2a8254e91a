from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["search", "--space", "bbcuu"], "did you mean 'bbcu'"),
        (["search", "--task", "sr5"], "did you mean 'sr4'"),
        (["search", "--sampler", "tpee"], "did you mean 'tpe'"),
        (["search", "--guide", "vcv"], "did you mean 'vcvp'"),
        (["search", "--protocol", "prox"], "did you mean 'proxy'"),
        (["search", "--protocol", "none.yaml"], "none.yaml: cannot be read"),
        (["search", "--objectives", "psnr,op"], "did you mean 'ops'"),
        (["search", "--baselines", "bbcu-x"], "did you mean 'bbcu-"),
        (["search", "--budget", "0"], "budget 0: must be at least 1"),
        (["search", "--budget", "-3"], "budget -3: must be at least 1"),
        (["search", "--budget", "many"], "'many' is not a valid integer"),
        (["search", "--workers", "0"], "0 is not in the range x>=1"),
        (["search", "--confirm", "1"], "confirm 1: must be 0, or 2 or more"),
        (["search", "--max-ops", "5GB"], "such as 5G"),
        (["search", "--space", "one.yaml", "--max-ops", "1"], "max_ops"),
        (["search", "--storage", "mysqql://x"], "mysqql"),
        (["search", "--name", "../x"], "study name '../x'"),
        (["search", "--data", "nowhere"], "nowhere"),
        (["search", "--device", "cudda"], "unknown device 'cudda'"),
        (["report", "frist"], "did you mean 'first'"),
        (["report", "first", "--pick", "knea"], "unknown pick 'knea'"),
        (["export", "first", "--pick", "trial 99"], "no trial 99"),
        (["export", "first", "--max-params", "1"], "no candidate has at most 1"),
        (["benefit", "--task", "sr44"], "did you mean 'sr4'"),
        (["train", "none.yaml"], "none.yaml"),
        (["train", "odd.yaml"], "did you mean 'design'"),
        (["evaluate", "none.safetensors", "--benchmark", "Set5"], "none.safetensors"),
        (["evaluate", "bicubic", "--benchmark", "nowhere", "--task", "sr4"], "nowhere"),
        (["restore", "odd.yaml", "--model", "none.safetensors", "-o", "out"], "none.safetensors"),
        (["report", "other.db"], "another program"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_one_line_and_exit_code_2(at_home, home, args, says) -> None:
    import sqlite3

    (home / "one.yaml").write_text("version: 1\naxes: {binarize: [[body]], width: 16, depth: 16}")
    (home / "odd.yaml").write_text("desing: bbcu-m\ntask: sr4\n")
    with sqlite3.connect(home / "other.db") as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS songs (name TEXT)")
    if args[0] == "search" and "--protocol" not in args:
        args = [*args, "--protocol", "tiny.yaml"]
    if args[0] == "search" and "--workers" not in args:
        args = [*args, "--workers", "1", "--quiet"]
    code, out, err = at_home(*args)
    assert code == 2, err
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert says in err
