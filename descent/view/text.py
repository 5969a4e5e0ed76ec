"""The floors as text, for a terminal; the same numbers as the page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rich.markup import escape
from rich.table import Table

from descent.view.floors import ElementFloor, Explanation
from descent.view.trace import input_names

__all__ = ["write"]

Out = Callable[..., Any]


def write(
    e: Explanation,
    out: Out,
    *,
    op: int | None = None,
    index: tuple[int, ...] | None = None,
    top: int = 8,
) -> None:
    """Print floor by floor; `op` and `index` choose which op and element to open."""
    if op is None:
        _distribution(e, out, top)
        _layers(e, out)
    number = e.logits_record() if op is None else op
    _op(e, out, number)
    _element(e.element(number, index, top), out)
    _below(e, out, number)


def _table(title: str, *columns: str) -> Table:
    table = Table(*columns, title=title, title_justify="left", title_style="bold", box=None)
    for column in table.columns[1:]:
        column.justify = "right"
    return table


def _distribution(e: Explanation, out: Out, top: int) -> None:
    out(f"[bold]After[/] {escape(repr(e.prompt))}", highlight=False)
    table = _table("1  Prediction: the next token", "token", "probability", "logit", "")
    for c in e.candidates(top):
        bar = "█" * round(24 * c.probability)
        mark = "←" if c.id == e.token_id else ""
        table.add_row(
            escape(repr(c.text)), f"{c.probability:.4f}", f"{c.logit:.4f}", f"{bar}{mark}"
        )
    table.columns[3].justify = "left"
    out(table)


def _layers(e: Explanation, out: Out) -> None:
    table = _table(
        "\n2  Layers: what ran, in order", "module", "class", "shape", "mean", "std", "min", "max",
        "ms", "ops",
    )  # fmt: skip
    for f in e.layers():
        ops = _ranges(f.ops)
        table.add_row(
            f.path, f.cls, "×".join(map(str, f.shape)) or "·", f"{f.mean:.3f}", f"{f.std:.3f}",
            f"{f.low:.2f}", f"{f.high:.2f}", f"{f.milliseconds:.2f}", ops,
        )  # fmt: skip
    out(table)


def _ranges(numbers: tuple[int, ...]) -> str:
    """`14–16, 19` for 14, 15, 16, 19."""
    parts: list[list[int]] = []
    for n in numbers:
        if parts and n == parts[-1][-1] + 1:
            parts[-1].append(n)
        else:
            parts.append([n])
    return ", ".join(f"{p[0]}–{p[-1]}" if len(p) > 1 else str(p[0]) for p in parts)


def _op(e: Explanation, out: Out, number: int) -> None:
    r = e.record(number)
    axes = getattr(getattr(r.op, "axes", None), "text", "element by element")
    out(
        f"\n[bold]3  Op {number}: {r.op.name}[/]  ({escape(axes)})  in "
        f"{escape(r.module or 'the prediction')}, {escape(r.place)}",
        highlight=False,
    )
    first = (r.op.doc or "").strip().splitlines()
    if first:
        out(f"   {first[0]}", highlight=False, markup=False)
    for name, a, origin in zip(input_names(r), r.arrays, r.origins):
        out(f"   {name}: {'×'.join(map(str, a.shape)) or 'a number'} from {origin}",
            highlight=False, markup=False)  # fmt: skip


def _element(f: ElementFloor, out: Out) -> None:
    place = ", ".join(map(str, f.index))
    out(
        f"\n[bold]4  Element y\\[{place}] = {f.computed:.6f}[/]   expanded to scalars: "
        f"{f.value.data:.6f}",
        highlight=False,
    )
    if f.gradient is not None:
        out(f"   d log p(token) / d y[{place}] = {f.gradient:.6g}", highlight=False, markup=False)
    table = _table(
        f"\n5  Scalars: the {len(f.terms)} largest of {f.n_terms} terms",
        "term", "value", "numbers", "dy/d(number)",
    )  # fmt: skip
    for t in f.terms:
        numbers = "\n".join(f"{label} = {x:.5g}" for label, x, _ in t.leaves)
        slopes = "\n".join(f"{d:.5g}" for _, _, d in t.leaves)
        table.add_row(escape(t.text), f"{t.value:.5f}", escape(numbers), slopes)
    out(table)


def _below(e: Explanation, out: Out, number: int) -> None:
    r = e.record(number)
    for name, origin in zip(input_names(r), r.origins):
        if origin.kind == "op":
            below = e.record(origin.record or 0)
            out(
                f"   {name} was made by op {origin.record} ({below.op.name}): "
                f"--op {origin.record} opens it",
                highlight=False, markup=False,
            )  # fmt: skip
