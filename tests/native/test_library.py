from __future__ import annotations

import pytest

from bbnas.errors import UserError
from bbnas.native import ISAS, choose_isa, isas, kernels


def test_what_trains_follows_the_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    for isa in isas():
        monkeypatch.setenv("BBNAS_ISA", isa)
        assert kernels() == f"native {isa}"
    monkeypatch.setenv("BBNAS_ISA", "torch")
    assert kernels() == "torch"
    monkeypatch.delenv("BBNAS_ISA")
    assert kernels("cuda:0") == "torch"
    assert kernels() == (f"native {choose_isa()}" if choose_isa() else "torch")


def test_an_instruction_set_that_is_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    for wanted in {*ISAS, "avx51"} - set(isas()):
        monkeypatch.setenv("BBNAS_ISA", wanted)
        with pytest.raises(UserError, match=wanted):
            kernels()
