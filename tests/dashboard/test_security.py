"""Who is answered, and what a browser may do with the answer."""

from __future__ import annotations

import re

import pytest
from flask.testing import FlaskClient

from bbnas.dashboard.app import make_app
from bbnas.dashboard.live import Live

ROUTES = ("/", "/version", "/_dash-layout", "/_dash-dependencies", "/assets/dashboard.css")


@pytest.mark.parametrize("route", ROUTES)
def test_every_answer_forbids_foreign_and_inline_script(client: FlaskClient, route: str) -> None:
    headers = client.get(route, base_url="http://127.0.0.1:8050").headers
    policy = dict(
        part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";")
    )
    assert policy["default-src"] == "'self'"
    assert "unsafe" not in policy["script-src"]
    assert policy["frame-ancestors"] == "'none'"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"


def test_the_page_loads_nothing_from_elsewhere(client: FlaskClient) -> None:
    page = client.get("/", base_url="http://127.0.0.1:8050").text
    assert not re.findall(r'(?:src|href)="(?:https?:)?//', page)


@pytest.mark.parametrize("route", ROUTES)
def test_another_name_of_this_machine_is_refused(client: FlaskClient, route: str) -> None:
    assert client.get(route, base_url="http://evil.example:8050").status_code == 403


@pytest.mark.parametrize("method", ["put", "delete", "patch"])
def test_only_reading_methods(client: FlaskClient, method: str) -> None:
    answer = getattr(client, method)("/version", base_url="http://127.0.0.1:8050")
    assert answer.status_code == 405


@pytest.mark.parametrize("route", ROUTES)
def test_a_token_is_asked_for_once(live: Live, route: str) -> None:
    client = make_app(live, "secret").server.test_client()
    there = "http://host.example:8050"
    assert client.get(route, base_url=there).status_code == 403
    assert client.get(f"{route}?token=secre", base_url=there).status_code == 403
    first = client.get(f"{route}?study=a&token=secret", base_url=there)
    assert first.status_code == 302
    assert first.headers["Location"] == f"{route}?study=a"  # the token is not in the address
    assert "HttpOnly" in first.headers["Set-Cookie"]
    assert client.get(route, base_url=there).status_code == 200


def test_a_wrong_cookie_is_refused(live: Live) -> None:
    client = make_app(live, "secret").server.test_client()
    client.set_cookie("bbnas-8050", "wröng", domain="host.example")
    assert client.get("/", base_url="http://host.example:8050").status_code == 403
