"""The selection of the page Study: the designs within shapes on the front and with chosen values.

A selection is a filter and not a list of trials: what arrives later and fits is selected too, and
its address is short however many it selects.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from dash import Dash, Input, Output, State, dcc, html, no_update
from dash.development.base_component import Component

from bbnas.dashboard.area import Area
from bbnas.dashboard.live import Live, LiveStudy
from bbnas.dashboard.page import labelled
from bbnas.figures.choices import ChoiceAxis, axes_of, chosen_by
from bbnas.store.watch import Snapshot
from bbnas.text import plural

# What a callback needs to know of the selection.
SELECTED = (Input("study-area", "data"), Input("study-values", "value"))


@dataclass(frozen=True)
class Selection:
    """``area`` is the text of an Area, ``choices`` are values as "axis: value". A design is
    selected if it lies in the area and has, on each axis that is named, one of the values named.
    """

    area: str = ""
    choices: tuple[str, ...] = ()

    @classmethod
    def of(cls, area: str | None, choices: Collection[str] | None) -> Selection:
        return cls(area or "", tuple(choices or ()))

    def __bool__(self) -> bool:
        return bool(self.area or self.choices)


@lru_cache(16)
def axes(snapshot: Snapshot) -> tuple[ChoiceAxis, ...]:
    """The choices in which the candidates differ."""
    return axes_of(snapshot.study)


@lru_cache(32)
def selected(snapshot: Snapshot, selection: Selection) -> frozenset[int] | None:
    """The numbers of the selected trials; None where nothing is selected, which means all."""
    if not selection:
        return None
    study = snapshot.study
    found = frozenset(c.number for c in study.candidates)
    area = Area.of(selection.area)
    if area is not None:
        found &= area.numbers(study)
    if selection.choices:
        found &= chosen_by(axes(snapshot), selection.choices)
    return found


def bar(one: LiveStudy, values: Mapping[str, str]) -> Component:
    """The selection of an address: choices to select by, how many designs it holds, its end."""
    names, chosen = _names(one), of_address(one, values)
    return html.Div(
        [
            dcc.Store(id="study-area", data=chosen.area),
            labelled(
                "Designs with",
                dcc.Dropdown(
                    id="study-values",
                    options=names,
                    value=list(chosen.choices),
                    multi=True,
                    placeholder="any choice",
                    labels={"search": "Search choices"},
                ),
            ),
            html.Span(id="study-selected", role="status"),
            html.Button("Clear the selection", id="study-clear", n_clicks=0),
        ],
        id="study-selection-bar",
        className="selection",
    )


def of_address(one: LiveStudy, values: Mapping[str, str]) -> Selection:
    """The selection of an address, as far as it has a meaning."""
    area, chosen = values.get("area", ""), values.get("choices", "").split("|")
    named = [name for name in _names(one) if name in chosen]
    return Selection.of(area if Area.of(area) else "", named)


def _names(one: LiveStudy) -> list[str]:
    return [axis.name(value) for axis in axes(one.snapshot) for value in axis.values]


def register(app: Dash, live: Live) -> None:
    @app.callback(
        Output("study-area", "data"),
        Input("study-front-shapes", "data"),
        prevent_initial_call=True,
    )
    def _area(drawn: Mapping[str, Any]) -> str:
        return str(Area.drawn(drawn) or "")

    @app.callback(
        Output("study-values", "value"),
        Input("study-parallel-clicked", "data"),
        State("study-values", "value"),
        prevent_initial_call=True,
    )
    def _brush(clicked: Mapping[str, Any] | None, chosen: list[str] | None) -> Any:
        name = (clicked or {}).get("name")
        return toggled(chosen or [], name) if name else no_update

    @app.callback(
        Output("study-area", "data", allow_duplicate=True),
        Output("study-values", "value", allow_duplicate=True),
        Input("study-clear", "n_clicks"),
        prevent_initial_call=True,
    )
    def _clear(_clicks: int) -> tuple[str, list[str]]:
        return "", []

    @app.callback(
        Output("study-selected", "children"),
        Output("study-clear", "hidden"),
        Output("study-values", "options"),
        Input("version", "data"),
        *SELECTED,
        State("study-values", "options"),
        State("study-key", "data"),
    )
    def _count(
        _version: Any, area: str, choices: list[str] | None, known: list[str], key: str
    ) -> tuple[Any, ...]:
        one, selection = live.study(key), Selection.of(area, choices)
        names = _names(one)
        return words(one, selection), not selection, no_update if names == known else names


def toggled(chosen: Sequence[str], name: str) -> list[str]:
    """``chosen`` without ``name`` if it holds it, else with it."""
    rest = [one for one in chosen if one != name]
    return rest if len(rest) < len(chosen) else [*chosen, name]


def words(one: LiveStudy, selection: Selection) -> str:
    """How many designs are selected, and what follows the selection."""
    found = selected(one.snapshot, selection)
    if found is None:
        return "All designs: no point is drawn around, and no value is chosen."
    count = plural(len(found), "design") if found else "No design"
    return f"{count} selected. Learning curves and candidates are of these alone."
