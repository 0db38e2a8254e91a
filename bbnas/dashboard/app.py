"""The dashboard's application: header, addresses, theme, and what tells pages of news."""

from __future__ import annotations

import logging
import threading
from typing import Any

from dash import ClientsideFunction, Dash, Input, Output, State, dcc, html, no_update, set_props
from dash.development.base_component import Component
from flask import Flask, Response, request

from bbnas.dashboard import security
from bbnas.dashboard.index import Application
from bbnas.dashboard.live import Live
from bbnas.dashboard.page import Address, Page, aria, link, message, query
from bbnas.dashboard.pages import PAGES
from bbnas.errors import UserError, why
from bbnas.text import to_json

log = logging.getLogger(__name__)

# Requests that may wait for news at the same time, each in a thread of its own, and for how many
# seconds. Others are answered at once.
WAITING, PATIENCE = 48, 20.0


def make_app(live: Live, token: str | None = None) -> Dash:
    """The application over ``live``; with ``token``, for those who know it."""
    server = Flask(__name__, static_folder=None)
    app = Application(
        live,
        server,
        name=__name__,
        title="bbnas",
        update_title="",
        serve_locally=True,
        assets_ignore=r"(figures|start)\.js",  # they stand before the others,
        suppress_callback_exceptions=True,  # the parts of a page come and go
        on_error=_failed,
        add_log_handler=False,
    )
    app.enable_dev_tools(debug=False)
    security.guard(server, token)

    waiting = threading.BoundedSemaphore(WAITING)

    @server.get("/version")
    def _version() -> Response:
        for key in request.args.getlist("study"):
            live.seen(key)
        known = request.args.get("since", type=int)
        if known is not None and waiting.acquire(blocking=False):
            try:
                live.changed_since(known, PATIENCE)
            finally:
                waiting.release()
        return Response(to_json(versions(live)), content_type="application/json")

    app.layout = lambda: shell(live)
    _route(app, live)
    for page in PAGES.values():
        page.register(app, live)
    security.protect(server, app.csp_hashes())
    return app


def versions(live: Live) -> dict[str, Any]:
    """What a page compares to know whether it is out of date."""
    return {"all": live.version, "ready": live.ready, "studies": live.stamps()}


def shell(live: Live) -> Component:
    """What surrounds every page."""
    return html.Div(
        [
            html.A("Skip to the content", href="#page", className="skip"),
            dcc.Location(id="url", refresh="callback-nav"),
            dcc.Store(id="version", data=versions(live)),
            dcc.Store(id="theme"),
            html.Header(
                [
                    dcc.Link("bbnas", href="/", className="brand"),
                    html.Nav(id="menu", **aria(label="Pages")),
                    html.Div(
                        dcc.Dropdown(
                            id="study-picker",
                            clearable=False,
                            placeholder="Choose a study",
                            labels={"search": "Search studies"},
                        ),
                        id="study-picker-box",
                        role="group",
                        **aria(label="Study"),
                    ),
                    html.Button(
                        "Theme", id="theme-switch", n_clicks=0, **aria(label="Dark theme")
                    ),
                ]
            ),
            html.Div(id="banner", role="alert"),
            html.Div(id="fault", role="alert"),
            html.Div(id="offline", role="alert", hidden=True, className="banner"),
            html.Main(id="page", tabIndex=-1),
        ]
    )


def _route(app: Dash, live: Live) -> None:
    @app.callback(
        Output("page", "children"),
        Output("menu", "children"),
        Output("study-picker", "options"),
        Output("study-picker", "value"),
        Output("study-picker-box", "hidden"),
        Input("url", "pathname"),
        Input("url", "search"),
    )
    def _show(pathname: str | None, search: str | None) -> tuple[Any, ...]:
        address = Address.of(pathname, search)
        page = PAGES.get(address.page)
        keys = [one.key for one in live.studies()]
        hidden = page is None or page.studies != 1
        menu = _menu(address, keys)
        return content(live, address), menu, sorted(keys), address.study or None, hidden

    @app.callback(
        Output("url", "search"),
        Input("study-picker", "value"),
        State("url", "pathname"),
        State("url", "search"),
        prevent_initial_call=True,
    )
    def _pick(chosen: str | None, pathname: str | None, search: str | None) -> Any:
        address = Address.of(pathname, search)
        if not chosen or chosen == address.study:
            return no_update
        return query(chosen)

    @app.callback(Output("banner", "children"), Input("version", "data"))
    def _warn(_version: Any) -> list[Component]:
        return [html.P(error, className="banner") for error in live.errors()]

    @app.callback(
        Output("retry", "data"),
        Input("version", "data"),
        State("url", "pathname"),
        State("url", "search"),
    )
    def _again(_version: Any, pathname: str | None, search: str | None) -> Any:
        """A page that could not be shown is, as soon as its study is there."""
        address = Address.of(pathname, search)
        if _missing(live, address) is None:
            set_props("page", {"children": content(live, address)})
            picked = {"options": sorted(live.stamps()), "value": address.study or None}
            set_props("study-picker", picked)
        return no_update

    app.clientside_callback(  # type: ignore[no-untyped-call]
        ClientsideFunction("bbnas", "theme"),
        Output("theme", "data"),
        Input("theme-switch", "n_clicks"),
    )
    for page in PAGES:
        app.clientside_callback(  # type: ignore[no-untyped-call]
            ClientsideFunction("bbnas", "remember"),
            Output(f"{page}-address", "id"),
            Input(f"{page}-address", "data"),
        )


def content(live: Live, address: Address) -> Component:
    """The page of an address, or why there is none."""
    page = PAGES.get(address.page)
    if page is None:
        back = html.P(dcc.Link("All studies", href="/"))
        return message(f"There is no page {address.page!r}.", back, kind="error")
    if page.studies and not address.studies:
        return _choose(live, page)
    missing = _missing(live, address)
    if missing is not None:
        return html.Div([missing, dcc.Store(id="retry")])
    return page.layout(live, address)


def _missing(live: Live, address: Address) -> Component | None:
    """Why a study of the address cannot be shown; None if all can."""
    for key in address.studies:
        try:
            live.study(key)
        except UserError as error:
            if not live.ready:
                return message(f"Reading the databases of {live.sources.words()}…", kind="loading")
            back = html.P(dcc.Link("All studies", href="/"))
            return message(f"{error}.", back, kind="error")
    return None


def _choose(live: Live, page: Page) -> Component:
    studies = live.studies()
    if not studies:
        return PAGES["overview"].layout(live, Address("overview"))
    links = [html.Li(dcc.Link(one.key, href=link(page.name, one.key))) for one in studies]
    return html.Div([html.H1(page.title), html.P("Choose a study:"), html.Ul(links)])


def _menu(address: Address, keys: list[str]) -> list[Component]:
    """Links to the pages, for the study that is shown now or else the newest."""
    chosen = address.studies[:1] or tuple(keys[:1])
    links: list[Component] = []
    for page in PAGES.values():
        studies = chosen if page.studies == 1 else address.studies or chosen
        here = page.name == address.page
        item = dcc.Link(
            page.title,
            href=link(page.name, *(studies if page.studies else ())),
            className="here" if here else "",
        )
        links.append(html.Span(item, **aria(**{"current": "page"} if here else {})))
    return links


def _failed(error: Exception) -> None:
    """A callback failed: the page says so, and stays as it was."""
    words = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {why(error)}"
    log.warning("dashboard: %s", words, exc_info=not isinstance(error, UserError))
    set_props(
        "fault", {"children": html.P(f"Not brought up to date: {words}", className="banner")}
    )
