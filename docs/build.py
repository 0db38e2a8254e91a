"""Builds the documentation site, runs the notebooks, and checks the links of the pages.

    python docs/build.py check        links and anchors of the Markdown files; needs no library
    python docs/build.py notebooks    run docs/notebooks/*.ipynb and keep their outputs
    python docs/build.py site         check, then build/site

The site needs the extra ``docs``. Its sources are the Markdown files of the repository;
``build/docs`` receives a copy of them, the notebooks as Markdown, and the reference pages.
"""

from __future__ import annotations

import importlib
import inspect
import os
import pkgutil
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bbnas.models import Card

ROOT = Path(__file__).resolve().parents[1]
DOCS, BUILD = ROOT / "docs", ROOT / "build"
STAGE, SITE = BUILD / "docs", BUILD / "site"

# Pages at the top of the repository → their place in the site.
TOP = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
}

# Modules that no user imports.
INTERNAL = {"bbnas.__main__", "bbnas.cli", "bbnas.native"}
# Names for extensions: not in the package's ``__all__``, but on its page.
EXTENSIONS = {
    "bbnas.searching": (
        "bbnas.searching.ehvi.EhviSampler",
        "bbnas.searching.samplers.Entry",
        "bbnas.searching.samplers.Setting",
    ),
}

_FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<=\]\()(?P<target>[^)\s]+)(?=\))")
_HEADING = re.compile(r"^#{1,6} +(?P<title>.+?) *#*$", re.MULTILINE)
_OUTSIDE = re.compile(r"[a-z]+:|#")
_ROLE = re.compile(r":(?:attr|class|data|exc|func|meth|mod):(<code>)~?")
_STYLE = re.compile(r"<style scoped>.*?</style>\n?", re.DOTALL)


class DocumentationError(Exception):
    """What is wrong with the documentation, a line each."""


# Links


def pages() -> list[Path]:
    """Every Markdown file that the site is made of."""
    return [ROOT / name for name in TOP] + sorted(DOCS.rglob("*.md"))


def links(text: str) -> Iterator[str]:
    """The relative targets of the links of a page; code blocks have none."""
    for found in _LINK.finditer(_FENCE.sub("", text)):
        if not re.match(r"[a-z]+:", found["target"]):
            yield found["target"]


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as Markdown's ``toc`` makes them."""
    titles = (found["title"] for found in _HEADING.finditer(_FENCE.sub("", text)))
    plain = (re.sub(r"[^\w\s-]", "", title).strip().lower() for title in titles)
    return {re.sub(r"[-\s]+", "-", title) for title in plain}


def broken(page: Path) -> Iterator[str]:
    """A line for each link of a page that leads nowhere."""
    for target in links(page.read_text(encoding="utf-8")):
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        here = page.relative_to(ROOT)
        if not file.exists() or not file.is_relative_to(ROOT):
            yield f"{here}: {target}: no such file"
        elif anchor and file.suffix == ".md" and anchor not in anchors(file.read_text("utf-8")):
            yield f"{here}: {target}: {file.name} has no such heading"


def check() -> None:
    """Raises DocumentationError where a link of a page leads nowhere."""
    faults = [line for page in pages() for line in broken(page)]
    if faults:
        raise DocumentationError("\n".join(faults))
    print(f"{len(pages())} pages: all links lead somewhere")


# Models

# What the figures in print need to be read with, by model.
REMARKS = {
    "jpeg": (
        "The paper's rows of Classic5 cannot be compared with its full-precision DnCNN-3. At "
        "quality 10 its BBCU is 0.13 dB behind DnCNN-3 on LIVE1 (29.06 and 29.19 dB) and 0.60 dB "
        "ahead on Classic5 (30.00 and 29.40 dB), and DnCNN-3-Lite and BNN are ahead there too. "
        "DnCNN-3's row is that of its own paper, and the JPEG files here score what that paper "
        "prints for them (27.82 dB). With the distance of LIVE1, BBCU would have 29.27 dB here."
    )
}


def models() -> None:
    """Writes ``docs/models.md`` from the cards of the models, and a picture of each ×s."""
    from bbnas.models import models as all_models

    (DOCS / "models.md").write_text(models_page(), encoding="utf-8")
    for name, card in all_models().items():
        if card.task.startswith("sr"):
            _beside_bicubic(name, DOCS / f"{name}.webp")


def _beside_bicubic(name: str, file: Path) -> None:
    """The middle of the sample, enlarged by bicubic interpolation and by a model."""
    import numpy as np
    from PIL import Image

    from bbnas.data import bicubic_upscale
    from bbnas.engine import load
    from bbnas.models import model_file

    with Image.open(DOCS / "sample" / "astronaut.png") as sample:
        lq = np.asarray(sample.convert("RGB"))
    model = load(model_file(name))
    whole = np.stack([bicubic_upscale(lq, model.scale), model(lq)])
    height, width = whole.shape[1:3]
    top, left = height // 8, width // 4
    crops = whole[:, top : top + height // 2, left : left + width // 2]
    Image.fromarray(np.concatenate(crops, axis=1)).save(file, quality=90)


def models_page() -> str:
    """The page of the models: how each was made, and its scores beside the paper's."""
    from bbnas.models import models as all_models
    from bbnas.paper import beside_printed
    from bbnas.tasks import get_task

    lines = [
        "# Models",
        "",
        "bbnas trained these models. `bbnas restore IMAGES --model NAME -o FOLDER` runs one,",
        "and `bbnas models show NAME` prints its card. A blind model also answers to the tasks",
        "that it covers: `--model denoise25` is `--model denoise`.",
    ]
    for name, card in all_models().items():
        task, protocol = get_task(card.task), card.protocol
        lines += [
            "",
            f"## {name}",
            "",
            f"- Task: {task.title}, by {card.design.label()}; {card.bytes:,} bytes",
            f"- Training: {card.iterations:,} of {protocol.iterations:,} iterations",
            f"- Batches: {protocol.batch} patches of {protocol.patch}² HQ pixels",
            f"- Time: {card.hours:.1f} hours of {card.environment.get('cpu', 'a processor')}",
            f"- Data: {card.data}",
            f"- Score: {task.metric}",
            *(
                ["", f"![Left bicubic interpolation, right model {name}]({name}.webp)"]
                if task.scale > 1
                else []
            ),
            *_curve(card),
            "",
            f"| task | set | PSNR (dB) | SSIM | against {task.baseline} | in print | difference |",
            "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
        ]
        for level, sets in card.scores.items():
            psnr = {images: figures.psnr for images, figures in sets.items()}
            for row in beside_printed(get_task(level), psnr):
                printed = "–" if row.printed is None else f"{row.row} {row.printed:.2f}"
                gap = "–" if row.gap is None else f"{row.gap:+.2f}"
                found = sets[row.images]
                cells = (
                    *(level, row.images, f"{row.psnr:.2f}", f"{found.ssim:.4f}"),
                    *(f"{row.psnr - found.baseline:+.2f}", printed, gap),
                )
                lines.append(f"| {' | '.join(cells)} |")
        if name in REMARKS:
            lines += ["", *textwrap.wrap(REMARKS[name], 110)]
    return "\n".join(lines) + "\n"


def _curve(card: Card) -> list[str]:
    """The validations of a training: a table of at most 6 of them, evenly apart."""
    if not card.curve:
        return []
    last, steps = len(card.curve) - 1, min(5, len(card.curve) - 1)
    shown = [card.curve[round(last * i / max(steps, 1))] for i in range(steps + 1)]
    cells = [f"| iteration | {' | '.join(f'{iteration:,}' for iteration, _ in shown)} |"]
    cells += ["| --- |" + " ---: |" * len(shown)]
    cells += [f"| validation (dB) | {' | '.join(f'{psnr:.2f}' for _, psnr in shown)} |"]
    return ["", *cells]


# Notebooks


def notebooks() -> None:
    """Runs every notebook and writes its outputs into it, without warnings and times."""
    import nbformat
    from nbclient import NotebookClient
    from nbconvert.preprocessors import CoalesceStreamsPreprocessor

    for path in sorted((DOCS / "notebooks").glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        client = NotebookClient(notebook, timeout=1200, record_timing=False)
        client.execute(cwd=str(path.parent))
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.outputs = [out for out in cell.outputs if out.get("name") != "stderr"]
                for out in cell.outputs:
                    if "text/html" in out.get("data", {}):
                        out.data["text/html"] = _STYLE.sub("", out.data["text/html"])
                        out.data.pop("text/plain", None)
        notebook, _ = CoalesceStreamsPreprocessor().preprocess(notebook, {})
        notebook.metadata.language_info = {"name": "python"}
        nbformat.write(notebook, path)
        print(f"{path.relative_to(ROOT)}: {path.stat().st_size:,} bytes")


def _notebook_pages(folder: Path) -> None:
    from nbconvert import MarkdownExporter

    for path in sorted((DOCS / "notebooks").glob("*.ipynb")):
        body, resources = MarkdownExporter().from_filename(
            str(path), resources={"output_files_dir": f"{path.stem}_files"}
        )
        body = body.replace(' border="1" class="dataframe"', "")  # tables as the theme has them
        (folder / f"{path.stem}.md").write_text(body, encoding="utf-8")
        for name, content in resources["outputs"].items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(content)


# Reference pages


def _modules() -> list[ModuleType]:
    """bbnas, its packages and its modules, in the order of their names."""
    import bbnas

    names = [f"bbnas.{info.name}" for info in pkgutil.iter_modules(bbnas.__path__)]
    return [bbnas, *(importlib.import_module(name) for name in names if name not in INTERNAL)]


def _inner(package: ModuleType) -> Iterator[str]:
    """The modules of a package that has no public names of its own; none is imported."""
    for file in Path(package.__path__[0]).rglob("*.py"):
        if file.name != "__init__.py":
            inside = file.relative_to(package.__path__[0]).with_suffix("")
            yield ".".join([package.__name__, *inside.parts])


def _home(module: ModuleType, name: str) -> str | None:
    """Where a public name is defined; None for what has no page, such as a version."""
    value = getattr(module, name)
    home = getattr(value, "__module__", None)
    if isinstance(value, type) or inspect.isroutine(value):
        return f"{home}.{value.__qualname__}"
    # A value does not know its module: it is where the source assigns it.
    for other in list(sys.modules.values()):
        source = getattr(other, "__file__", None) or ""
        if other.__name__.startswith("bbnas.") and other.__dict__.get(name) is value:
            text = Path(source).read_text(encoding="utf-8")
            if re.search(rf"^{name}\b[^=\n]*=", text, re.MULTILINE):
                return f"{other.__name__}.{name}"
    return None


def _api_pages(folder: Path) -> list[dict[str, str]]:
    """One page per package and module, of its public names; the entries of the navigation."""
    entries = []
    for module in _modules():
        public = getattr(module, "__all__", None)
        title = module.__name__
        if not hasattr(module, "__path__"):
            options = (
                "\n    options:\n      show_root_heading: false\n      show_root_toc_entry: false"
            )
            lines = [f"# `{title}`", "", f"::: {title}{options}"]
        else:
            about = inspect.getdoc(module) or ""
            about = re.sub(r":\w+:`~?([^`]+)`", r"`\1`", about).replace("``", "`")
            lines = [f"# `{title}`", "", about]
            if public is None:
                shown = sorted(_inner(module))
            else:
                homes = (_home(module, name) for name in sorted(public, key=str.lower))
                shown = [*filter(None, dict.fromkeys(homes)), *EXTENSIONS.get(title, ())]
            lines += [f"\n::: {name}" for name in shown]
        (folder / f"{title}.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
        entries.append({title: f"api/{title}.md"})
    return entries


def _commands_page(file: Path) -> None:
    """The help of every command, from the commands themselves."""
    import click

    from bbnas.cli import cli

    def section(command: click.Command, context: click.Context) -> Iterator[str]:
        if not isinstance(command, click.Group):
            yield f"\n## {context.command_path}\n\n```text\n{command.get_help(context)}\n```"
            return
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from section(inner, click.Context(inner, context, info_name=name))

    settings: dict[str, Any] = {**cli.context_settings, "max_content_width": 92}
    context = click.Context(cli, info_name="bbnas", terminal_width=92, **settings)
    help_of_all = f"```text\n{cli.get_help(context)}\n```"
    text = "\n".join(["# Commands", "", help_of_all, *section(cli, context)])
    file.write_text(text + "\n", encoding="utf-8")


# The site


def _rewritten(source: Path, place: Path) -> str:
    """A page's text with its links as the site needs them; ``place`` is below ``STAGE``.

    A link to a file that is no page of the site leads to a copy of that file.
    """

    def moved(found: re.Match[str]) -> str:
        name, hash_, anchor = found["target"].partition("#")
        if _OUTSIDE.match(found["target"]):
            return found["target"]
        file = (source.parent / name).resolve()
        inside = file.relative_to(ROOT).as_posix()
        if inside in TOP:
            goal = STAGE / TOP[inside]
        elif file.is_relative_to(DOCS):
            goal = STAGE / file.relative_to(DOCS)
            goal = goal.with_suffix(".md") if goal.suffix == ".ipynb" else goal
        else:
            goal = STAGE / "files" / (inside if file.suffix else f"{inside}.txt")
            goal.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, goal)
        return Path(os.path.relpath(goal, place.parent)).as_posix() + hash_ + anchor

    text = source.read_text(encoding="utf-8")
    kept = [*_FENCE.finditer(text), None]
    out, start = [], 0
    for fence in kept:  # code blocks stay as they are
        end = len(text) if fence is None else fence.start()
        out.append(_LINK.sub(moved, text[start:end]))
        if fence is not None:
            out.append(fence[0])
            start = fence.end()
    return "".join(out)


def _stage() -> None:
    """Fills ``build/docs``, and writes the configuration beside it."""
    import yaml

    for old in (STAGE, SITE):
        shutil.rmtree(old, ignore_errors=True)
    left_out = shutil.ignore_patterns("*.md", "*.py", "*.ipynb", "*.yml", "__pycache__", ".*")
    shutil.copytree(DOCS, STAGE, ignore=left_out)
    for page in pages():
        inside = page.relative_to(ROOT).as_posix()
        place = STAGE / (TOP.get(inside) or page.relative_to(DOCS))
        place.write_text(_rewritten(page, place), encoding="utf-8")
    _notebook_pages(STAGE / "notebooks")
    _commands_page(STAGE / "commands.md")
    (STAGE / "api").mkdir()
    api = _api_pages(STAGE / "api")
    config = yaml.safe_load((DOCS / "mkdocs.yml").read_text(encoding="utf-8"))

    def filled(entry: Any) -> Any:
        if isinstance(entry, list):
            return [filled(item) for item in entry]
        if isinstance(entry, dict):
            return {name: filled(value) for name, value in entry.items()}
        return api if entry == "api" else entry

    config["nav"] = filled(config["nav"])
    (BUILD / "mkdocs.yml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")


def requests(folder: Path) -> list[str]:
    """What the pages of a site would fetch from elsewhere when they are opened."""
    fetched = re.compile(
        r"<(?:script|link|img|iframe)\b[^>]*(?:src|href)=[\"']?(https?://[^\"' >]+)"
    )
    return [
        f"{page.relative_to(folder)}: {address}"
        for page in sorted(folder.rglob("*.html"))
        for address in fetched.findall(page.read_text(encoding="utf-8"))
    ]


def site() -> None:
    """Builds ``build/site``.

    Raises:
        DocumentationError: a broken link, or a page that would fetch something from elsewhere.
    """
    check()
    _stage()
    zensical = Path(sys.executable).with_name("zensical")
    command = [str(zensical), "build", "--clean", "--strict", "-f", str(BUILD / "mkdocs.yml")]
    if subprocess.run(command, check=False).returncode:
        raise DocumentationError("Zensical found the faults above")
    for page in SITE.rglob("*.html"):  # docstrings have Sphinx's roles, which Markdown has not
        page.write_text(_ROLE.sub(r"\1", page.read_text("utf-8")), encoding="utf-8")
    if outside := requests(SITE):
        raise DocumentationError("\n".join(outside))
    print(f"open {SITE / 'index.html'}")


TARGETS: dict[str, Callable[[], None]] = {
    "check": check,
    "models": models,
    "notebooks": notebooks,
    "site": site,
}

if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in TARGETS:
        sys.exit(f"usage: python docs/build.py {'|'.join(TARGETS)}")
    try:
        TARGETS[sys.argv[1]]()
    except DocumentationError as fault:
        sys.exit(str(fault))
