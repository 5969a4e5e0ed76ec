"""Results kept between runs: bench/results.json; a work that is not run again keeps its row."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.compare import Bar, Result

__all__ = ["load", "merge", "save"]

Entry = tuple[str, str, Result]  # when it was measured, on what, what


def load(path: Path) -> list[Entry]:
    """What was measured before, in the order it is shown; nothing if there is no such file."""
    if not path.exists():
        return []
    return [
        (row["date"], row["on"], _result(row["result"]))
        for row in json.loads(path.read_text(encoding="utf-8"))
    ]


def save(path: Path, entries: list[Entry]) -> None:
    """Write all entries."""
    rows = [{"date": date, "on": on, "result": asdict(result)} for date, on, result in entries]
    text = json.dumps(rows, indent=1, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def merge(before: list[Entry], new: list[Entry]) -> list[Entry]:
    """New rows in the place of old ones about the same work; unknown works at the end."""
    found = {result.work: entry for entry in new for result in [entry[2]]}
    merged = [found.pop(entry[2].work, entry) for entry in before]
    return merged + list(found.values())


def _result(fields: dict[str, Any]) -> Result:
    bars = tuple(Bar(**bar | {"peers": tuple(bar["peers"])}) for bar in fields["bars"])
    return Result(**fields | {"bars": bars, "notes": tuple(fields["notes"])})
