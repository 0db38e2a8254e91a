"""The dashboard as a server of this process, until it is interrupted."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import socket
from collections.abc import Callable

from bbnas.dashboard.app import WAITING, make_app
from bbnas.dashboard.live import Live
from bbnas.dashboard.security import new_token
from bbnas.dashboard.sources import Sources
from bbnas.errors import UserError

# Threads for the requests that wait for news, and for eight that are answered.
THREADS = WAITING + 8
# Seconds that the start waits for the databases, so that the first page is not empty.
PATIENCE = 3.0
HERE = "127.0.0.1"


def serve(
    sources: Sources,
    *,
    port: int = 8050,
    host: str | None = None,
    on_start: Callable[[str], None] | None = None,
) -> None:
    """Serve the dashboard until KeyboardInterrupt; ``on_start`` receives its address.

    Without ``host`` only this machine reaches it. With ``host``, such as 0.0.0.0, requests need
    the random token that the address holds. Port 0 is any free one.

    Raises:
        UserError: the port is taken or may not be used, or there is no such host.
    """
    from waitress.server import create_server

    bound = _bind(host or HERE, port)
    port = bound.getsockname()[1]
    token = None if host is None else new_token()
    live = Live(sources)
    logging.getLogger("waitress").setLevel(logging.ERROR)
    server = create_server(
        make_app(live, token).server, sockets=[bound], threads=THREADS, ident="bbnas"
    )
    live.start()
    live.wait(PATIENCE)
    try:
        if on_start is not None:
            on_start(address(host, port, token))
        server.run()
    finally:
        live.stop()
        with contextlib.suppress(OSError):
            server.close()


def address(host: str | None, port: int, token: str | None) -> str:
    """Where a browser finds it; a host that means all of them is shown as this machine's name."""
    name = host or HERE
    if name in ("0.0.0.0", "::"):
        name = socket.gethostname()
    if ":" in name:
        name = f"[{name}]"
    return f"http://{name}:{port}/" + (f"?token={token}" if token else "")


def _bind(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise UserError(f"host {host!r}: unknown ({error.strerror}); check --host") from error
    bound = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix":  # a port that was used a moment ago is free
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(place)
        bound.listen(128)
    except OSError as error:
        bound.close()
        if error.errno == errno.EADDRINUSE:
            raise UserError(
                f"port {port}: in use, perhaps by another dashboard; give another --port"
            ) from error
        raise UserError(
            f"{host}:{port}: cannot be used ({error.strerror}); give another --host or --port"
        ) from error
    return bound
