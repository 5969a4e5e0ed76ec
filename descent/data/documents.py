"""A user's data as documents: text files, a column of a table, a field of JSON lines, token files.

    .csv .tsv       one document per row, from one column      (gpt-2-simple: the first)
    .jsonl .ndjson  one per line, from one field
    .npz            arrays of token ids, as gpt-2-simple's encode_dataset writes them
    .bin            token files (`shards`); like .npz, passed over where texts lie beside them
    anything else   text, one document per file; also cut where the end token is written out

Pieces are yielded as they are read, a large text file in parts: no more than a part of it is ever
in memory. Left out: tables with quoting that the csv module cannot read, compressed files.
"""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from descent.data.decoding import NotText, decode_text
from descent.data.discovery import TEXT_SUFFIXES, Source, find_files
from descent.data.errors import DataError
from descent.data.shards import open_tokens
from descent.data.text import ReadReport

__all__ = ["Piece", "Reading", "pieces"]

PART_BYTES = 16 << 20
_TABLES = {".csv": ",", ".tsv": "\t"}
_LINES = (".jsonl", ".ndjson")
_TOKENS = (".npz", ".bin")
_KNOWN = TEXT_SUFFIXES | {*_TABLES, *_LINES, *_TOKENS, ".log", ".json"}


@dataclass(frozen=True)
class Reading:
    """How to read: which column of a table (name or number from 0; None: the first), whether its
    first row is a header, which field of JSON lines (None: "text"), where texts are cut, and which
    files of a folder are taken ("*.py"; None: all that are known)."""

    column: str | int | None = None
    header: bool = True
    field: str | None = None
    end_token: str | None = None
    pattern: str | None = None


@dataclass(frozen=True)
class Piece:
    """A document, or the next part of one (`more`: another follows): its text or its ids."""

    name: str
    text: str = ""
    ids: np.ndarray | None = None
    more: bool = False


def pieces(source: Source, reading: Reading, report: ReadReport) -> Iterator[Piece]:
    """The documents of a file, folder, glob or list; `report` is filled on the way.

    Raises:
        DataError: nothing there, or a table or file that is not what its name says.
    """
    files = find_files(source, pattern=reading.pattern or "*", on_skip=report.skip)
    alone = len(files) == 1
    tokens = all(path.suffix.lower() in _TOKENS for _, path in files)
    for name, path in files:
        suffix = path.suffix.lower()
        if not alone and suffix not in _KNOWN:
            report.skip(name, "not text")
            continue
        if suffix in _TOKENS and not tokens:  # a model's weights, say: nothing tells them apart
            report.skip(name, "token file among texts")
            continue
        try:
            if suffix == ".npz":
                yield from _npz(name, path)
            elif suffix == ".bin":
                yield Piece(name, ids=open_tokens(path))
            elif suffix in _TABLES:
                yield from _table(name, path, reading, _TABLES[suffix], report)
            elif suffix in _LINES:
                yield from _lines(name, path, reading, alone)
            else:
                yield from _text(name, path, reading, report)
            report.n_read += 1
            report.n_bytes += path.stat().st_size
        except NotText as error:
            report.skip(name, str(error).split(":")[0])
        except OSError as error:
            report.skip(name, f"unreadable, {error.strerror or error}")


def _parts(path: Path) -> Iterator[tuple[str, bool]]:
    """The text of a file in parts that end with a line, and whether another follows."""
    size = path.stat().st_size
    with path.open("rb") as file:
        wide = b"\0" in file.read(4096)  # UTF-16: lines cannot be found by their bytes
        file.seek(0)
        rest = b""
        while True:
            data = file.read() if wide else file.read(PART_BYTES)
            last = file.tell() >= size or not data
            data = rest + data
            cut = len(data) if last else data.rfind(b"\n") + 1 or _whole_characters(data)
            rest = data[cut:]
            yield decode_text(data[:cut], cut=not last)[0], not last
            if last:
                return


def _whole_characters(data: bytes) -> int:
    """How many bytes there are before the last UTF-8 character, which may not be whole."""
    end = len(data) - 1
    while end > 0 and data[end] & 0xC0 == 0x80:
        end -= 1
    return end or len(data)


def _text(name: str, path: Path, reading: Reading, report: ReadReport) -> Iterator[Piece]:
    found = False
    for text, more in _parts(path):
        documents = text.split(reading.end_token) if reading.end_token else [text]
        for i, each in enumerate(documents):
            inside = more and i == len(documents) - 1
            if each.strip() or inside:
                found = True
                yield Piece(name, each, more=inside)
    if not found:
        raise NotText("empty")


def _whole(path: Path) -> str:
    return decode_text(path.read_bytes(), cut=False)[0]


def _table(
    name: str, path: Path, reading: Reading, delimiter: str, report: ReadReport
) -> Iterator[Piece]:
    csv.field_size_limit(1 << 27)
    rows = csv.reader(io.StringIO(_whole(path), newline=""), delimiter=delimiter)
    names, column, empty = None, reading.column, 0
    try:
        for row in rows:
            if names is None:
                names = row if reading.header else [str(i) for i in range(len(row))]
                at = _column(name, names, column)
                if reading.header:
                    continue
            if len(row) <= at or not row[at].strip():
                empty += 1
                continue
            yield Piece(f"{name}:{rows.line_num}", row[at])
    except csv.Error as error:
        raise DataError(f"{name}, line {rows.line_num}: not a table: {error}") from None
    if empty:
        report.notes.append(f"{name}: {empty} empty rows left out")


def _column(name: str, names: list[str], column: str | int | None) -> int:
    """Its number, from a name, a number, or nothing (the first)."""
    if column is None:
        return 0
    if column in names:
        return names.index(str(column))
    if str(column).isdigit() and int(column) < len(names):
        return int(column)
    raise DataError(f"{name} has no column {column!r}; it has {', '.join(names)}")


def _lines(name: str, path: Path, reading: Reading, alone: bool) -> Iterator[Piece]:
    """Texts of a file of JSON lines; among other files, one of something else is passed over."""
    field = reading.field or "text"
    for number, line in enumerate(io.StringIO(_whole(path)), start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{name}, line {number}: not JSON: {error}") from None
        text = value.get(field) if isinstance(value, dict) else value
        if not isinstance(text, str):
            has = ", ".join(value) if isinstance(value, dict) else type(value).__name__
            if not alone and reading.field is None:
                raise NotText(f"no field {field!r}: {has}")
            raise DataError(f"{name}, line {number}: no text in field {field!r}; it has {has}")
        if text.strip():
            yield Piece(f"{name}:{number}", text)


def _npz(name: str, path: Path) -> Iterator[Piece]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            for key in arrays.files:
                ids = arrays[key]
                if ids.ndim != 1 or ids.dtype.kind not in "iu":
                    raise DataError(
                        f"{name}: {key} is {ids.dtype} {ids.shape}, not a row of token ids"
                    )
                yield Piece(f"{name}:{key}", ids=ids)
    except (ValueError, EOFError, KeyError, MemoryError, zipfile.BadZipFile) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{name} cannot be read as token arrays (.npz): {error}") from None
