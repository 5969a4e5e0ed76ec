"""The tables of bench/RESULTS.md: ours, each peer, the ratio, the bar, and what was missed."""

from __future__ import annotations

from collections.abc import Sequence

from bench.compare import Bar, Result
from bench.store import Entry

__all__ = ["bar_line", "document", "summary", "table"]


def duration(seconds: float) -> str:
    """Three figures in a unit that suits."""
    units = (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9))
    unit, size = next((u for u in units if seconds >= u[1]), units[-1])
    value = seconds / size
    return f"{value:.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"


def bar_line(result: Result, bar: Bar) -> tuple[str, str, str, str]:
    """What is compared, what is asked, what was reached, and the verdict."""
    what = "memory" if bar.of == "memory" else "time"
    peers = " or ".join(bar.peers)
    subject = f"{what}, {bar.ours} against {'the better of ' if len(bar.peers) > 1 else ''}{peers}"
    asked = f"≤ {1 / bar.factor:.3g}×" if bar.of == "memory" else f"≥ {bar.factor:g}×"
    reached = result.reached(bar)
    if reached is None:
        why = [f"{s}: {why}" for s, why in result.absent.items() if s in (*bar.peers, bar.ours)]
        return subject, asked, "—", "not measured" + (f" ({'; '.join(why)})" if why else "")
    times, _ = reached
    shown = f"{1 / times:.3g}×" if bar.of == "memory" else f"{times:.3g}×"
    wrong = set(result.disagreeing()) & {bar.ours, *bar.peers}
    if wrong:
        return subject, asked, shown, f"no result: other loss ({', '.join(sorted(wrong))})"
    if max((result.disturbed.get(s, 0) for s in (*bar.peers, bar.ours)), default=0) >= 0.5:
        return subject, asked, shown, "no result: other processes computed, too"
    if times >= bar.factor:
        return subject, asked, shown, "**met**"
    return subject, asked, shown, f"missed: {100 * (1 - times / bar.factor):.0f} % short"


def table(result: Result) -> str:
    """A row for each side: time, how many times slower than ours, memory, first call, loss."""
    ours = next((n for n in ("descent", "descent eager") if n in result.seconds), "")
    memory, first = bool(result.memory), bool(result.first_s)
    head = ["side", "per step", "ours is × faster"]
    head += ["memory peak"] * memory + ["first call"] * first + ["loss"]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    wrong = result.disagreeing()
    for name, seconds in result.seconds.items():
        row = [name, duration(seconds), ""]
        if ours and name != ours:
            row[2] = f"{result.ratio(name, ours):.2f}"
        if memory:
            row.append(f"{result.memory[name] / 1e6:,.0f} MB" if name in result.memory else "")
        if first:
            row.append(duration(result.first_s[name]) if name in result.first_s else "")
        loss = f"{result.losses[name]:.6g}" if name in result.losses else ""
        row.append(loss + (" **differs**" if name in wrong else ""))
        lines.append("| " + " | ".join(row) + " |")
    for name, share in result.disturbed.items():
        rounds = f"in {100 * share:.0f} % of its rounds other processes computed, too"
        lines.append(f"| {name} | {rounds} |" + " |" * (len(head) - 2))
    for name, why in result.absent.items():
        lines.append(f"| {name} | {why} |" + " |" * (len(head) - 2))
    return "\n".join(lines)


def bars_table(results: list[Result]) -> str:
    """Every bar of every work on one page."""
    lines = ["| work | compared | bar | reached | |", "|---|---|---|---|---|"]
    for result in results:
        for bar in result.bars:
            lines.append(f"| {result.work} | " + " | ".join(bar_line(result, bar)) + " |")
    return "\n".join(lines)


def summary(results: list[Result]) -> str:
    """One line: how many bars are met."""
    verdicts = [bar_line(r, bar)[3] for r in results for bar in r.bars]
    met = sum(v == "**met**" for v in verdicts)
    unknown = sum(v.startswith("not measured") for v in verdicts)
    void = sum(v.startswith("no result") for v in verdicts)
    missed = len(verdicts) - met - unknown - void
    return (
        f"{met} of {len(verdicts)} bars met, {missed} missed, {void} without result, "
        f"{unknown} not measured."
    )


def document(entries: list[Entry], remarks: str = "", unmeasured: Sequence[str] = ()) -> str:
    """RESULTS.md as a whole; the remarks (REMARKS.md, ours) explain what was missed.

    `unmeasured` names works without a row, so that a page in parts cannot pass for a whole one.
    """
    results = [result for _, _, result in entries]
    parts = [
        "# Benchmarks",
        "Every row: all sides in turn in one run (A B A B …), medians of at least 7 rounds, two "
        "threads each, from the same weights and data. Ratios count; absolute times drift from "
        "machine to machine. Written by `make bench`; a work that is not run again keeps its row "
        "and date.",
        "## Bars",
        summary(results),
        bars_table(results),
    ]
    if unmeasured:
        parts.insert(3, f"**This page is incomplete.** No row yet for: {', '.join(unmeasured)}.")
    if remarks:
        parts += ["## Remarks", remarks.strip()]
    for date, on, result in entries:
        parts += [f"## {result.work}", f"{date}, {on}.", table(result)]
        if result.notes:
            parts.append("\n".join(f"- {note}" for note in result.notes))
    return "\n\n".join(parts) + "\n"
