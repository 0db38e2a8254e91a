"""The page Study."""

from __future__ import annotations

from dash import Dash
from dash.development.base_component import Component

from bbnas.dashboard.live import Live
from bbnas.dashboard.page import Address, Page, message


def layout(live: Live, address: Address) -> Component:
    return message("This page is not written yet.")


def register(app: Dash, live: Live) -> None:
    """No callbacks yet."""


PAGE = Page("study", "Study", layout, register, studies=1)
