"""Pictures that a candidate restores, on the page Design: how they are made, and two compared."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from dash import dcc, html
from dash.development.base_component import Component

from bbnas.dashboard.page import labelled, loading, message
from bbnas.dashboard.restoring import Picture, Restoration, RestoredPictures, expected
from bbnas.runs.pictures import HQ, RECOMMENDED
from bbnas.study import Candidate
from bbnas.text import decibel, duration

# Pixels of the page for one of a picture.
ZOOMS = (1, 2, 3, 4, 6, 8)


def restored(
    key: str, candidate: Candidate, job: Restoration | None, data: str | None
) -> Component:
    """The pictures, or the button that makes them and what has become of it."""
    seconds = expected(candidate)
    again = html.Button(
        f"Train it again and restore (about {duration(seconds)} of one core)",
        id="design-restore",
        n_clicks=0,
    )
    images = "the images that come with bbnas" if data is None else f"the images of {data}"
    why = html.P(
        "A study keeps figures, not networks. The design and its full-precision twin are trained "
        f"again under the study’s protocol with {images}, in a process of low priority.",
        className="note",
    )
    if job is None:
        return html.Div([again, why])
    if job.state == "busy":
        text = "Another design is being trained for its pictures. Try again when it is done."
        return html.Div([message(text, kind="loading"), again, why])
    if job.state == "running":
        text = f"Training for pictures: about {duration(seconds)} in all. This page may be left."
        return html.Div(loading(text))
    if job.state == "failed" or job.restored is None:
        return html.Div([message(f"No pictures: {job.error}.", kind="error"), again, why])
    return viewers(key, candidate, job.restored)


def viewers(key: str, candidate: Candidate, found: RestoredPictures) -> Component:
    """Each picture twice, one over the other, and a slider that uncovers one of them."""
    methods = [*found.mean_psnr, HQ]

    def options() -> list[dict[str, str]]:
        return [{"label": _method(name, candidate), "value": name} for name in methods]

    right = RECOMMENDED if RECOMMENDED in methods else methods[-1]
    controls = html.Div(
        [
            labelled("Left", _select("design-left", options(), methods[0])),
            labelled("Right", _select("design-right", options(), right)),
            labelled(
                "Boundary",
                dcc.Input(
                    id="design-split",
                    type="range",
                    min=0,
                    max=100,
                    step=1,
                    value=50,
                    debounce=False,
                ),
            ),
            labelled(
                "Zoom",
                _select("design-zoom", [{"label": f"{z} ×", "value": str(z)} for z in ZOOMS], "2"),
            ),
        ],
        className="controls",
    )
    figures = [
        _viewer(key, candidate, index, picture, methods, (methods[0], right))
        for index, picture in enumerate(found.pictures)
    ]
    means = ", ".join(f"{_method(n, candidate)} {decibel(p)}" for n, p in found.mean_psnr.items())
    note = f"Mean PSNR over all validation images: {means}. {found.note}"
    return html.Div(
        [
            controls,
            html.Div(figures, id="design-viewers", className="viewers"),
            html.P(note, className="note"),
        ]
    )


def _select(identity: str, options: list[dict[str, str]], value: str) -> Component:
    return dcc.Dropdown(
        id=identity, options=options, value=value, clearable=False, searchable=False
    )


def _viewer(
    key: str,
    candidate: Candidate,
    index: int,
    picture: Picture,
    methods: list[str],
    sides: tuple[str, str],
) -> Component:
    left, right = sides
    width: Any = {"--width": f"{picture.width}px"}

    address = {"study": key, "trial": candidate.number, "image": index}
    images = []
    for method in methods:
        marked: Any = {"data-method": method}
        images.append(
            html.Img(
                src=f"/design/picture?{urlencode({**address, 'method': method})}",
                alt=f"{picture.name}, {_method(method, candidate)}",
                className="restored" + " left" * (method == left) + " right" * (method == right),
                title=_method(method, candidate),
                **marked,
            )
        )
    psnr = ", ".join(f"{_method(n, candidate)} {decibel(p)}" for n, p in picture.psnr.items())
    return html.Figure(
        [
            html.Div(
                html.Div(images, className="layers", style=width), className="window", tabIndex=0
            ),
            html.Figcaption([html.B(picture.name), html.Br(), html.Small(psnr)]),
        ]
    )


def _method(name: str, candidate: Candidate) -> str:
    return f"trial {candidate.number}" if name == RECOMMENDED else name
