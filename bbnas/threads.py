"""Cores and threads: how many this process may use, and how many torch and BLAS compute
with.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

P = ParamSpec("P")
R = TypeVar("R")


@contextmanager
def torch_threads(number: int) -> Iterator[None]:
    """Let torch use ``number`` threads within the block, and as many as before after it."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def one_blas_thread(function: Callable[P, R]) -> Callable[P, R]:
    """``function`` with one thread for linear algebra of NumPy and SciPy, and not with one per
    core. Where other processes keep the cores busy, those threads wait for each other at every
    step: a fit over 200 designs beside one training took 15 s, and takes 0.1 s with one thread.
    """

    @wraps(function)
    def alone(*given: P.args, **named: P.kwargs) -> R:
        with _libraries().limit(limits=1, user_api="blas"):
            return function(*given, **named)

    return alone


@cache
def _libraries() -> ThreadpoolController:
    """Those for linear algebra in this process; to look for them takes 3 ms."""
    import scipy.linalg  # noqa: F401 - loads its own, beside NumPy's
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def available_cores() -> int:
    """The number of cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on Linux
        return os.cpu_count() or 1
