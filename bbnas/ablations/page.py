"""The report of an experiment: a self-contained HTML page, and the same tables in Markdown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bbnas.ablations.tables import Findings, effect_words
from bbnas.files import write_output
from bbnas.paper.write import literal
from bbnas.reporting.grid import grid
from bbnas.reporting.page import embed
from bbnas.tasks import get_task

_HERE = Path(__file__).parent


def write_ablation(found: Findings, folder: str | Path) -> tuple[Path, Path]:
    """Write NAME.html and NAME.md of an experiment to ``folder``; returns both.

    Raises:
        UserError: a file cannot be written.
    """
    path = Path(folder) / found.measured.experiment.name
    html = write_output(Path(f"{path}.html"), to_html(found))
    return html, write_output(Path(f"{path}.md"), to_markdown(found))


def to_html(found: Findings) -> str:
    """One self-contained page."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup
    from plotly.offline import get_plotlyjs

    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    experiment = found.measured.experiment
    return environment.get_template("ablation.html.j2").render(
        experiment=experiment,
        task=get_task(experiment.task),
        found=found,
        data=embed(list(found.figures)),
        style=Markup((_HERE.parent / "reporting" / "page.css").read_text(encoding="utf-8")),
        plotly=Markup(get_plotlyjs()),
    )


def to_markdown(found: Findings) -> str:
    """The tables, as a forge shows them."""
    experiment = found.measured.experiment
    lines = [
        f"# {literal(experiment.title)}",
        "",
        literal(experiment.question),
        "",
        f"**{literal(found.headline)}**",
        "",
    ]
    for table in found.tables:
        lines += [f"## {literal(table.title)}", "", *grid(table), "", literal(table.note), ""]
    lines += ["## Limits", "", *(f"- {literal(limit)}" for limit in found.limits), ""]
    lines += ["## How it was measured", ""]
    for topic, pairs in found.circumstances:
        lines += [f"**{literal(topic)}**", ""]
        lines += [f"- {literal(name)}: {literal(value)}" for name, value in pairs]
        lines.append("")
    lines.append(f"Made by `bbnas ablation run {experiment.name}`; figures in the HTML page.")
    return "\n".join(lines) + "\n"


def to_plain(found: Findings) -> dict[str, Any]:
    """All of it as plain values, for JSON: numbers unrounded."""
    measured = found.measured
    experiment = measured.experiment
    return {
        "study": experiment.name,
        "title": experiment.title,
        "task": experiment.task,
        "seeds": experiment.seeds,
        "headline": found.headline,
        "claims": [
            {
                "claim": j.words,
                "verdict": j.verdict,
                "effect": j.effect.value,
                "low": j.effect.low,
                "high": j.effect.high,
                "unit": j.unit,
                "seeds": j.effect.seeds,
                "words": effect_words(j),
                "note": j.note,
            }
            for j in found.judgements
        ],
        "rows": [
            {
                "row": row.name,
                "design": row.design,
                "x": row.x,
                "series": row.series,
                "psnr": measured.psnr(row.name),
                "paper": experiment.printed(row),
            }
            for row in experiment.rows
        ],
        "protocol": experiment.protocol,
        "limits": found.limits,
        "circumstances": {topic: dict(pairs) for topic, pairs in found.circumstances},
    }
