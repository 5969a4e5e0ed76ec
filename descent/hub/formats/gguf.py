"""GGUF: llama.cpp's file of a model — settings by name, a table of tensors, then the tensors.

    "GGUF" · version u32 · tensors u64 · settings u64
    setting: name, type u32, value      tensor: name, axes u32, sizes u64…, type u32, offset u64

Texts are a u64 length and UTF-8; offsets count from the first multiple of `general.alignment` after
the table. Reference: github.com/ggml-org/ggml, docs/gguf.md (versions 2 and 3, little-endian).
Counts and lengths are checked against the bytes that are left before anything is made. Left out:
big-endian files, tensors in formats other than `KINDS`.
"""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

import numpy as np

from descent.hub.formats.blocks import BLOCKS, Quantised
from descent.hub.formats.mapped import MappedFile
from descent.hub.weights import Stored, bytes_of, widened

__all__ = ["KINDS", "Gguf", "read_container"]

KINDS = {0: "F32", 1: "F16", 2: "Q4_0", 8: "Q8_0", 12: "Q4_K", 14: "Q6_K", 30: "BF16"}
_OTHERS = {3: "Q4_1", 6: "Q5_0", 7: "Q5_1", 10: "Q2_K", 11: "Q3_K", 13: "Q5_K", 20: "IQ4_NL",
           23: "IQ4_XS", 39: "MXFP4"}  # fmt: skip
_SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q",
            11: "<q", 12: "<d"}  # fmt: skip
_TEXT, _ARRAY = 8, 9
_LEAST_SETTING, _LEAST_TENSOR = 8 + 4 + 1, 8 + 4 + 4 + 8
_LONGEST_NAME = 1 << 16


class Gguf(NamedTuple):
    """A file's settings and tensors; sizes of tensors in NumPy's order, the last axis inmost."""

    settings: dict[str, Any]
    tensors: dict[str, Stored]


class _Cursor:
    """Reads forward; knows where it is when something is wrong."""

    def __init__(self, file: MappedFile) -> None:
        self.file, self.at = file, 0
        self.data: Any = memoryview(file.numbers)  # type: ignore[arg-type]

    def scalar(self, layout: str, what: str) -> Any:
        size = struct.calcsize(layout)
        self.file.check(self.at, size, what)
        self.at += size
        return struct.unpack_from(layout, self.data, self.at - size)[0]

    def text(self, what: str) -> str:
        began = self.at
        length = self.scalar("<Q", f"the length of {what}")
        self.file.check(self.at, length, what)
        self.at += length
        try:
            return str(self.data[self.at - length : self.at], "utf-8")
        except UnicodeDecodeError as error:
            raise self.file.fail(f"{what} is not UTF-8: {error}", began) from None

    def texts(self, n: int, what: str) -> list[str]:
        """n texts; a vocabulary has a hundred thousand, so the loop is a tight one."""
        data, at, found, length_of = self.data, self.at, [], struct.Struct("<Q").unpack_from
        try:
            for _ in range(n):
                (length,) = length_of(data, at)
                end = at + 8 + length
                if end > len(data):
                    raise self.file.fail(f"a text of {what} takes {length} bytes from here", at)
                found.append(str(data[at + 8 : end], "utf-8"))
                at = end
        except (struct.error, UnicodeDecodeError) as error:
            raise self.file.fail(f"a text of {what} is damaged: {error}", at) from None
        self.at = at
        return found

    def count(self, what: str, least_bytes: int) -> int:
        """A number of things that take at least so many bytes each."""
        began, n = self.at, self.scalar("<Q", f"the number of {what}")
        if n * least_bytes > self.file.size - self.at:
            raise self.file.fail(f"{n} {what} do not fit into a file of this size", began)
        return n


def read_container(file: MappedFile) -> Gguf:
    """Everything but the numbers.

    Raises:
        FormatError: damaged or lying headers, tensors outside of the file or over one another.
    """
    cursor = _Cursor(file)
    if file.bytes(0, 4, "the first bytes") != b"GGUF":
        raise file.fail("does not begin with GGUF", 0)
    cursor.at = 4
    version = cursor.scalar("<I", "the version")
    if version not in (2, 3):
        raise file.fail(f"GGUF version {version}; 2 and 3 are read (little-endian)", 4)
    tensors = cursor.count("tensors", _LEAST_TENSOR)
    settings = _settings(cursor, cursor.count("settings", _LEAST_SETTING))
    return Gguf(settings, _tensors(cursor, tensors, settings))


def _settings(cursor: _Cursor, count: int) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    for _ in range(count):
        began = cursor.at
        name = cursor.text("a setting's name")
        if name in settings or len(name) > _LONGEST_NAME:
            raise cursor.file.fail(f"the setting {name[:80]!r} stands twice or is too long", began)
        kind = cursor.scalar("<I", "a setting's type")
        settings[name] = _value(cursor, kind, name, 0)
    return settings


def _value(cursor: _Cursor, kind: int, name: str, depth: int) -> Any:
    if kind in _SCALARS:
        return cursor.scalar(_SCALARS[kind], name)
    if kind == _TEXT:
        return cursor.text(name)
    if kind != _ARRAY or depth > 4:
        raise cursor.file.fail(f"{name}: unknown type {kind} of a setting", cursor.at - 4)
    inner = cursor.scalar("<I", name)
    if inner in _SCALARS:
        layout = np.dtype(_SCALARS[inner] if inner != 7 else "?")
        n = cursor.count(f"numbers of {name}", layout.itemsize)
        cursor.at += n * layout.itemsize
        return np.frombuffer(cursor.data, layout, n, cursor.at - n * layout.itemsize)
    n = cursor.count(f"items of {name}", 8)
    if inner == _TEXT:
        return cursor.texts(n, name)
    return [_value(cursor, inner, name, depth + 1) for _ in range(n)]


def _tensors(cursor: _Cursor, count: int, settings: dict[str, Any]) -> dict[str, Stored]:
    file = cursor.file
    found: dict[str, tuple[str, tuple[int, ...], int]] = {}
    for _ in range(count):
        began = cursor.at
        name = cursor.text("a tensor's name")
        axes = cursor.scalar("<I", "a tensor's number of axes")
        if name in found or len(name) > _LONGEST_NAME or axes > 4:
            raise file.fail(f"tensor {name[:80]!r} stands twice, or has {axes} axes", began)
        sizes = [cursor.scalar("<Q", f"{name}'s sizes") for _ in range(axes)]
        number, offset = cursor.scalar("<I", name), cursor.scalar("<Q", name)
        if number not in KINDS:
            raise file.fail(
                f"tensor {name!r} is stored as {_OTHERS.get(number, f'type {number}')}; read are "
                f"{', '.join(KINDS.values())}",
                began,
            )
        found[name] = KINDS[number], tuple(sizes[::-1]), offset
    alignment = settings.get("general.alignment", 32)
    if type(alignment) is not int or not 1 <= alignment <= 1 << 20:
        raise file.fail(f"general.alignment is {alignment!r}")
    start = -(-cursor.at // alignment) * alignment
    end, last = start, ""
    for name, (kind, shape, offset) in sorted(found.items(), key=lambda t: t[1][2]):
        if start + offset < end:
            raise file.fail(f"tensor {name!r} overlaps {last or 'the header'}", start + offset)
        end, last = start + offset + _checked_size(file, name, kind, shape, start + offset), name
    return {name: _stored(file, kind, shape, start + o) for name, (kind, shape, o) in found.items()}


def _checked_size(
    file: MappedFile, name: str, kind: str, shape: tuple[int, ...], offset: int
) -> int:
    if kind in BLOCKS and (not shape or shape[-1] % BLOCKS[kind].numbers):
        raise file.fail(f"tensor {name!r}: rows of {list(shape)} are no whole {kind} blocks")
    size = bytes_of(kind, shape)
    file.check(offset, size, f"tensor {name!r}")
    return size


_NUMPY = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}


def _stored(file: MappedFile, kind: str, shape: tuple[int, ...], offset: int) -> Stored:
    def read(once: bool) -> Any:
        if kind in BLOCKS:
            layout = BLOCKS[kind]
            blocks = (*shape[:-1], shape[-1] // layout.numbers)
            return Quantised(kind, shape, file.array(offset, layout.dtype, blocks, once=once))
        array = file.array(offset, _NUMPY[kind], shape, once=once)
        return widened(array) if kind == "BF16" else array

    return Stored(shape, kind, read)
