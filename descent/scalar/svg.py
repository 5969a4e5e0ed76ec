"""The graph as SVG: boxes of numbers, circles of operations, lines that carry derivatives.

Colours follow the reader's light or dark setting; the paper is drawn too, so a notebook's own theme
does not matter. Left out: zooming and folding, which the viewer does.
"""

from __future__ import annotations

import html

from descent.scalar.layout import Layout, layered
from descent.scalar.subgraph import Subgraph, cells, number
from descent.scalar.value import Value

__all__ = ["render_svg"]

_CHAR, _ROW, _PAD, _RADIUS, _STEM, _MARGIN = 7.0, 24.0, 8.0, 15.0, 12.0, 18.0
_STYLE = """
.descent-graph{font:12px ui-monospace,Menlo,Consolas,monospace;--paper:#ffffff;--ink:#1f2328;
--soft:#59636e;--line:#8c959f;--box:#f6f8fa;--leaf:#ddf4ff;--op:#fff8c5;--root:#dafbe1;--faint:#d1d9e0}
@media(prefers-color-scheme:dark){.descent-graph{--paper:#0d1117;--ink:#e6edf3;--soft:#9198a1;
--line:#6e7681;--box:#1c2129;--leaf:#10304f;--op:#453a0b;--root:#12351f;--faint:#3d444d}}
.descent-graph .paper{fill:var(--paper)}
.descent-graph text{fill:var(--ink);text-anchor:middle;dominant-baseline:central}
.descent-graph .soft{fill:var(--soft)}
.descent-graph .name{font-weight:600}
.descent-graph .slope{fill:var(--soft);font-size:10.5px;stroke:var(--paper);stroke-width:5px;
paint-order:stroke;stroke-linejoin:round}
.descent-graph path{fill:none;stroke:var(--line);stroke-width:1.3px}
.descent-graph .head{fill:var(--line);stroke:none}
.descent-graph rect,.descent-graph circle{stroke:var(--line);fill:var(--box)}
.descent-graph .paper{stroke:none;fill:var(--paper)}
.descent-graph .leaf rect{fill:var(--leaf)}.descent-graph .root rect{fill:var(--root)}
.descent-graph .more rect{stroke-dasharray:4 3}
.descent-graph circle{fill:var(--op)}
.descent-graph .rule{stroke:var(--faint)}
""".replace("\n", "")


class _Box:
    """One Value as drawn: an op circle (if computed), a stem, a box of cells."""

    def __init__(self, node: Value, down: bool) -> None:
        self.cells = cells(node)
        self.spans = [len(text) * _CHAR + 2 * _PAD for _, text in self.cells]
        self.width = max(self.spans) if down else sum(self.spans)
        self.height = _ROW * len(self.cells) if down else _ROW
        self.op = node.op
        self.lead = 2 * _RADIUS + _STEM if node.op else 0.0  # circle and stem, along the flow
        self.rx = max(_RADIUS, len(node.op) * _CHAR / 2 + 5)
        if not down and node.op:
            self.lead = 2 * self.rx + _STEM

    def size(self, down: bool) -> tuple[float, float]:
        """(along the flow, across it)."""
        if down:
            return self.height + self.lead, max(self.width, 2 * self.rx)
        return self.width + self.lead, max(self.height, 2 * _RADIUS if self.op else 0)


def render_svg(graph: Subgraph, rankdir: str) -> str:
    down = rankdir == "TB"
    boxes = [_Box(node, down) for node in graph.nodes]
    layout = layered(
        [box.size(down) for box in boxes],
        [(a, b) for a, b, _, _ in graph.edges],
        layer_gap=56.0 if down else 76.0,
        node_gap=22.0 if down else 14.0,
    )
    width, height = (layout.height, layout.width) if down else (layout.width, layout.height)
    width, height = width + 2 * _MARGIN, height + 2 * _MARGIN
    root = graph.nodes[-1]
    title = html.escape(f"computation graph of {root.label or 'a Value'}: {root.data:.6g}")
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="descent-graph" role="img" '
        f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}">',
        f"<title>{title}</title><style>{_STYLE}</style>",
        f'<rect class="paper" width="{width:.0f}" height="{height:.0f}" rx="8"/>',
        f'<g transform="translate({_MARGIN:g} {_MARGIN:g})">',
        *_edges(graph, boxes, layout, down),
    ]
    for i, (node, box) in enumerate(zip(graph.nodes, boxes)):
        kind = "more" if i in graph.cut else "" if node.parents else "leaf"
        if i == len(boxes) - 1 and node.parents:
            kind = f"root {kind}"
        parts.append(_node(node, box, layout.centres[i], kind.strip(), down))
    return "".join([*parts, "</g></svg>\n"])


def _node(node: Value, box: _Box, centre: tuple[float, float], kind: str, down: bool) -> str:
    along, across = centre
    start = along - box.size(down)[0] / 2
    parts = [f'<g class="{kind}"><title>{html.escape(f"{node.label} {node!r}".strip())}</title>']
    if box.op:
        middle = start + (_RADIUS if down else box.rx)
        x, y = (across, middle) if down else (middle, across)
        a, b = (x, y + _RADIUS) if down else (x + box.rx, y)
        stem = f"v{_STEM:g}" if down else f"h{_STEM:g}"
        parts.append(
            f'<path d="M{a:.1f} {b:.1f}{stem}"/><rect style="fill:var(--op)" x="{x - box.rx:.1f}" '
            f'y="{y - _RADIUS:.1f}" width="{2 * box.rx:.1f}" height="{2 * _RADIUS:g}" '
            f'rx="{_RADIUS:g}"/><text x="{x:.1f}" y="{y:.1f}">{html.escape(box.op)}</text>'
        )
    first = start + box.lead
    x, y = (across - box.width / 2, first) if down else (first, across - box.height / 2)
    parts.append(
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{box.width:.1f}" height="{box.height:g}" rx="4"/>'
    )
    for k, ((style, text), span) in enumerate(zip(box.cells, box.spans)):
        w, h = (box.width, _ROW) if down else (span, box.height)
        if k:
            rule = f"h{box.width:.1f}" if down else f"v{box.height:g}"
            parts.append(f'<path class="rule" d="M{x:.1f} {y:.1f}{rule}"/>')
        parts.append(
            f'<text class="{style}" x="{x + w / 2:.1f}" y="{y + h / 2:.1f}">'
            f"{html.escape(text)}</text>"
        )
        x, y = (x, y + h) if down else (x + w, y)
    return "".join([*parts, "</g>"])


def _edges(graph: Subgraph, boxes: list[_Box], layout: Layout, down: bool) -> list[str]:
    """Lines first, then all derivatives, so that no line runs over a number."""
    lines, numbers = [], []
    twins: dict[tuple[int, int], int] = {}
    for a, b, _, _ in graph.edges:
        twins[a, b] = twins.get((a, b), 0) + 1
    for (a, b, k, slope), route in zip(graph.edges, layout.routes):
        bow = 0.0 if twins[a, b] == 1 else (k - (len(graph.nodes[b].parents) - 1) / 2) * 34.0
        tail = layout.centres[a][0] + boxes[a].size(down)[0] / 2, layout.centres[a][1]
        head = layout.centres[b][0] - boxes[b].size(down)[0] / 2 - 5, layout.centres[b][1]
        path, label = _curve(tail, route, head, bow, down)
        tip = "0 0l-4 -8h8z" if down else "0 0l-8 -4v8z"
        x, y = _point(head[0] + 5, head[1], down)
        lines.append(f'<path d="{path}"/><path class="head" d="M0 0m{x:.1f} {y:.1f}m{tip}"/>')
        if slope is not None:
            numbers.append(
                f'<text class="slope" x="{label[0]:.1f}" y="{label[1]:.1f}">{_factor(slope)}'
                f"<title>local derivative</title></text>"
            )
    return [*lines, *numbers]


def _point(along: float, across: float, down: bool) -> tuple[float, float]:
    return (across, along) if down else (along, across)


def _curve(
    tail: tuple[float, float],
    route: list[tuple[float, float, float]],
    head: tuple[float, float],
    bow: float,
    down: bool,
) -> tuple[str, tuple[float, float]]:
    """Path data from tail through the waypoints to head, and the middle of its last bend."""
    x, y = tail
    a, b = _point(x, y, down)
    parts = [f"M{a:.1f} {b:.1f}"]
    stops = [*route, (head[0], head[0], head[1])]
    for left, right, level in stops:
        last = left == head[0]
        half, lift = (left - x) / 2, bow if last else 0.0
        one, two = _point(x + half, y + lift, down), _point(left - half, level + lift, down)
        end = _point(left, level, down)
        parts.append(
            f"C{one[0]:.1f} {one[1]:.1f} {two[0]:.1f} {two[1]:.1f} {end[0]:.1f} {end[1]:.1f}"
        )
        if not last:
            a, b = _point(right, level, down)
            parts.append(f"L{a:.1f} {b:.1f}")
        # On a level line the number stands above it, else on the slope, between its neighbours.
        raised = 8.0 if not down and abs(level - y) < 8 and not lift else 0.0
        middle = _point((x + left) / 2, (y + level) / 2 + 0.75 * lift - raised, down)
        x, y = right, level
    return "".join(parts), middle


def _factor(slope: float) -> str:
    """A derivative as the factor it is: ×0.5, ×−14."""
    text = number(slope)
    text = text if "e" in text else text.rstrip("0").rstrip(".")
    return "×" + text.replace("-", "−")
