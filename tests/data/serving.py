"""A real HTTP server on loopback that can be as bad as servers are."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Served:
    """``files`` by path. ``cut`` sends so many bytes at most of each answer, then hangs up."""

    address: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    ranges: bool = True
    cut: int | None = None
    tell_length: bool = True
    seen: list[tuple[str, str | None, int]] = field(default_factory=list)
    """(path, Range header, bytes sent) of each request."""


@contextlib.contextmanager
def serving() -> Iterator[Served]:
    served = Served()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = served.files.get(self.path)
            asked = self.headers.get("Range")
            if content is None:
                served.seen.append((self.path, asked, 0))
                self.send_error(404)
                return
            first = 0
            if served.ranges and asked:
                first = int(re.fullmatch(r"bytes=(\d+)-", asked)[1])
            if first >= len(content) > 0:
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.end_headers()
                served.seen.append((self.path, asked, 0))
                return
            rest = content[first:]
            if first:
                self.send_response(206)
                last = len(content) - 1
                self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
            else:
                self.send_response(200)
            if served.tell_length:
                self.send_header("Content-Length", str(len(rest)))
            self.end_headers()
            sent = rest if served.cut is None else rest[: served.cut]
            self.wfile.write(sent)
            served.seen.append((self.path, asked, len(sent)))

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    served.address = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
