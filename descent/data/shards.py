"""Token files: ids by the million, read in place from the disk.

    llm.c     256 int32 (magic 20240520, version 1, count, 0 …), then uint16 ids (GPT-2, 50,257)
    llm.c     the same with magic 20240801, version 7, and uint32 ids (Llama 3)
    nanoGPT   uint16 ids and nothing else

Formats: karpathy/llm.c dev/data/data_common.py; karpathy/nanoGPT data/*/prepare.py. A file is
memory-mapped: what does not fit into memory costs none. Left out: shuffling of shards (windows are
drawn from all of them at once).
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from descent.data.discovery import Source, find_files
from descent.data.errors import DataError

__all__ = ["Spans", "TokenWriter", "find_shards", "open_tokens"]

HEADER_BYTES = 1024
UINT16_MAGIC, UINT32_MAGIC = 20240520, 20240801
_VERSIONS = {UINT16_MAGIC: (1, np.dtype("<u2")), UINT32_MAGIC: (7, np.dtype("<u4"))}


def open_tokens(path: str | os.PathLike) -> np.ndarray:
    """The ids of one file, uint16 or uint32, memory-mapped and read-only.

    Raises:
        DataError: unreadable, empty, cut short, or of a version that is not known.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = np.frombuffer(file.read(HEADER_BYTES), np.uint8)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
    if len(head) >= 12 and (known := _VERSIONS.get(int(head[:4].view("<i4")[0]))):
        version, n = map(int, head[4:12].view("<i4"))
        expected, dtype = known
        if version != expected:
            raise DataError(f"{path}: llm.c tokens of version {version}, not {expected}")
        n_bytes = size - HEADER_BYTES
        if n < 1 or n * dtype.itemsize != n_bytes:
            raise DataError(
                f"{path}: its header promises {n} tokens ({n * dtype.itemsize} bytes), "
                f"{n_bytes} bytes follow it: the file is damaged or not whole"
            )
        return np.memmap(path, dtype, "r", HEADER_BYTES, (n,))
    if size < 2 or size % 2:
        raise DataError(
            f"{path} has {size} bytes and no llm.c header: not a row of uint16 tokens "
            "(`descent tokens DATA OUT` makes one)"
        )
    return np.memmap(path, np.dtype("<u2"), "r", 0, (size // 2,))


def find_shards(source: Source) -> list[Path]:
    """The .bin files that `source` (a file, folder, glob or list) means, by name."""
    files = [path for _, path in find_files(source, pattern="*.bin")]
    if not files:
        raise DataError(f"no token files (*.bin) in {source}; `descent tokens DATA OUT` makes them")
    return files


class TokenWriter:
    """Writes an llm.c token file piece by piece; it gets its name when it is whole.

    Use as a context manager. With a vocabulary beyond 65,536 the ids are uint32.
    """

    def __init__(self, path: str | os.PathLike, vocab_size: int) -> None:
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.magic = UINT16_MAGIC if vocab_size <= 1 << 16 else UINT32_MAGIC
        self.dtype = _VERSIONS[self.magic][1]
        self.count = 0

    def __enter__(self) -> TokenWriter:
        self._part = self.path.with_name(f"{self.path.name}.{secrets.token_hex(4)}.part")
        self._file = self._part.open("xb")
        self._file.write(bytes(HEADER_BYTES))
        return self

    def write(self, ids: Sequence[int] | np.ndarray) -> None:
        """Append ids."""
        self._file.write(np.asarray(ids).astype(self.dtype).tobytes())
        self.count += len(ids)

    def __exit__(self, kind: type | None, *exc: object) -> None:
        try:
            if kind is None:
                head = np.zeros(HEADER_BYTES // 4, "<i4")
                head[:3] = self.magic, _VERSIONS[self.magic][0], self.count
                self._file.seek(0)
                self._file.write(head.tobytes())
                self._file.flush()
                os.fsync(self._file.fileno())
        finally:
            self._file.close()
            if kind is not None:
                self._part.unlink(missing_ok=True)
        if kind is None:
            os.replace(self._part, self.path)


class Spans:
    """Stretches of one or several token rows, seen as one row.

    Args:
        arrays: rows of ids, memory-mapped or not.
        spans: int64 [S, 3]: row, first, end of each stretch; whole rows when not given.
    """

    def __init__(self, arrays: Iterable[np.ndarray], spans: np.ndarray | None = None) -> None:
        self.arrays = list(arrays)
        if spans is None:
            spans = np.array([(i, 0, len(a)) for i, a in enumerate(self.arrays)], np.int64)
        self.spans = np.asarray(spans, np.int64).reshape(-1, 3)
        self.lengths = self.spans[:, 2] - self.spans[:, 1]
        self.begins = np.concatenate(([0], np.cumsum(self.lengths)))  # of each in the one row

    def __len__(self) -> int:
        return int(self.begins[-1])

    def take(self, positions: np.ndarray) -> np.ndarray:
        """The ids, int64, at positions of the one row (any shape)."""
        flat = np.asarray(positions, np.int64)
        span = np.searchsorted(self.begins, flat, side="right") - 1
        row, place = self.spans[span, 0], flat - self.begins[span] + self.spans[span, 1]
        if len(self.arrays) == 1:
            return self.arrays[0][place].astype(np.int64)
        out = np.empty(flat.shape, np.int64)
        for i in np.unique(row):
            here = row == i
            out[here] = self.arrays[i][place[here]]
        return out
