"""A file in memory without being read: pages come from the disk when their numbers are looked at.

    array = file.array(offset, dtype, shape)        a view into the mapping, no copy

The mapping is copy-on-write: whoever changes such an array gets pages of his own, and the file
stays as it is. What is only passed through (converted, copied elsewhere) is read from a second,
read-only mapping, whose pages `forget` gives back. Every slice is checked against the file's real
size before an array is made, so a header that lies costs nothing. Numbers at an offset that does
not suit their type are copied. Left out: files that another program shortens while they are mapped
(the operating system ends the process); everything Descent writes is replaced by renaming, which
does no harm.
"""

from __future__ import annotations

import io
import math
import mmap
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from descent.hub.formats.errors import FormatError

__all__ = ["MappedFile"]


class MappedFile:
    """A file of `size` bytes, readable in checked slices.

    Raises:
        FormatError: when it is missing, empty or not a plain file.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            with open(self.path, "rb") as file:
                self.size = file.seek(0, 2)
                if not self.size:
                    raise FormatError(self.path, "the file is empty")
                memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
                through = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except FileNotFoundError:
            raise FormatError(self.path, "there is no such file") from None
        except OSError as error:
            why = "it is a folder" if self.path.is_dir() else error.strerror or error
            raise FormatError(self.path, f"can't be read: {why}") from None
        except ValueError as error:  # a pipe, a device
            raise FormatError(self.path, f"can't be mapped: {error}") from None
        self.numbers = np.frombuffer(memory, np.uint8)
        self._passing: np.ndarray = np.frombuffer(through, np.uint8)
        self._through: mmap.mmap | None = through

    @classmethod
    def of(cls, data: bytes, name: str) -> MappedFile:
        """Bytes that are in memory already, read in the same way; `name` stands in errors."""
        file = cls.__new__(cls)
        file.path, file.size = Path(name), len(data)
        if not data:
            raise FormatError(name, "the file is empty")
        file._through = None
        file.numbers = file._passing = np.frombuffer(bytearray(data), np.uint8)
        return file

    def __repr__(self) -> str:
        return f"MappedFile({str(self.path)!r}, {self.size} bytes)"

    def stream(self) -> BinaryIO:
        """The content as an open file."""
        return (
            open(self.path, "rb")
            if self._through is not None
            else io.BytesIO(self.numbers.tobytes())
        )

    def fail(self, problem: str, offset: int | None = None) -> FormatError:
        """The error to raise about this file."""
        return FormatError(self.path, problem, offset)

    def check(self, offset: int, count: int, what: str) -> None:
        """Refuse a slice that is not inside the file."""
        if offset < 0 or count < 0 or offset + count > self.size:
            raise self.fail(
                f"{what} takes {count} bytes from here, but the file ends at byte {self.size} "
                "(truncated, or the header is wrong)",
                offset,
            )

    def bytes(self, offset: int, count: int, what: str) -> bytes:
        """A copy of `count` bytes."""
        self.check(offset, count, what)
        return self._passing[offset : offset + count].tobytes()

    def unpack(self, layout: str, offset: int, what: str) -> tuple[Any, ...]:
        """Fields by `struct` layout."""
        return struct.unpack(layout, self.bytes(offset, struct.calcsize(layout), what))

    def array(
        self,
        offset: int,
        dtype: Any,
        shape: Sequence[int],
        what: str = "a tensor",
        once: bool = False,
    ) -> np.ndarray:
        """Numbers of `dtype` in `shape`, in C order; writable without changing the file.

        Args:
            once: only to be passed through: read-only, from the pages that `forget` gives back.
        """
        kind = np.dtype(dtype)
        count = math.prod(shape) * kind.itemsize
        self.check(offset, count, what)
        piece = (self._passing if once else self.numbers)[offset : offset + count]
        if kind.alignment > 1 and piece.ctypes.data % kind.alignment:
            piece = piece.copy()
        return piece.view(kind).reshape(shape)

    def forget(self) -> None:
        """Give the memory of what was passed through back to the system."""
        if self._through is not None and hasattr(mmap, "MADV_DONTNEED"):
            self._through.madvise(mmap.MADV_DONTNEED)
