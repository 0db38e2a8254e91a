"""A block diagram as SVG: the network in a row, and below it the blocks of its parts.

Positions are along the flow and across it: the flow goes to the right or, in a narrow drawing,
down. Colours are CSS variables of the page (``--ink``, ``--link``, …), with those of a light page
where it has none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from bbnas.figures.diagram import SUM, Block, Diagram, Operation, PartDiagram
from bbnas.text import listed, plural

# Width of a wide drawing in pixels, which panels fill row by row, and of a narrow one.
WIDE, NARROW = 1130, 360
GAP = 19  # length of an arrow
PAD = 14  # inside of a panel
TITLE = 30  # height of a panel's title
BOX = 190  # width of a box in a narrow drawing
ROUTE = 30  # distance of a residual connection from the boxes
OUTSIDE = -1  # in place of the node where a residual starts: another part of the network

_DARK = {
    "ink": "#e6e9ef",
    "muted": "#a3adbd",
    "edge": "#465064",
    "panel": "#1a202b",
    "back": "#11151c",
    "link": "#74c0fc",
    "accent": "#ff8a4c",
}
_STYLE = """
.bbd { color: var(--ink, #1b2230); font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; }
.bbd text { fill: currentColor; text-anchor: middle; dominant-baseline: central; }
.bbd .b { font-weight: 650; } .bbd .s { font-size: 12px; }
.bbd .m { fill: var(--muted, #5d6778); } .bbd .l { text-anchor: start; }
.bbd .panel { fill: var(--panel, #f6f8fb); stroke: none; }
.bbd .box { fill: var(--back, #fff); stroke: var(--edge, #98a2b3); stroke-width: 1.2; }
.bbd .full { stroke: currentColor; stroke-width: 1.8; }
.bbd .bit { fill: var(--link, #1864ab); stroke: var(--link, #1864ab); }
.bbd .on { fill: var(--back, #fff); }
.bbd .half { stroke: var(--link, #1864ab); stroke-width: 2.4; stroke-dasharray: 5 3; }
.bbd .sum { fill: var(--back, #fff); stroke: var(--accent, #d9480f); stroke-width: 1.8; }
.bbd .wire { fill: none; stroke: currentColor; stroke-width: 1.4; }
.bbd .res { fill: none; stroke: var(--accent, #d9480f); stroke-width: 1.8; }
.bbd .head { fill: currentColor; } .bbd .rhead { fill: var(--accent, #d9480f); }
.bbd .group { fill: none; stroke: var(--muted, #5d6778); stroke-dasharray: 3 3; }
""".strip()


@dataclass(frozen=True)
class _Node:
    """A box with lines of text (the first bold if it is a part's or a convolution's), a circle
    for a sum, or text alone.
    """

    look: str
    lines: tuple[str, ...]

    def size(self, narrow: bool) -> tuple[float, float]:
        if self.look == "sum":
            return 24, 24
        widest = max(_width(line, index == 0) for index, line in enumerate(self.lines))
        if self.look == "io":
            return widest + 4, 18
        return (BOX if narrow else max(widest + 18, 46)), 16 + 17 * len(self.lines)


@dataclass(frozen=True)
class _Chain:
    """Nodes one after the other; ``groups`` are (first, last, times) of nodes in brackets.

    A residual goes from behind node ``start``, or from OUTSIDE, to node ``end``; ``path`` is what
    lies on it.
    """

    nodes: tuple[_Node, ...]
    groups: tuple[tuple[int, int, int], ...] = ()
    start: int | None = None
    end: int = 0
    path: str = ""


@dataclass(frozen=True)
class _Picture:
    width: float
    height: float
    content: str


def svg(diagram: Diagram, *, narrow: bool = False, theme: str | None = None) -> str:
    """The diagram as an ``<svg>`` element: 1130 pixels wide or, ``narrow``, 360.

    Inside of a page it has the page's colours; ``theme``, ``light`` or ``dark``, is for a file or
    an ``<img>``.
    """
    panels = [_panel("", _network(diagram, narrow), narrow)]
    for part in diagram.parts:
        for title, block in _titled(part):
            panels.append(_panel(title, _chain(block, narrow), narrow))
    rows, row = [], [panels[0]]
    for panel in panels[1:]:
        width = sum(p.width + GAP / 2 for p in row) + panel.width
        if narrow or row[0] is panels[0] or width > WIDE:
            rows.append(row)
            row = []
        row.append(panel)
    rows.append(row)
    y, content = 0.0, []
    for row in rows:
        x = 0.0
        for panel in row:
            content.append(f'<g transform="translate({x:g} {y:g})">{panel.content}</g>')
            x += panel.width + GAP / 2
        y += max(panel.height for panel in row) + GAP / 2
    width = NARROW if narrow else max(WIDE, *(sum(p.width + 12 for p in row) - 12 for row in rows))
    legend = _legend(diagram, width)
    content.append(f'<g transform="translate(0 {y:g})">{legend.content}</g>')
    height = y + legend.height
    colours = "".join(f"--{name}:{value};" for name, value in _DARK.items())
    style = f' style="{colours}"' if theme == "dark" else ""
    title = escape(f"Block diagram: {diagram.title}")
    described = escape(describe(diagram))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="bbd" role="img" aria-label="{title}. '
        f'{described}" viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}"'
        f"{style}><title>{title}</title><desc>{described}</desc><style>{_STYLE}</style>"
        f"{''.join(content)}</svg>"
    )


def describe(diagram: Diagram) -> str:
    """The diagram in words, for a reader who does not see it."""
    sentences = []
    for part in diagram.parts:
        convs = part.convs
        words = f"{part.name}: {plural(len(convs), 'convolution')}, {listed(part.precisions)}"
        if part.residuals and part.name == "body":
            words += f", {plural(part.residuals, 'residual connection')}"
        sentences.append(words)
    return "; ".join([*sentences, *diagram.notes]) + "."


def _network(diagram: Diagram, narrow: bool) -> _Picture:
    """The parts in a row, and the global skip around them."""
    nodes = [_Node("io", ("LQ",))]
    if diagram.entry:
        nodes.append(_Node("box", (diagram.entry,)))
    start = len(nodes) - 1
    nodes += [_part(part) for part in diagram.parts]
    end = len(nodes)
    tail = diagram.parts[-1].blocks[-1].ops
    nodes.append(_Node("sum", ("+",)))
    nodes += [_op(op) for op in tail[tail.index(SUM) + 1 :]]
    if diagram.exit:
        nodes.append(_Node("box", (diagram.exit,)))
    nodes.append(_Node("io", ("HQ",)))
    path = diagram.skip or "global skip"
    return _draw(_Chain(tuple(nodes), start=start, end=end, path=path), narrow)


def _part(part: PartDiagram) -> _Node:
    convs = part.convs
    widths = list(dict.fromkeys(conv.detail for conv in convs))
    number = f"{len(convs)} × " if len(convs) > 1 else ""
    kernels = " and ".join(dict.fromkeys(conv.text for conv in convs))
    lines = [part.name, listed(part.precisions), f"{number}{kernels}", ", ".join(widths)]
    if "1-bit" not in part.precisions:  # else a panel shows them
        names = [op.text for block in part.blocks for op in block.ops if op.kind == "activation"]
        names = list(dict.fromkeys(names))
        shuffles = Counter(
            op.text
            for block in part.blocks
            for _ in range(block.repeated)
            for op in block.ops
            if op.kind == "shuffle"
        )
        names += [name + (" twice" if n == 2 else "") for name, n in shuffles.items()]
        if names:
            lines.append(", ".join(names))
    return _Node(_look(part.convs[0]), tuple(lines))


def _look(op: Operation) -> str:
    if op.precision == "1-bit" or op.kind == "sign":
        return "bit"
    return {"1-bit weights": "half", "full precision": "full"}.get(op.precision or "", "box")


def _op(op: Operation) -> _Node:
    if op.kind == "sum":
        return _Node("sum", ("+",))
    lines = [op.text, op.detail] if op.detail else [op.text]
    if op.kind == "conv":
        lines.insert(0, op.precision or "")
    return _Node(_look(op), tuple(lines))


def _titled(part: PartDiagram) -> list[tuple[str, Block]]:
    """The blocks to draw of a part, with titles. One convolution in full precision stands in the
    row of parts already.
    """
    if part.name != "body" and "1-bit" not in part.precisions:
        return []
    several = len(part.blocks) > 1
    titled = []
    for index, block in enumerate(part.blocks):
        title = part.name.capitalize()
        if part.name == "body":
            convs = sum(op.kind == "conv" for op in block.ops)
            title += f": {plural(block.repeated, 'block')} of {plural(convs, 'convolution')}"
            if several:
                title += " first" if index == 0 else " then"
        elif several:
            title += ": last convolution" if index == len(part.blocks) - 1 else ""
            title += f", {block.repeated} times" if block.repeated > 1 else ""
        if not block.residual:
            title += ", no residual"
        titled.append((title, block))
    return titled


def _chain(block: Block, narrow: bool) -> _Picture:
    nodes, groups, end = [_Node("io", ("x",))], [], 0
    for times, ops in block.segments:
        first = len(nodes)
        for op in ops:
            if op == SUM:
                end = len(nodes)
            nodes.append(_op(op))
        if times > 1:
            groups.append((first, len(nodes) - 1, times))
    nodes.append(_Node("io", ("y",)))
    start = None if not end else OUTSIDE if block.outside else 0
    path = "global skip" if block.outside else block.path
    return _draw(_Chain(tuple(nodes), tuple(groups), start, end, path), narrow)


def _draw(chain: _Chain, narrow: bool) -> _Picture:
    sizes = [node.size(narrow) for node in chain.nodes]
    lengths = [size[narrow] for size in sizes]
    thick = max(size[not narrow] for size in sizes)
    # The middle of the flow, across it; the residual is above the boxes or right of them.
    side = (ROUTE if chain.start is not None else 0) + (8 if chain.groups else 0)
    middle = thick / 2 + (6 if narrow else side + 10)
    places = _places(chain, lengths)
    along = places[-1] + lengths[-1]

    def path(look: str, *points: tuple[float, float]) -> str:
        """A line through points, each (along the flow, across it)."""
        turned = [f"{c:g} {m:g}" if narrow else f"{m:g} {c:g}" for m, c in points]
        return f'<path class="{look}" d="M{"L".join(turned)}"/>'

    def text(look: str, words: str, x: float, y: float) -> str:
        return f'<text class="{look}" x="{x:g}" y="{y:g}">{escape(words)}</text>'

    def rect(look: str, x: float, y: float, width: float, height: float) -> str:
        return (
            f'<rect class="{look}" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" '
            'rx="6"/>'
        )

    out = []
    for index in range(1, len(places)):
        begin, tip = places[index - 1] + lengths[index - 1], places[index]
        begin += 4 if chain.nodes[index - 1].look == "io" else 0
        out.append(path("wire", (begin + 1, middle), (tip - 6, middle)))
        out.append(_arrow("head", (tip - 1, middle), narrow))
    for first, last, times in chain.groups:
        low, high = places[first] - 10, places[last] + lengths[last] + 10
        a, b = middle - thick / 2 - 8, middle + thick / 2 + 8
        box = (a, low, b - a, high - low) if narrow else (low, a, high - low, b - a)
        out.append(rect("group", *box))
        x, y = (b - 18, high + 10) if narrow else (high - 18, b + 11)
        out.append(text("b s", f"× {times}", x, y))
    far = middle + (1 if narrow else -1) * (thick / 2 + side)
    label = _width(chain.path, False) + 16
    if chain.start is not None:
        end = places[chain.end] + lengths[chain.end] / 2
        near = middle + (18 if narrow else -18)
        if chain.start == OUTSIDE:
            fork = end - 34 if narrow else max(end - label / 2 - 30, label / 2)
            out.append(path("res", (fork, far), (end, far), (end, near)))
            x, y = (far + 24, fork - 9) if narrow else (fork - label / 2, far)
            out.append(text("s", chain.path, x, y))
        else:
            fork = places[chain.start] + lengths[chain.start] + 12
            out.append(path("res", (fork, middle), (fork, far), (end, far), (end, near)))
            x, y = (middle, fork) if narrow else (fork, middle)
            out.append(f'<circle class="rhead" cx="{x:g}" cy="{y:g}" r="3.4"/>')
            x, y = (far + label / 2 - 16, (fork + end) / 2) if narrow else ((fork + end) / 2, far)
            if chain.path:
                out.append(rect("box", x - label / 2, y - 12, label, 24))
                out.append(text("s", chain.path, x, y))
        out.append(_arrow("rhead", (end, near), narrow, across=True))
    for node, place, size in zip(chain.nodes, places, sizes, strict=True):
        m = place + size[narrow] / 2
        out.append(_node(node, (middle, m) if narrow else (m, middle), size))
    across = middle + thick / 2 + (22 if chain.groups else 4)
    if not narrow:
        return _Picture(along, across, "".join(out))
    return _Picture(max(across, far + label), along, "".join(out))


def _places(chain: _Chain, lengths: Sequence[float]) -> list[float]:
    """Where each node begins along the flow. The arrow of a fork or a bracket is longer."""
    places = [0.0]
    for index in range(1, len(lengths)):
        at_edge = any(index in (first, last + 1) for first, last, _ in chain.groups)
        longer = at_edge or index - 1 == chain.start
        places.append(places[-1] + lengths[index - 1] + GAP * (1.5 if longer else 1))
    return places


def _arrow(look: str, tip: tuple[float, float], narrow: bool, across: bool = False) -> str:
    """The head of an arrow along the flow, or ``across`` it towards the middle; ``tip`` is (along,
    across).
    """
    m, c = tip
    if across:
        d = f"M{c - 5:g} {m:g}l7 -4v8z" if narrow else f"M{m:g} {c + 5:g}l-4 -7h8z"
    else:
        d = f"M{c:g} {m:g}l-4 -7h8z" if narrow else f"M{m:g} {c:g}l-7 -4v8z"
    return f'<path class="{look}" d="{d}"/>'


def _node(node: _Node, centre: tuple[float, float], size: tuple[float, float]) -> str:
    x, y = centre
    if node.look == "sum":
        return (
            f'<circle class="sum" cx="{x:g}" cy="{y:g}" r="11"/>'
            f'<path class="res" d="M{x - 6:g} {y:g}h12M{x:g} {y - 6:g}v12"/>'
        )
    out = []
    if node.look != "io":
        out.append(
            f'<rect class="box {node.look}" x="{x - size[0] / 2:g}" y="{y - size[1] / 2:g}" '
            f'width="{size[0]:g}" height="{size[1]:g}" rx="7"/>'
        )
    top = y - 8.5 * (len(node.lines) - 1)
    for index, line in enumerate(node.lines):
        bold = "b" if index == 0 and (len(node.lines) > 1 or node.look == "io") else "s"
        look = f"{bold} on" if node.look == "bit" else bold
        out.append(
            f'<text class="{look}" x="{x:g}" y="{top + 17 * index:g}">{escape(line)}</text>'
        )
    return "".join(out)


def _panel(title: str, picture: _Picture, narrow: bool) -> _Picture:
    top = PAD + (TITLE if title else 0)
    width = max(picture.width, _width(title, True)) + 2 * PAD
    if narrow:
        width = NARROW
    height = picture.height + top + PAD
    text = f'<text class="b l" x="{PAD}" y="{PAD + 8}">{escape(title)}</text>' if title else ""
    return _Picture(
        width,
        height,
        f'<rect class="panel" width="{width:g}" height="{height:g}" rx="10"/>{text}'
        f'<g transform="translate({PAD} {top:g})">{picture.content}</g>',
    )


def _legend(diagram: Diagram, width: float) -> _Picture:
    """The looks that occur, and the notes, in lines of at most ``width`` pixels."""
    looks = {look for part in diagram.parts for look in part.precisions}
    names = {
        "1-bit": ("bit", "1-bit weights and activations"),
        "1-bit weights": ("half", "1-bit weights alone"),
        "full precision": ("full", "full precision"),
    }
    items = [names[precision] for precision in names if precision in looks]
    items += [("line", "residual connection"), *(("", note) for note in diagram.notes)]
    x, y, out = 2.0, 12.0, []
    for look, text in items:
        length = _width(text, False) + (34 if look else 0)
        if x > 2 and x + length > width:
            x, y = 2.0, y + 22
        if look == "line":
            out.append(f'<path class="res" d="M{x:g} {y:g}h24"/>')
        elif look:
            out.append(
                f'<rect class="box {look}" x="{x:g}" y="{y - 7:g}" width="24" height="14" rx="4"/>'
            )
        shift = 32 if look else 0
        out.append(f'<text class="s m l" x="{x + shift:g}" y="{y:g}">{escape(text)}</text>')
        x += length + 20
    return _Picture(width, y + 14, "".join(out))


def _width(text: str, bold: bool) -> float:
    """About the width of a line of text in pixels."""
    return len(text) * (7.0 if bold else 6.3)
