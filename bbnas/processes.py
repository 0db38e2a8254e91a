"""Worker processes that are Python's own: none outlives the process that starts it.

Ray's, of a search, are in :mod:`bbnas.runs.ray_tune`.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import resource_tracker
from typing import Any

from bbnas.files import remove_abandoned

# Threads of what is loaded here would not survive a fork.
SPAWN = multiprocessing.get_context("spawn")


@contextmanager
def sheltered() -> Iterator[None]:
    """Processes that are started in the block do not see a terminal's Ctrl-C, which goes to every
    process: the one that has started them ends them.
    """
    # Started now, since its start, which else comes with the first process, ends the block. Where
    # this process is cut off, it removes the semaphores, without a word about it.
    os.environ.setdefault("PYTHONWARNINGS", "ignore:resource_tracker")
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_with_parent() -> None:
    """Called in a worker: it ends at once when the process that started it is killed."""
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextmanager
def worker_pool(
    workers: int, prepare: Callable[..., None], given: tuple[Any, ...]
) -> Iterator[ProcessPoolExecutor]:
    """Processes that each call ``prepare(*given)`` first. An error kills them in mid-work."""
    others = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(workers, SPAWN, _prepare, (prepare, given))
    try:
        yield pool
    except BaseException:
        for process in set(multiprocessing.active_children()) - others:
            process.kill()
        pool.shutdown(cancel_futures=True)
        remove_abandoned()
        raise
    pool.shutdown()


def _prepare(prepare: Callable[..., None], given: tuple[Any, ...]) -> None:
    end_with_parent()
    prepare(*given)
