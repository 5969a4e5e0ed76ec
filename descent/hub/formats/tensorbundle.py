"""TensorFlow's checkpoint: an .index that says where each variable lies, and .data shards.

    PREFIX.index                  a sorted table: "" → BundleHeaderProto, name → BundleEntryProto
    PREFIX.data-00000-of-00001    the numbers, one after another

    table:  blocks · index block · footer (two handles, magic)
    block:  entries (bytes shared with the key before, not shared, of the value; key; value)
            · restart points · 1 byte of compression · masked CRC-32C

References: tensorflow/core/util/tensor_bundle, core/protobuf/tensor_bundle.proto; LevelDB's
doc/table_format.md. Every block's check sum is verified, every variable's when it is read. Left
out: Snappy-compressed tables (TensorFlow's bundles are not), strings, partitioned variables.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from descent.data.errors import DataError
from descent.data.tokenizers.protobuf import fields, varint
from descent.hub.formats.crc32c import crc32c, masked
from descent.hub.formats.errors import FormatError
from descent.hub.formats.mapped import MappedFile
from descent.hub.formats.safetensors import NUMPY_KINDS
from descent.hub.weights import Stored, widened

__all__ = ["read_tensor_bundle"]

_MAGIC = 0xDB4775248B80FB57
_FOOTER = 48
_LARGEST_INDEX = 64 << 20
_DTYPES = {1: "F32", 2: "F64", 3: "I32", 4: "U8", 5: "I16", 6: "I8", 9: "I64", 10: "BOOL",
           14: "BF16", 19: "F16"}  # fmt: skip


class Entry(NamedTuple):
    """One variable, as the index describes it."""

    kind: str
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    crc: int


def read_tensor_bundle(prefix: Path) -> tuple[dict[str, Stored], list[MappedFile]]:
    """The variables of a checkpoint by name, not yet read, and its data files.

    Raises:
        FormatError: damaged or lying files.
    """
    index = MappedFile(Path(f"{prefix}.index"))
    if index.size > _LARGEST_INDEX:
        raise index.fail(f"{index.size} bytes are too many for an index")
    entries = dict(_table(index))
    header = entries.pop(b"", None)
    if header is None:
        raise index.fail("has no header entry: not a checkpoint of TensorFlow")
    shards = _shards(index, header)
    files = [MappedFile(Path(f"{prefix}.data-{i:05}-of-{shards:05}")) for i in range(shards)]
    found = {}
    for key, value in entries.items():
        name = key.decode("utf-8", "replace")
        entry = _entry(index, name, value)
        if entry is None:
            continue
        if not 0 <= entry.shard < shards:
            raise index.fail(f"{name!r} lies in shard {entry.shard} of {shards}")
        file = files[entry.shard]
        file.check(entry.offset, entry.size, f"variable {name!r}")
        found[name] = _stored(file, name, entry)
    return found, files


# -- the table -----------------------------------------------------------------------------------


def _table(file: MappedFile) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values in order."""
    if file.size < _FOOTER:
        raise file.fail("is too short for a table")
    footer = file.bytes(file.size - _FOOTER, _FOOTER, "the footer")
    if int.from_bytes(footer[40:], "little") != _MAGIC:
        raise file.fail("does not end as a table does: not an .index file", file.size - 8)
    at = 0
    handles = []
    for _ in range(4):
        number, at = _varint(file, footer, at, file.size - _FOOTER)
        handles.append(number)
    previous = b""
    for _, handle in _entries(file, *handles[2:]):
        offset, at = _varint(file, handle, 0, 0)
        size, _ = _varint(file, handle, at, 0)
        for key, value in _entries(file, offset, size):
            if previous and key <= previous:
                raise file.fail("keys are not in order", offset)
            previous = key
            yield key, value


def _entries(file: MappedFile, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of a block, its check sum verified."""
    block = file.bytes(offset, size + 5, "a block")
    kind, crc = block[size], int.from_bytes(block[size + 1 :], "little")
    if masked(crc32c(block[: size + 1])) != crc:
        raise file.fail("a block's check sum is wrong: the file is damaged", offset)
    if kind:
        raise file.fail(f"a block is compressed (type {kind}), which is not read", offset + size)
    if size < 4:
        raise file.fail("a block is too short", offset)
    restarts = int.from_bytes(block[size - 4 : size], "little")
    end = size - 4 - 4 * restarts
    if end < 0:
        raise file.fail(f"a block claims {restarts} restart points", offset)
    at, key = 0, b""
    while at < end:
        shared, at = _varint(file, block, at, offset)
        rest, at = _varint(file, block, at, offset)
        length, at = _varint(file, block, at, offset)
        if shared > len(key) or at + rest + length > end:
            raise file.fail("an entry reaches beyond its block", offset + at)
        key = key[:shared] + block[at : at + rest]
        yield key, block[at + rest : at + rest + length]
        at += rest + length


def _varint(file: MappedFile, data: bytes, at: int, offset: int) -> tuple[int, int]:
    try:
        return varint(data, at)
    except DataError:
        raise file.fail("a number does not end", offset + at) from None


# -- the entries ---------------------------------------------------------------------------------


def _fields(file: MappedFile, name: str, data: Any) -> dict[int, Any]:
    """The fields of a message, the last of each number."""
    try:
        return dict(fields(memoryview(data)))
    except DataError as error:
        raise file.fail(f"{name}: {error}") from None


def _shards(file: MappedFile, header: bytes) -> int:
    message = _fields(file, "the header", header)
    shards = message.get(1, 1)
    if message.get(2, 0) != 0 or not isinstance(shards, int) or not 1 <= shards <= 1 << 16:
        raise file.fail(f"the header says {shards!r} shards, or big-endian numbers")
    return shards


def _entry(file: MappedFile, name: str, data: bytes) -> Entry | None:
    """One variable; None for a text (TensorFlow's notes about objects)."""
    message = _fields(file, name, data)
    if message.get(1) == 7:
        return None
    kind = _DTYPES.get(message.get(1, 0))
    if kind is None or 7 in message:
        raise file.fail(f"{name!r} is of type {message.get(1)!r}, or in slices: not read")
    shape = []
    for number, value in _repeated(file, name, message.get(2, b"")):
        if number == 2:
            size = _fields(file, name, value).get(1, 0)
            if not isinstance(size, int) or not 0 <= size < 1 << 40:
                raise file.fail(f"{name!r} has an axis of impossible size")
            shape.append(size)
    crc = message.get(6, b"")
    numbers = [message.get(place, 0) for place in (3, 4, 5)]
    if not all(isinstance(n, int) for n in numbers) or isinstance(crc, int) or len(shape) > 32:
        raise file.fail(f"{name!r}: its entry is damaged")
    need = math.prod(shape) * np.dtype(NUMPY_KINDS[kind]).itemsize
    if numbers[2] != need:
        raise file.fail(f"{name!r}: {kind} {shape} takes {need} bytes, not {numbers[2]}")
    shard, offset, size = numbers
    return Entry(kind, tuple(shape), shard, offset, size, int.from_bytes(crc, "little"))


def _repeated(file: MappedFile, name: str, data: Any) -> list[tuple[int, Any]]:
    try:
        return list(fields(memoryview(data)))
    except (DataError, TypeError) as error:
        raise file.fail(f"{name}: {error}") from None


def _stored(file: MappedFile, name: str, entry: Entry) -> Stored:
    checked = []

    def read(once: bool) -> Any:
        if not checked:
            raw = file.array(entry.offset, "u1", (entry.size,), name, once=True)
            if masked(crc32c(raw)) != entry.crc:
                raise FormatError(file.path, f"{name!r}: its check sum is wrong", entry.offset)
            checked.append(True)
        array = file.array(entry.offset, NUMPY_KINDS[entry.kind], entry.shape, name, once=once)
        return widened(array) if entry.kind == "BF16" else array

    return Stored(entry.shape, entry.kind, read)
