from __future__ import annotations

import json


def test_findings_are_lines_or_json(at_home) -> None:
    code, out, _ = at_home("findings", "first")
    assert code == 0
    assert all(line.startswith("- ") for line in out.splitlines())
    code, out, _ = at_home("findings", "first", "--json")
    found = json.loads(out)
    assert code == 0
    assert set(found) == {"study", "candidates", "effects", "untested"}
    for effect in found["effects"]:
        assert effect["low"] <= effect["effect"] <= effect["high"]
        assert effect["source"] in ("matched pairs", "fit")
    code, _, err = at_home("findings", "none")
    assert (code, err.count("\n")) == (2, 1)
