"""Aligned sentence pairs: two files with a sentence a line, a TSV, or a JSONL file; .gz as well.

    train.en,train.de     line n of one translates line n of the other
    pairs.tsv             source <tab> target
    pairs.jsonl           {"source": …, "target": …}, or {"translation": {"en": …, "de": …}}

Empty sides are dropped, with their partners. Nothing is normalised.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from descent.data.errors import DataError

__all__ = ["MOST_BYTES", "Pair", "hold_out", "read_pairs"]

Pair = tuple[str, str]
MOST_BYTES = 1 << 30  # of a file, unpacked


def read_pairs(data: str | Path) -> list[Pair]:
    """All pairs of `data`: one path, or two with a comma between them.

    Raises:
        DataError: a missing or damaged file, lines that do not match up, naming file and line.
    """
    paths = [Path(data)]
    if not paths[0].exists() and "," in str(data):
        paths = [Path(part.strip()) for part in str(data).split(",")]
    if len(paths) == 2:
        pairs = _aligned(*paths)
    elif len(paths) == 1:
        pairs = list(_parsed(paths[0]))
    else:
        raise DataError(f"{data}: name one file of pairs, or two aligned ones: train.en,train.de")
    pairs = [(s, t) for s, t in pairs if s and t]
    if not pairs:
        raise DataError(f"{data} holds no sentence pairs")
    return pairs


def _aligned(source: Path, target: Path) -> list[Pair]:
    left, right = _lines(source), _lines(target)
    if len(left) != len(right):
        raise DataError(
            f"{source} has {len(left):,} lines, {target} {len(right):,}: line n of one must "
            "translate line n of the other"
        )
    return list(zip(left, right))


def _parsed(path: Path) -> Iterator[Pair]:
    """Pairs of a TSV or JSONL file."""
    kind = Path(path.name.removesuffix(".gz")).suffix
    readers: dict[str, Callable[[str], Pair]] = {".tsv": _tabbed, ".jsonl": _from_json}
    if kind not in readers:
        raise DataError(
            f"{path}: pairs are read from .tsv, .jsonl, or two aligned files (train.en,train.de)"
        )
    for number, line in enumerate(_lines(path), start=1):
        if not line:
            continue
        try:
            yield readers[kind](line)
        except ValueError as error:
            raise DataError(f"{path}, line {number}: {error}") from None


def _tabbed(line: str) -> Pair:
    fields = line.split("\t")
    if len(fields) != 2:
        raise ValueError(f"source <tab> target is needed, got {len(fields)} fields")
    return fields[0].strip(), fields[1].strip()


def _from_json(line: str) -> Pair:
    found: Any = json.loads(line)
    if isinstance(found, dict):
        found = found.get("translation", found)
    if isinstance(found, dict):
        named = [found[k] for k in ("source", "target") if k in found]
        sides = named if len(named) == 2 else list(found.values())
        if len(sides) == 2 and all(isinstance(side, str) for side in sides):
            return sides[0].strip(), sides[1].strip()
    raise ValueError('an object {"source": …, "target": …} of two texts is needed')


def _lines(path: Path) -> list[str]:
    """The lines of a UTF-8 file, stripped; only \\n ends a line."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
            data = file.read(MOST_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"{path} can't be read: {getattr(error, 'strerror', '') or error}"
        ) from None
    if len(data) > MOST_BYTES:
        raise DataError(f"{path} is larger than {MOST_BYTES:,} bytes; divide it")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8: byte {error.start:,}") from None
    lines = [line.strip() for line in text.split("\n")]
    return lines[:-1] if lines and not lines[-1] else lines


def hold_out(pairs: list[Pair], share: float = 0.02, most: int = 1000) -> tuple[list[Pair], ...]:
    """(train, validation, test): every n-th pair is held out, in turn for one and the other.

    Raises:
        DataError: fewer than 10 pairs.
    """
    if len(pairs) < 10:
        raise DataError(f"{len(pairs)} sentence pairs are too few; at least 10 are needed")
    held = max(1, min(most, int(share * len(pairs))))
    step = len(pairs) // (2 * held)
    places = range(0, 2 * held * step, step)
    valid, test = [pairs[i] for i in places[::2]], [pairs[i] for i in places[1::2]]
    out = set(places)
    return [p for i, p in enumerate(pairs) if i not in out], valid, test
