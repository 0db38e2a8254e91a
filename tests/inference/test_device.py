from __future__ import annotations

import pytest
import torch

from bbnas.errors import UserError
from bbnas.inference import resolve_device


def test_cpu_is_always_there() -> None:
    assert resolve_device("cpu") == torch.device("cpu")


def test_auto_is_cuda_where_there_is_any() -> None:
    assert resolve_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:x", "cpu:1", ""])
def test_unknown_names_state_the_rule(name: str) -> None:
    with pytest.raises(UserError, match="choose auto, cpu, cuda or cuda:N"):
        resolve_device(name)


def test_a_missing_cuda_device_is_told() -> None:
    name = f"cuda:{torch.cuda.device_count()}"
    with pytest.raises(UserError, match=f"'{name}' is not there .*use --device auto or cpu"):
        resolve_device(name)
