"""How Ctrl-C and SIGTERM end a command, whatever it is doing.

The first signal raises KeyboardInterrupt in the main thread. Where that does not end the process
within ``GRACE`` seconds, because a call of a library takes longer or swallows it, a thread ends
it. Either way its processes and unfinished files go with it, one line says what is kept, and the
exit code is 128 + the number of the signal: 130 and 143.

Python calls of bbnas install no handler: a KeyboardInterrupt reaches their caller. This module
imports little, so that it handles signals soon after the start of the process.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

# Ctrl-C, kill, and a terminal that is closed. Of them a process may be started with the last
# ignored, by nohup. A shell starts jobs in the background with Ctrl-C ignored; they end by it too,
# so that a script that is stopped leaves none behind.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# Seconds that a command has to end by itself.
GRACE = 1.5

_received = 0  # the number of the first signal
_raised = False
_told = False
_kept: Callable[[], str] = str


def received() -> int:
    """The number of the signal that ends this process, or 0."""
    return _received


def keeps(words: str | Callable[[], str]) -> None:
    """``words`` say what is kept if a signal comes from here on."""
    global _kept  # noqa: PLW0603 - a process has one end
    _kept = words if callable(words) else lambda: words


def last_words() -> str:
    """``interrupted: every training is kept``."""
    kept = _kept()
    return f"interrupted: {kept}" if kept else "interrupted"


def run_until_signal(run: Callable[[], int]) -> int:
    """``run()``, which a signal ends with this process. For a program's main thread."""
    try:
        _watch()
        code = run()
    except BaseException:
        if not _received:
            raise
        code = 0
    if _received:
        _leave()
    return code


def raise_if_received() -> None:
    """Raise KeyboardInterrupt where a library has turned it into an error of its own."""
    if _received:
        raise KeyboardInterrupt


@contextlib.contextmanager
def delayed(second: bool = False) -> Iterator[Callable[[], bool]]:
    """Holds signals back to the end of the block; yields what tells whether one has come.

    With ``second`` a second one is not held back. Only signals that Python handles are held back,
    and only in the main thread, which is the one that they reach.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    pending: list[int] = []
    before = {number: signal.getsignal(number) for number in SIGNALS}
    handlers = {number: handler for number, handler in before.items() if callable(handler)}

    def hold(number: int, frame: FrameType | None) -> None:
        pending.append(number)
        if second and len(pending) > 1:
            handlers[signal.Signals(number)](number, frame)

    for number in handlers:
        signal.signal(number, hold)
    try:
        yield lambda: bool(pending)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if pending:
            handlers[signal.Signals(pending[0])](pending[0], None)


@contextlib.contextmanager
def handlers_kept() -> Iterator[None]:
    """Puts the handlers back that a library replaces in the block."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None:  # None: it was not set by Python
                signal.signal(number, handler)


def _watch() -> None:
    # The C part of Python writes the number of a signal here at once, even while the main thread
    # is in a library.
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    threading.Thread(target=_end_in_time, args=(reader,), daemon=True).start()
    for number in SIGNALS:
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _handle)


def _handle(number: int, _frame: FrameType | None) -> None:
    global _raised  # noqa: PLW0603 - a handler has no other place
    _receive(number)
    if not _raised:  # a second one must not disturb the end
        _raised = True
        raise KeyboardInterrupt


def _receive(number: int) -> None:
    global _received  # noqa: PLW0603 - a handler has no other place
    _received = _received or number
    # An interrupted destructor or callback is no news.
    sys.unraisablehook = lambda _: None


def _end_in_time(reader: int) -> None:
    while (number := os.read(reader, 1)[0]) not in SIGNALS:
        pass
    _receive(number)
    time.sleep(GRACE)
    _leave(forced=True)


def tell() -> None:
    """Print the last words, once in a process that a signal ends."""
    global _told  # noqa: PLW0603 - a process has one end
    if not _told:
        _told = bool(_received)
        print(last_words(), file=sys.stderr, flush=True)


def _leave(forced: bool = False) -> None:
    """End this process now. A ``forced`` end waits for no lock of a stream and for no thread."""
    try:
        from bbnas.files import remove_abandoned, remove_unfinished

        end_processes()
        remove_unfinished()
        remove_abandoned()
        if forced:
            _tell_at_once()
            return
        for action in (tell, sys.stdout.flush, sys.stderr.flush):
            with contextlib.suppress(OSError, ValueError):
                action()
    finally:
        os._exit(128 + _received)


def _tell_at_once() -> None:
    import select

    if not _told and select.select([], [2], [], 0)[1]:  # somebody reads it
        cursor = "\x1b[?25h" if os.isatty(2) else ""  # a progress bar may have hidden it
        os.write(2, f"{cursor}{last_words()}\n".encode(errors="replace"))


def end_processes() -> None:
    """Kill every process that this one has started, and theirs.

    But for Python's own that removes semaphores: it does so, and ends, when this one has ended.
    """
    import psutil

    killed = []
    with contextlib.suppress(psutil.Error):
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if "multiprocessing.resource_tracker" not in " ".join(process.cmdline()):
                    process.kill()
                    killed.append(process)
    psutil.wait_procs(killed, timeout=0.3)
