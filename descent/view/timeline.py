"""A cost report as one HTML file: a timeline of the step, its memory, and the tables below.

The page needs nothing from elsewhere: style and script stand in static/timeline.html, the numbers
are put in as JSON.
"""

from __future__ import annotations

import json
from html import escape
from pathlib import Path
from typing import Any

from descent.costs.report import PHASES, Compiled, Entry, Report, Row
from descent.costs.units import duration, quantity, size
from descent.op import Elementwise, Movement
from descent.view.ops import all_ops

__all__ = ["timeline_page"]

_KINDS = {
    "products": "products", "attention": "attention", "norms": "normalisation",
    "losses": "softmax and losses", "elementwise": "elementwise", "movement": "movement",
    "other": "other", "update": "update",
    "compiled": "loops of the compiled step",
}  # fmt: skip
_FAMILIES = {
    "products": "products", "windows": "products", "attending": "attention",
    "normalization": "norms", "probability": "losses", "likelihood": "losses", "losses": "losses",
}  # fmt: skip


def timeline_page(report: Report) -> str:
    """The whole page."""
    template = Path(__file__).with_name("static").joinpath("timeline.html")
    parts = {
        "title": escape(report.name),
        "facts": _facts(report),
        "machine": escape(report.machine.line()),
        "tables": _table("By op", "op", report.by_op())
        + _table("By layer", "layer", report.by_layer()),
        "data": json.dumps(_data(report)).replace("<", "\\u003c"),
    }
    page = template.read_text(encoding="utf-8")
    head, *rest = page.split("{{")
    pieces = [head]
    for piece in rest:  # filled in one pass: a name with braces in it stays text
        name, _, after = piece.partition("}}")
        pieces += [parts[name], after]
    return "".join(pieces)


def _facts(r: Report) -> str:
    facts = [
        (duration(r.step_s), f"a step (median of {r.repeats})"),
        (f"{r.tokens_per_s:,.0f}", "tokens per second"),
        (f"{r.mfu:.1%}", f"of {r.machine.gflops:,.0f} GFLOP/s (MFU)"),
        (f"{r.floor_s / r.step_s:.0%}", f"of the floor, {duration(r.floor_s)}"),
        (f"{quantity(r.operations)}FLOP", f"{size(r.bytes)} moved"),
        (size(r.peak_bytes), f"at the peak; {size(r.start_bytes)} between steps"),
        (quantity(r.parameters), f"parameters; {escape(r.batch)}"),
    ]
    return "".join(f"<div><b>{value}</b><span>{what}</span></div>" for value, what in facts)


def _data(r: Report) -> dict[str, Any]:
    kinds = _kinds()
    lanes = []
    for phase in PHASES:
        found = [e for e in r.entries if e.phase == phase]
        entries = [_entry(e, kinds) for e in found]
        if entries:
            total = sum(e.seconds for e in found)
            lanes.append({"name": phase, "seconds": total, "entries": entries})
    if r.compiled is not None:
        lanes.append(_compiled_lane(r.compiled))
    last = r.entries[-1]
    shown = {e["kind"] for lane in lanes for e in lane["entries"]}
    return {
        "end_s": max([last.begin_s + last.seconds, *(lane["seconds"] for lane in lanes)]),
        "lanes": lanes,
        "memory": [[0, r.start_bytes], *([e.begin_s + e.seconds, e.live_bytes] for e in r.entries)],
        "legend": [[kind, label] for kind, label in _KINDS.items() if kind in shown],
    }


def _entry(e: Entry, kinds: dict[str, str]) -> dict[str, Any]:
    return {
        "op": e.op,
        "path": e.path,
        "shape": "×".join(map(str, e.shape)),
        "kind": "update" if e.phase == "update" else kinds.get(e.op, "other"),
        "begin": e.begin_s,
        "seconds": max(e.seconds, 1e-9),
        "floor": e.floor_s,
        "operations": e.operations,
        "bytes": e.bytes,
    }


def _compiled_lane(c: Compiled) -> dict[str, Any]:
    """The compiled step from the same beginning; its loops have their shares of it."""
    entries, begin = [], 0.0
    for x in c.loops:
        seconds = max(c.share(x) * c.step_s, 1e-9)
        row = {"op": x.name, "path": x.line, "shape": "", "kind": "compiled", "begin": begin}
        more = {"seconds": seconds, "floor": 0, "operations": x.operations, "bytes": 0}
        entries.append({**row, **more})
        begin += seconds
    return {"name": "compiled", "seconds": c.step_s, "entries": entries}


def _kinds() -> dict[str, str]:
    """Every op's colour: its family's, or that of its sort."""
    found = {}
    for name, op in all_ops().items():
        if isinstance(op, Elementwise):
            found[name] = "elementwise"
        elif isinstance(op, Movement):
            found[name] = "movement"
        else:
            family = op.ladder.loops.py.__module__.rpartition(".")[2]
            found[name] = _FAMILIES.get(family, "other")
    return found


def _table(title: str, what: str, rows: list[Row]) -> str:
    head = "<th>".join([what, "phase", "calls", "FLOP", "bytes", "floor ms", "ms", "reached"])
    body = "".join(
        f"<tr><td>{escape(r.name)}<td>{r.phase}<td>{r.calls:,}<td>{quantity(r.operations)}"
        f"<td>{size(r.bytes)}<td>{1e3 * r.floor_s:.3f}<td>{1e3 * r.seconds:.3f}"
        f"<td>{_share(r)}"
        for r in rows
    )
    return f"<section class=wide><h2>{title}</h2><table><tr><th>{head}</tr>{body}</table></section>"


def _share(r: Row) -> str:
    if r.share is None:
        return ""
    return f"{r.share:.0%}<meter min=0 max=1 value={min(1, r.share):.3f}></meter>"
