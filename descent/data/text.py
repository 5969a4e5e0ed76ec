"""Text files in, documents out, with a report of what was read, what was not, and why."""

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from descent.data.decoding import NotText, decode_text
from descent.data.discovery import Source, find_files, show_source
from descent.data.errors import DataError

__all__ = ["Document", "ReadReport", "read_files", "read_text"]

Document = tuple[str, str]  # (name, text)
MAX_BYTES = 256 << 20
_HEAD_BYTES = 8192


@dataclass
class ReadReport:
    """What became of every file that was found."""

    n_read: int = 0
    n_bytes: int = 0
    skipped: dict[str, list[str]] = field(default_factory=dict)  # reason → names
    encodings: dict[str, list[str]] = field(default_factory=dict)  # other than UTF-8 → names
    notes: list[str] = field(default_factory=list)

    @property
    def n_skipped(self) -> int:
        return sum(map(len, self.skipped.values()))

    def skip(self, name: str, reason: str) -> None:
        self.skipped.setdefault(reason, []).append(name)

    def __str__(self) -> str:
        """One line for the terminal, e.g. `12 files, 3.4 MB; skipped 2: empty 1 (a.py), …`."""
        files = "file" if self.n_read == 1 else "files"
        parts = [f"{self.n_read} {files}, {self.n_bytes / 1e6:.1f} MB"]
        if self.skipped:
            reasons = ", ".join(_count(*each) for each in self.skipped.items())
            parts.append(f"skipped {self.n_skipped}: {reasons}")
        parts += [f"read as {_count(*each)}" for each in self.encodings.items()]
        return "; ".join(parts + self.notes)


def _count(what: str, names: list[str]) -> str:
    return f"{what} {len(names)} ({names[0]}{', …' if len(names) > 1 else ''})"


def read_text(
    source: Source, *, pattern: str | None = None, max_bytes: int = MAX_BYTES
) -> tuple[list[Document], ReadReport]:
    """Read a file, a folder and all below it, a glob, or a list of these.

    Args:
        pattern: which files of a folder to take, e.g. "*.py"; source code and prose by default.
        max_bytes: stop after this many bytes; the report says so.

    Returns:
        documents as (name, text) in the order of their names, and the report.

    Raises:
        DataError: the source does not exist, or holds no text.
    """
    if not isinstance(source, str | os.PathLike):
        source = list(source)
    report = ReadReport()
    files = find_files(source, pattern=pattern, on_skip=report.skip)
    if not files:
        looked = (
            f"files matching {pattern!r}" if pattern else "text or source files (*.py, *.txt …)"
        )
        raise DataError(
            f"no {looked} in {show_source(source) or 'an empty list'}; name a file, or give a glob "
            "such as 'notes/*.log'"
        )
    documents, report = read_files(files, max_bytes=max_bytes, report=report)
    if not documents:
        raise DataError(
            f"nothing to learn from in {show_source(source)}: {report}; a UTF-8 text file would do"
        )
    return documents, report


def read_files(
    files: list[tuple[str, Path]],
    *,
    max_bytes: int = MAX_BYTES,
    report: ReadReport | None = None,
) -> tuple[list[Document], ReadReport]:
    """Read (name, path) pairs in the given order, skipping, with its reason, what is not text."""
    if max_bytes <= 0:
        raise DataError(f"max_bytes={max_bytes}; at least one byte has to be read")
    report = ReadReport() if report is None else report
    documents: list[Document] = []
    for name, path in files:
        left = max_bytes - report.n_bytes
        if left <= 0:
            report.skip(name, f"over the limit of {max_bytes} bytes")
            continue
        try:
            data, size = _read_bytes(path, left)
            cut = size > len(data)
            text, encoding = decode_text(data, cut=cut)
            if not text.strip():
                raise NotText("empty")
        except NotText as error:
            report.skip(name, str(error).split(":")[0])
            continue
        except OSError as error:
            report.skip(name, f"unreadable, {error.strerror or error}")
            continue
        documents.append((name, text))
        report.n_read += 1
        report.n_bytes += len(data)
        if encoding not in ("utf-8", "utf-8-sig"):
            report.encodings.setdefault(encoding, []).append(name)
        if cut:
            report.notes.append(f"{name}: only the first {len(data)} of {size} bytes were read")
    return documents, report


def _read_bytes(path: Path, limit: int) -> tuple[bytes, int]:
    """Up to `limit` bytes and the file's size. A binary file is left after its first block."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for ever
        raise NotText("not a regular file")
    with path.open("rb") as file:
        head = file.read(min(_HEAD_BYTES, limit))
        if len(head) < status.st_size:
            decode_text(head, cut=True)
        data = head + file.read(limit - len(head))
    return data, max(status.st_size, len(data))
