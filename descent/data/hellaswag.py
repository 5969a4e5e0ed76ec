"""HellaSwag: which of four endings follows? Read from its JSON lines or llm.c's binary file.

    .jsonl   {"ctx": text, "endings": [text × 4], "label": 0 … 3}              one per line
    .bin     256 int32 (magic 20240522, version 1, questions, longest example in bytes, 0 …), then
             per question uint16: 65535, bytes, number, label, 4, len, context, (len, ending) × 4

Zellers et al. 2019, arXiv:1905.07830. Formats: karpathy/llm.c dev/data/hellaswag.py. An ending is
encoded with the space before it. Left out: downloading; other tasks have the same shape.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from descent.data.errors import DataError

__all__ = ["Question", "read_hellaswag", "write_hellaswag"]

MAGIC, START = 20240522, 65535


@dataclass(frozen=True)
class Question:
    """A context, its possible endings, as token ids, and the number of the right one."""

    context: tuple[int, ...]
    endings: tuple[tuple[int, ...], ...]
    label: int


def read_hellaswag(path: str | Path, tokenizer: Any = None) -> list[Question]:
    """The questions of a file; JSON lines need the tokenizer.

    Raises:
        DataError: unreadable or damaged, with the line or byte.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
    if data[:4] == MAGIC.to_bytes(4, "little"):
        return _binary(path, data)
    return [
        _question(f"{path}, line {n}", line, tokenizer)
        for n, line in enumerate(data.splitlines(), start=1)
        if line.strip()
    ]


def _question(where: str, line: bytes, tokenizer: Any) -> Question:
    try:
        row = json.loads(line)
        context, endings, label = row["ctx"], row["endings"], int(row["label"])
        found = Question(
            tuple(tokenizer.encode(context, "none")),
            tuple(tuple(tokenizer.encode(" " + e, "none")) for e in endings),
            label,
        )
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{where}: not a HellaSwag question (ctx, endings, label): {error!r}"
        ) from None
    return _checked(where, found)


def _checked(where: str, q: Question) -> Question:
    if not q.context or not all(q.endings) or not 0 <= q.label < len(q.endings):
        raise DataError(f"{where}: an empty context or ending, or a label that is none of them")
    return q


def _binary(path: Path, data: bytes) -> list[Question]:
    if len(data) < 1024 or len(data) % 2:
        raise DataError(f"{path} is cut short: {len(data)} bytes")
    _, version, n, _ = map(int, np.frombuffer(data[:16], "<i4"))
    if version != 1:
        raise DataError(f"{path}: version {version}, not 1")
    ids, at, found = np.frombuffer(data, "<u2", offset=1024), 0, []
    for number in range(n):
        where = f"{path}, byte {1024 + 2 * at}"
        head = ids[at : at + 5]
        if len(head) < 5 or head[0] != START or head[2] != number:
            raise DataError(f"{where}: question {number} does not begin here")
        end, rows, place = at + int(head[1]) // 2, [], at + 5
        for _ in range(1 + int(head[4])):
            size = int(ids[place]) if place < min(end, len(ids)) else len(ids)
            if place + 1 + size > min(end, len(ids)):
                raise DataError(f"{where}: question {number} is longer than it says")
            rows.append(tuple(map(int, ids[place + 1 : place + 1 + size])))
            place += 1 + size
        found.append(_checked(where, Question(rows[0], tuple(rows[1:]), int(head[3]))))
        at = end
    return found


def write_hellaswag(path: str | Path, questions: list[Question]) -> None:
    """Write llm.c's binary file."""
    from descent.data.files import write_atomically

    stream: list[int] = []
    longest = 0
    for number, q in enumerate(questions):
        rows = [START, 0, number, q.label, len(q.endings)]
        for row in (q.context, *q.endings):
            rows += [len(row), *row]
        rows[1] = 2 * len(rows)
        longest = max(longest, rows[1])
        stream += rows
    head = np.zeros(256, "<i4")
    head[:4] = MAGIC, 1, len(questions), longest
    write_atomically(path, head.tobytes() + np.array(stream, "<u2").tobytes())
