"""The report of an ablation as a page, as Markdown, and as plain values for JSON."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bbnas.ablations.tables import AblationReport, effect_words
from bbnas.files import write_output
from bbnas.reporting.html import write_html
from bbnas.reporting.markdown import grid, literal
from bbnas.reporting.picture import write_picture
from bbnas.tasks import get_task


def write_ablation(
    report: AblationReport, folder: str | Path, *, inline: bool = False, pictures: bool = False
) -> tuple[Path, Path]:
    """Write NAME.html and NAME.md of an ablation to ``folder``; return both paths.

    ``inline`` is that of :func:`bbnas.reporting.html.write_html`. ``pictures`` also writes each
    figure as NAME-N.png, which the Markdown shows; they need Chromium.

    Raises:
        UserError: a file cannot be written, or there is no Chromium.
    """
    ablation = report.measured.ablation
    path = Path(folder) / ablation.name
    html = write_html(
        f"{path}.html",
        "ablations/ablation.html.j2",
        inline=inline,
        ablation=ablation,
        task=get_task(ablation.task),
        report=report,
        figures={str(number): figure for number, figure in enumerate(report.figures)},
    )
    drawn = [
        write_picture(f"{path}-{number}.png", figure).name
        for number, figure in enumerate(report.figures, 1)
        if pictures
    ]
    return html, write_output(f"{path}.md", to_markdown(report, drawn))


def to_markdown(report: AblationReport, pictures: Sequence[str] = ()) -> str:
    """The tables in Markdown; ``pictures`` are files beside it, shown below the verdicts."""
    ablation = report.measured.ablation
    lines = [
        f"# {literal(ablation.title)}",
        "",
        literal(ablation.question),
        "",
        f"**{literal(report.headline)}**",
        "",
    ]
    for number, table in enumerate(report.tables):
        lines += [f"## {literal(table.title)}", "", *grid(table), "", literal(table.note), ""]
        if number == 0:
            for picture in pictures:
                lines += [f"![{literal(ablation.title)}]({picture})", ""]
    lines += ["## Limits", "", *(f"- {literal(limit)}" for limit in report.limits), ""]
    lines += ["## How it was measured", ""]
    for topic, pairs in report.circumstances:
        lines += [f"**{literal(topic)}**", ""]
        lines += [f"- {literal(name)}: {literal(value)}" for name, value in pairs]
        lines.append("")
    lines.append(
        f"Made by `bbnas ablation run {ablation.name}`, which also writes a page with interactive "
        "figures."
    )
    return "\n".join(lines) + "\n"


def to_plain(report: AblationReport) -> dict[str, Any]:
    """The whole report as plain values with unrounded numbers, for JSON."""
    measured = report.measured
    ablation = measured.ablation
    return {
        "ablation": ablation.name,
        "title": ablation.title,
        "task": ablation.task,
        "seeds": ablation.seeds,
        "headline": report.headline,
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
            for j in report.judgements
        ],
        "rows": [
            {
                "row": row.name,
                "design": row.design,
                "protocol": row.protocol,
                "x": row.x,
                "series": row.series,
                "psnr": measured.psnr(row.name),
                "paper": ablation.printed(row),
            }
            for row in ablation.rows
        ],
        "protocol": ablation.protocol,
        "limits": report.limits,
        "circumstances": {topic: dict(pairs) for topic, pairs in report.circumstances},
    }
