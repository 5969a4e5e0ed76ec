"""A cost report as tables on a terminal."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from descent.costs.report import Compiled, Report, Row
from descent.costs.units import duration, quantity, size

__all__ = ["print_report"]


def print_report(console: Console, report: Report, *, top: int = 16) -> None:
    """By op, by layer, by phase, and the totals."""
    console.print(
        f"[bold]{escape(report.name)}[/]  {report.parameters:,} parameters, {report.batch}"
    )
    console.print(f"[dim]{escape(report.machine.line())}[/]", highlight=False, soft_wrap=True)
    console.print()
    console.print(_table("op", report.by_op(), top))
    console.print()
    console.print(_table("layer", report.by_layer(), top))
    console.print()
    console.print(_table("phase", report.phases(), top, last=_all(report)))
    if report.compiled is not None:
        console.print()
        console.print(_loops(report.compiled, top))
    console.print()
    for line in totals(report):
        console.print(line, highlight=False, soft_wrap=True)


def totals(report: Report) -> list[str]:
    """The sentences below the tables."""
    gflops = 1e-9 * report.operations / report.step_s
    lines = [
        f"Step {duration(report.step_s)} (median of {report.repeats}, nothing watching): "
        f"{report.tokens_per_s:,.0f} tokens/s, {gflops:,.1f} GFLOP/s, MFU {report.mfu:.1%} of "
        f"the measured {report.machine.gflops:,.0f}.",
        f"Floor {duration(report.floor_s)}, every op on its own: the step is at "
        f"{report.floor_s / report.step_s:.0%} of it.",
        f"Memory {size(report.start_bytes)} before the step, {size(report.peak_bytes)} at its "
        f"peak, {size(report.end_bytes)} after it (arrays alive between ops).",
    ]
    if report.mfu > 1 or report.floor_s > report.step_s:
        lines.append(
            "More than all of it: the peaks were measured while the machine was slower; --measure "
            "measures them again."
        )
    if report.compiled is not None:
        c = report.compiled
        mfu = report.operations / (c.step_s * 1e9 * report.machine.gflops)
        lines.append(
            f"Compiled step {duration(c.step_s)}: {report.step_s / c.step_s:.2f} × as fast, "
            f"{report.tokens / c.step_s:,.0f} tokens/s, MFU {mfu:.1%}; the first call "
            f"took {duration(c.compiling_s)}."
        )
    return lines


def _loops(compiled: Compiled, top: int) -> Table:
    """The loops of the compiled step; those beyond `top` are left out."""
    table = _columns("loop", "from", right=("calls", "FLOP", "ms alone", "share"))
    for x in compiled.loops[:top]:
        share = f"{compiled.share(x):.0%}"
        ms = f"{1e3 * x.seconds:.3f}"
        table.add_row(
            escape(x.name), escape(x.line), f"{x.calls:,}", quantity(x.operations), ms, share
        )
    return table


def _all(report: Report) -> Row:
    seconds = sum(e.seconds for e in report.entries)
    parts = (report.operations, report.bytes, report.floor_s, seconds)
    return Row("all, watched", "", len(report.entries), *parts)


def _table(what: str, rows: list[Row], top: int, last: Row | None = None) -> Table:
    left = (what,) if what == "phase" else (what, "phase")
    table = _columns(*left, right=("calls", "FLOP", "bytes", "floor ms", "ms", "reached"))
    for row in rows[:top]:
        table.add_row(*_cells(row, what))
    if rest := rows[top:]:
        table.add_row(*_cells(_together(rest), what), style="dim")
    if last is not None:
        table.add_section()
        table.add_row(*_cells(last, what))
    return table


def _columns(*left: str, right: tuple[str, ...]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    table.collapse_padding, table.show_edge = True, False
    for name in left:
        table.add_column(name, no_wrap=True)
    for name in right:
        table.add_column(name, justify="right", no_wrap=True, min_width=max(6, len(name)))
    return table


def _together(rows: list[Row]) -> Row:
    return Row(
        f"{len(rows)} more",
        "",
        sum(r.calls for r in rows),
        sum(r.operations for r in rows),
        sum(r.bytes for r in rows),
        sum(r.floor_s for r in rows),
        sum(r.seconds for r in rows),
    )


def _cells(row: Row, what: str) -> list[str]:
    name = escape(row.name)
    return [
        *([name] if what == "phase" else [name, row.phase]),
        f"{row.calls:,}",
        quantity(row.operations),
        size(row.bytes),
        f"{1e3 * row.floor_s:.3f}",
        f"{1e3 * row.seconds:.3f}",
        "" if row.share is None else f"{row.share:.0%}",
    ]
