"""The HTML that every page begins with.

The front of a study stands in it. The browser draws it before it starts Dash (assets/start.js),
whose page then takes the figure over (assets/figures.js).
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from dash import Dash
from flask import Flask, Response, abort, request, send_file
from markupsafe import Markup

from bbnas.dashboard import study
from bbnas.dashboard.live import Live
from bbnas.dashboard.page import Address
from bbnas.errors import UserError
from bbnas.figures.theme import DARK, VERBATIM
from bbnas.reporting.html import embed
from bbnas.resources import PLOTLY

INDEX = Markup("""<!DOCTYPE html>
<html lang="en">
<head>{metas}<title>bbnas</title>
<link rel="icon" href="data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg'
 viewBox='0 0 8 8'%3E%3Cpath fill='%23d9480f' d='M0 0h4v4h4v4H4V4H0z'/%3E%3C/svg%3E">
<script src="{theme}"></script>
<link rel="stylesheet" href="{shared}">{css}{preloads}</head>
<body data-grid="{grid}">
<noscript>The dashboard needs JavaScript.</noscript>
{app_entry}
{first}
<script type="application/json" id="theme-colours">{colours}</script>
<script src="{plotly}"></script>
<script src="{recolour}"></script>
<script src="{figures}"></script>
{config}
<template id="dash">{scripts}{renderer}</template>
<script src="{start}"></script>
</body>
</html>
""")
PRELOAD = Markup('<link rel="preload" as="script" href="{}">')
# Files that the report has as well, by their names in INDEX.
SHARED = {
    "plotly": PLOTLY,
    "theme": PLOTLY.with_name("theme.js"),
    "recolour": PLOTLY.with_name("recolour.js"),
    "shared": PLOTLY.with_name("shared.css"),
}
YEAR = 365 * 86400
FIRST = Markup("""<div id="first">
<header><span class="brand">bbnas</span></header>
<main><h1>{name}</h1><div class="split"><div class="wide"><div class="graph">
<div id="first-front" style="height: {height}px"></div>
</div></div></div></main>
<script type="application/json" id="first-figure">{figure}</script>
</div>""")


class Application(Dash):
    """Dash over ``live``, with an index of its own."""

    def __init__(self, live: Live, server: Flask, **settings: Any) -> None:
        super().__init__(server=server, **settings)  # type: ignore[arg-type] # its annotation errs
        self._live = live
        share(server)

    def interpolate_index(self, scripts: str = "", **parts: str) -> str:  # type: ignore[override]
        (grid,) = self._grid()
        # The browser loads it when the tab of the grid opens: it is a third of all scripts.
        scripts = scripts.replace(f'<script src="{grid}"></script>', "")
        return str(
            INDEX.format(
                **{name: Markup(parts[name]) for name in ("metas", "css", "app_entry")},
                **{name: Markup(parts[name]) for name in ("config", "renderer")},
                scripts=Markup(scripts),
                grid=grid,
                preloads=Markup("").join(
                    map(PRELOAD.format, re.findall('src="([^"]*)"', scripts))
                ),
                figures=self.get_asset_url("figures.js"),
                start=self.get_asset_url("start.js"),
                **{name: _address(name) for name in SHARED},
                colours=_colours(),
                first=self._first(),
            )
        )

    def _grid(self) -> list[str]:
        return [found["url"] for found in self.get_dist(["dash_ag_grid"])]

    def _first(self) -> Markup:
        address = Address.of(request.path, request.query_string.decode())
        if address.page != "study" or not address.study:
            return Markup("")
        try:
            figure = study.first(self._live, address)
        except UserError:  # the page says so
            return Markup("")
        return FIRST.format(name=address.study, height=study.FRONT, figure=embed(figure))


def share(server: Flask) -> None:
    """Serve the files of SHARED."""

    @server.get("/shared/<name>")
    def _shared(name: str) -> Response:
        if name not in SHARED:
            abort(404)
        return send_file(SHARED[name], max_age=YEAR)


@cache
def _address(name: str) -> str:
    """With the time of the file, so that a browser may keep what it has."""
    return f"/shared/{name}?m={SHARED[name].stat().st_mtime_ns}"


@cache
def _colours() -> Markup:
    return embed({"dark": DARK, "verbatim": VERBATIM})
