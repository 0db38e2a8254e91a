"""Protocols by name, by file, and with changes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from bbnas.errors import UserError
from bbnas.protocol import PROTOCOLS, Protocol, load_protocol

PROXY = PROTOCOLS["proxy"]


def test_changes_follow_a_name_or_a_file(tmp_path: Path) -> None:
    assert load_protocol("proxy") == PROXY
    found = load_protocol("proxy,iterations=400,learning_rate=8e-3,schedule=halve")
    assert found.name == "proxy,iterations=400,learning_rate=8e-3,schedule=halve"
    assert (found.iterations, found.learning_rate, found.schedule) == (400, 8e-3, "halve")
    assert found.rungs == (50, 200)  # the same shares
    assert (found.batch, found.patch) == (PROXY.batch, PROXY.patch)
    assert load_protocol("proxy,iterations=1").rungs == ()
    path = tmp_path / "mine.yaml"
    path.write_text("{iterations: 10, batch: 2, patch: 8, learning_rate: 0.001}")
    assert load_protocol(f"{path},batch=3").batch == 3
    assert load_protocol(f"{path},batch=3").name == "mine,batch=3"


YOUNGER = {
    "augment",
    "latent_rate",
    "ema",
    "progressive",
    "distill",
    "distill_features",
    "precision",
}  # than stored results


def test_the_keys_of_stored_results_stay() -> None:
    """They are those from before protocols had the younger fields."""
    for protocol in PROTOCOLS.values():
        before = protocol.model_dump(exclude={"name", "rungs", "noise", *YOUNGER})
        if protocol.shift_rate == 1:
            del before["shift_rate"]
        digest = hashlib.sha256(json.dumps(before, sort_keys=True).encode()).hexdigest()
        assert protocol.key == digest[:12]
    assert PROXY.augment == "dihedral"
    assert PROXY.model_dump()["augment"] == "dihedral"
    stored = {name: value for name, value in PROXY.model_dump().items() if name != "augment"}
    assert Protocol.model_validate(stored) == PROXY
    for change in (
        "latent_rate=0.5",
        "ema=0.9",
        "progressive=0.1",
        "distill=1",
        "distill_features=0.01",
        "schedule=cosine",
    ):
        assert load_protocol(f"proxy,{change}").key != PROXY.key
    plain = load_protocol("proxy,augment=none")
    assert plain.augment == "none"
    assert plain.key != PROXY.key
    with pytest.raises(UserError, match="augment"):
        load_protocol("proxy,augment=mirror")
    assert load_protocol("proxy,precision=bf16").key != PROXY.key


def test_rungs_come_after_progressive_binarization() -> None:
    assert load_protocol("proxy,progressive=0.1").rungs == (125, 500)
    assert load_protocol("proxy,progressive=0.125").rungs == (500,)
    assert load_protocol("proxy,progressive=0.5").rungs == ()
    assert load_protocol("proxy,progressive=0.25,iterations=400").rungs == (200,)
    with pytest.raises(ValueError, match=r"rungs \[125, 500\]: must come after the first 0.2 of"):
        PROXY.replace(progressive=0.2)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("proxi,iterations=5", "unknown protocol"),
        ("proxy,iterations", "'iterations' must be FIELD=VALUE"),
        ("proxy,", "must be FIELD=VALUE"),
        ("proxy,patches=3", "unknown key 'patches'.*did you mean 'patch'"),
        ("proxy,iterations=0", "iterations = 0: must be greater than or equal to 1"),
        ("proxy,iterations=many", "iterations = 'many'"),
        ("proxy,rungs=[1]", "rungs are for a YAML file"),
        ("proxy,ema=1", "ema = 1: must be less than 1"),
        ("proxy,progressive=1.5", "progressive = 1.5: must be less than 1"),
        ("proxy,latent_rate=0", "latent_rate = 0: must be greater than 0"),
        ("proxy,schedule=step", "schedule = 'step'"),
        ("proxy,batch={", "not valid YAML"),
    ],
)
def test_a_change_that_is_none_is_refused(text: str, error: str) -> None:
    with pytest.raises(UserError, match=error):
        load_protocol(text)
