"""A picture of the graph behind a Value: every number, every operation, every derivative.

    [label | data | grad] ──local──▶ (op)▸[data | grad] ──▶ …      grad of a parent = Σ local · grad

SVG (see `svg`, `layout`) needs no Graphviz; DOT text is for those who have it.
Reference: micrograd's trace_graph.ipynb, whose `draw_dot` this extends.
"""

from __future__ import annotations

import html
import os
from dataclasses import dataclass
from pathlib import Path

from descent.scalar.subgraph import Subgraph, cells, number
from descent.scalar.svg import render_svg
from descent.scalar.value import Value

__all__ = ["Drawing", "draw"]

_MAX_NODES = 300


@dataclass(frozen=True)
class Drawing:
    """The text of a drawing; shows itself in notebooks, prints as its text, saves itself."""

    text: str
    format: str

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"Drawing(format={self.format!r}, {len(self.text):,} characters; .save(path))"

    def _repr_svg_(self) -> str | None:
        return self.text if self.format == "svg" else None

    def _repr_html_(self) -> str:
        if self.format == "svg":
            return f'<div style="overflow-x:auto">{self.text}</div>'
        return f"<pre>{html.escape(self.text)}</pre>"

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the text to path, all of it or nothing; returns the path."""
        path = Path(path)
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            with open(part, "w", encoding="utf-8") as file:
                file.write(self.text)
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)
        return path


def draw(
    root: Value,
    format: str = "svg",
    rankdir: str = "LR",
    *,
    depth: int | None = None,
    max_nodes: int = _MAX_NODES,
) -> Drawing:
    """Draw what root was computed from, as "svg" or "dot", left to right (LR) or downwards (TB).

    depth: show only so many operations back from root; what is cut is drawn with a dashed border.
    Raises ValueError for more than max_nodes Values, saying how to see a part.
    """
    if not isinstance(root, Value):
        raise TypeError(f"draw takes one Value, got {type(root).__name__}: {root!r:.60}")
    if format not in ("svg", "dot"):
        raise ValueError(f"format must be 'svg' or 'dot', got {format!r}")
    if rankdir not in ("LR", "TB"):
        raise ValueError(f"rankdir must be 'LR' or 'TB', got {rankdir!r}")
    if depth is not None and depth < 0:
        raise ValueError(f"depth counts operations back from root: 0 or more, got {depth}")
    graph = Subgraph(root, depth)
    if len(graph.nodes) > max_nodes:
        raise ValueError(
            f"this graph has {len(graph.nodes):,} nodes, more than max_nodes={max_nodes:,}. To see "
            "a part: draw(v, depth=3) goes three operations back, or draw a node nearer to the "
            "inputs; to see all of it, pass a larger max_nodes"
        )
    return Drawing(render_svg(graph, rankdir) if format == "svg" else _dot(graph, rankdir), format)


def _dot(graph: Subgraph, rankdir: str) -> str:
    lines = ["digraph {", f"  rankdir={rankdir}"]
    for i, node in enumerate(graph.nodes):
        label = " | ".join(_record(text) for _, text in cells(node))
        style = ", style=dashed" if i in graph.cut else ""
        lines.append(f'  v{i} [shape=record, label="{{ {label} }}"{style}]')
        if node.op:
            lines.append(f'  op{i} [label="{_quoted(node.op)}"]')
            lines.append(f"  op{i} -> v{i}")
    for a, b, _, slope in graph.edges:
        text = "" if slope is None else f' [label="{number(slope)}"]'
        target = f"op{b}" if graph.nodes[b].op else f"v{b}"
        lines.append(f"  v{a} -> {target}{text}")
    return "\n".join([*lines, "}", ""])


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _record(text: str) -> str:
    """Escape what a DOT record label gives a meaning to."""
    return "".join(f"\\{c}" if c in "{}|<>" else c for c in _quoted(text))
