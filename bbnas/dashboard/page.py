"""What every page of the dashboard is made of: its address, and the parts that all pages use."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode

from dash import ClientsideFunction, Dash, Input, State, dcc, html
from dash.development.base_component import Component

from bbnas.dashboard.live import Live


@dataclass(frozen=True)
class Address:
    """What an address says: the page, its studies, and the values of its controls."""

    page: str
    studies: tuple[str, ...] = ()
    values: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, pathname: str | None, search: str | None) -> Address:
        pairs = parse_qsl((search or "").removeprefix("?"))
        return cls(
            page=(pathname or "/").strip("/") or "overview",
            studies=tuple(value for name, value in pairs if name == "study"),
            values={name: value for name, value in pairs if name != "study"},
        )

    @property
    def study(self) -> str:
        """The first study; empty if it names none."""
        return self.studies[0] if self.studies else ""


def link(page: str, *studies: str, **values: object) -> str:
    """The address of a page; a control whose value is None or empty is left out."""
    return f"/{'' if page == 'overview' else page}{query(*studies, **values)}"


# Characters that stand in a query as they are (RFC 3986 has but the last among others).
SAFE = ",:;/!*|"


def query(*studies: str, **values: object) -> str:
    """The part of an address after its path, with its question mark."""
    pairs = [("study", study) for study in studies]
    pairs += [(name, str(v)) for name, v in values.items() if v is not None and v != ""]
    return f"?{urlencode(pairs, safe=SAFE)}" if pairs else ""


@dataclass(frozen=True)
class Page:
    """A page: ``layout(live, address)`` makes what stands below the header, ``register(app,
    live)`` adds the callbacks that fill it and keep it up to date.

    ``studies`` is the number of studies that its address names: 0, 1, or 2 for several.
    """

    name: str
    title: str
    layout: Callable[[Live, Address], Component]
    register: Callable[[Dash, Live], None]
    studies: int = 1


def aria(**values: str) -> dict[str, Any]:
    """Attributes for screen readers: ``aria(label="…")``."""
    return {f"aria-{name}": value for name, value in values.items()}


def message(text: str, *more: Any, kind: str = "empty") -> Component:
    """A state without content (``empty``, ``loading``, ``error``): what it is, what to do."""
    role = "alert" if kind == "error" else "status"
    return html.Div([html.P(text), *more], className=f"message {kind}", role=role)


def loading(text: str) -> Component:
    return message(text, kind="loading")


def section(identity: str, title: str, *content: Any, note: str = "") -> Component:
    """A part of a page with a heading that an address can point at (``#identity``)."""
    below = [html.P(note, className="note")] if note else []
    heading = html.H2(title, id=f"{identity}-title")
    return html.Section(
        [heading, *content, *below], id=identity, **aria(labelledby=f"{identity}-title")
    )


def graph(identity: str, label: str, height: int) -> Component:
    """A place for a figure, ``height`` pixels high. ``draw_figures`` draws in it what a callback
    puts into the store ``IDENTITY-spec``: a figure in the colours of the light theme.

    The browser puts a click on a point or an annotation into ``IDENTITY-clicked``, and the shapes
    that a user draws into ``IDENTITY-shapes``. In the layout's ``meta`` stand ``narrow``, what
    differs on a narrow page, and ``made``: a figure that is ``made`` once is drawn once.
    """
    return html.Div(
        [
            *(dcc.Store(id=f"{identity}-{what}") for what in ("spec", "clicked", "shapes")),
            html.Div(id=identity, style={"height": f"{height}px"}),
        ],
        role="img",
        className="graph",
        **aria(label=label),
    )


def draw_figures(app: Dash, *identities: str) -> None:
    """Draw what comes into the stores of these graphs, as a user views them (assets/figures.js).

    Not by ``dcc.Graph``: it gives Plotly its own layout back after a zoom, so that the next figure
    ends it, and draws a figure two or three times before it is first seen.
    """
    for identity in identities:
        app.clientside_callback(  # type: ignore[no-untyped-call]
            ClientsideFunction("figures", "draw"),
            Input(f"{identity}-spec", "data"),
            State(identity, "id"),
        )


def labelled(label: str, control: Component, note: str = "") -> Component:
    """A control under its label."""
    identity = getattr(control, "id", None)
    text = html.Label(label, htmlFor=identity) if isinstance(identity, str) else html.Span(label)
    hint = [html.Small(note)] if note else []
    return html.Div([text, control, *hint], className="control")


def facts(rows: Sequence[tuple[str, Any]]) -> Component:
    """(what, value) as a list of two columns."""
    pairs = [item for what, value in rows for item in (html.Dt(what), html.Dd(value))]
    return html.Dl(pairs, className="facts")


def table(
    head: Sequence[Any], rows: Sequence[Sequence[Any]], numbers: tuple[int, ...]
) -> Component:
    """A table; the columns ``numbers`` hold figures."""

    def look(index: int) -> str:
        return "n" if index in numbers else ""

    top = html.Tr([html.Th(name, className=look(i), scope="col") for i, name in enumerate(head)])
    body = [
        html.Tr([html.Td(cell, className=look(i)) for i, cell in enumerate(row)]) for row in rows
    ]
    return html.Table([html.Thead(top), html.Tbody(body)])


def study_link(key: str, *content: Any) -> Component:
    return dcc.Link(list(content) or key, href=link("study", key))


def design_link(key: str, number: int, *content: Any) -> Component:
    return dcc.Link(list(content) or f"trial {number}", href=link("design", key, trial=number))
