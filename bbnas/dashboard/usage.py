"""What to do with a candidate, on the page Design: its recipe, commands, and its YAML."""

from __future__ import annotations

import shlex
from urllib.parse import urlencode

from dash import dcc, html
from dash.development.base_component import Component

from bbnas.dashboard.page import message
from bbnas.study import Candidate, Study


def usage(key: str, study: Study, candidate: Candidate) -> Component:
    """The recipe to download, the commands that use it, and the design as YAML."""
    e = candidate.evaluation
    if e.feasible:
        address = urlencode({"study": key, "trial": candidate.number})
        download: Component = html.A(
            "Download the recipe (YAML)", href=f"/design/recipe?{address}", className="button"
        )
        lines = commands(study, candidate)
        use = [
            html.P(download),
            *(
                html.Div([html.Code(line), _copy(line, what)], className="command")
                for what, line in lines.items()
            ),
            html.P(
                "The recipe holds the paper’s schedule, which needs a GPU and DIV2K; "
                "--iterations 4 tries the steps.",
                className="note",
            ),
        ]
    else:
        use = [message(f"There is no recipe: this training {_ended(candidate)}.")]
    text = e.design.to_yaml()
    yaml = html.Details(
        [html.Summary("The design as YAML"), html.Pre(text), _copy(text, "the design")]
    )
    return html.Div([*use, yaml])


def _ended(candidate: Candidate) -> str:
    e = candidate.evaluation
    return f"was {e.result}" if e.status == "stopped" else e.status


def _copy(text: str, what: str) -> Component:
    return dcc.Clipboard(content=text, title=f"Copy {what}", className="copy")


def commands(study: Study, candidate: Candidate) -> dict[str, str]:
    """The commands that export, train and pack a candidate, by what they do."""
    name, file = study.config.name, recipe_name(study, candidate)
    usual = study.storage == f"sqlite:///studies/{name}.db"
    storage = [] if usual else ["--storage", study.storage]
    recipe, trained = f"recipes/{file}.yaml", f"runs/{file}/best.safetensors"
    pick = f"trial {candidate.number}"
    return {
        "export": shlex.join(["bbnas", "export", name, *storage, "--pick", pick, "-o", recipe]),
        "train": shlex.join(["bbnas", "train", recipe]),
        "pack": shlex.join(["bbnas", "pack", trained, "-o", f"{file}.bbn"]),
    }


def recipe_name(study: Study, candidate: Candidate) -> str:
    return f"{study.config.name}-trial{candidate.number}"
