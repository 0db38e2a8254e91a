"""What a request needs to be answered, and what a browser may do with the answer."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Sequence
from urllib.parse import urlencode

from flask import Flask, Response, redirect, request
from werkzeug.wrappers import Response as AnyResponse

# Names by which a browser on this machine calls it. Another name, of a site that resolves to
# 127.0.0.1, is refused: DNS rebinding.
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
METHODS = ("GET", "HEAD", "POST")


def new_token() -> str:
    return secrets.token_urlsafe(24)


def guard(server: Flask, token: str | None) -> None:
    """Answer requests alone that come from this machine or, with ``token``, that know it.

    The token stands in the first address; a cookie holds it from then on, so that it is not in
    the addresses that users share by hand.
    """

    @server.before_request
    def _check() -> AnyResponse | None:
        if request.method not in METHODS:
            return _refuse("The dashboard only reads.", 405)
        if token is None:
            name = request.host.rsplit(":", 1)[0] if "]" not in request.host else "[::1]"
            if name not in LOOPBACK:
                return _refuse("Open the dashboard as 127.0.0.1, or start it with --host.", 403)
            return None
        cookie = f"bbnas-{request.host.rsplit(':', 1)[-1]}"
        given = request.args.get("token")
        if given is not None and _same(given, token):
            rest = [(n, v) for n, v in request.args.items(multi=True) if n != "token"]
            answer = redirect(request.path + (f"?{urlencode(rest)}" if rest else ""))
            answer.set_cookie(cookie, token, httponly=True, samesite="Lax", max_age=30 * 86400)
            return answer
        if _same(request.cookies.get(cookie, ""), token):
            return None
        return _refuse(
            "Open the address that bbnas dashboard printed at its start, with its token.", 403
        )


def protect(server: Flask, script_hashes: Sequence[str]) -> None:
    """Headers of every answer. Styles are inline because Plotly and ag-grid set them; no script
    is, but for the one of Dash's renderer that ``script_hashes`` names.
    """
    policy = {
        "default-src": ("'self'",),
        "script-src": ("'self'", *script_hashes),
        "style-src": ("'self'", "'unsafe-inline'"),
        "img-src": ("'self'", "data:", "blob:"),
        "font-src": ("'self'", "data:"),
        "connect-src": ("'self'",),
        "object-src": ("'none'",),
        "base-uri": ("'none'",),
        "form-action": ("'none'",),
        "frame-ancestors": ("'none'",),
    }
    text = "; ".join(f"{name} {' '.join(sources)}" for name, sources in policy.items())

    @server.after_request
    def _add(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = text
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
        return response


def _same(given: str, token: str) -> bool:
    return hmac.compare_digest(given.encode(), token.encode())


def _refuse(text: str, code: int) -> Response:
    return Response(f"{text}\n", code, content_type="text/plain; charset=utf-8")
