from __future__ import annotations

import threading
import time

import pytest
import torch
from torch import Tensor

from bbnas.data import Dataset, Patches
from bbnas.tasks import get_task
from bbnas.training.batches import THREAD, Batches

CPU = torch.device("cpu")


@pytest.mark.parametrize("name", ["sr4", "denoise", "jpeg"])
def test_batches_made_ahead_are_those_of_the_patches(name: str, dataset: Dataset) -> None:
    patches = Patches(dataset.train, get_task(name), 32, 3, seed=5)
    ahead = Batches(patches.batch_at, CPU, end=7, ahead=2)
    # 4 again after 6, as after a state was loaded; the last has none behind it.
    for iteration in (0, 1, 2, 5, 6, 4, 5, 6):
        for found, expected in zip(ahead.at(iteration), patches.batch_at(iteration), strict=True):
            assert torch.equal(found, expected)


def test_two_batches_at_most_are_made_ahead_and_none_after_the_end() -> None:
    made: list[int] = []

    def batch_at(iteration: int) -> tuple[Tensor, Tensor]:
        made.append(iteration)
        return torch.tensor(iteration), torch.tensor(-iteration)

    batches = Batches(batch_at, CPU, end=5, ahead=2)
    for iteration in range(5):
        assert batches.at(iteration)[0] == iteration
        deadline = time.monotonic() + 10
        expected = list(range(min(iteration + 3, 5)))
        while made != expected and time.monotonic() < deadline:
            time.sleep(0.001)
        assert made == expected


@pytest.fixture
def alone() -> None:
    """No thread of an earlier test is left."""
    for thread in threading.enumerate():
        if thread.name.startswith(THREAD):
            thread.join(10)


@pytest.mark.usefixtures("alone")
def test_an_error_of_the_thread_is_raised_and_the_thread_ends() -> None:
    def batch_at(iteration: int) -> tuple[Tensor, Tensor]:
        if iteration == 1:
            raise OSError("the image cache is gone")
        return torch.zeros(1), torch.zeros(1)

    batches = Batches(batch_at, CPU, end=3, ahead=1)
    batches.at(0)
    (thread,) = (t for t in threading.enumerate() if t.name.startswith(THREAD))
    with pytest.raises(OSError, match="the image cache is gone"):
        batches.at(1)
    assert thread.is_alive()
    del batches
    thread.join(10)
    assert not thread.is_alive()
