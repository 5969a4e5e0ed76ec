"""PyTorch's .pt, .pth and .bin files, by a reader that executes nothing.

    zip (since 1.6):   NAME/data.pkl: the structure, NAME/data/KEY: the numbers, uncompressed
    legacy:            four pickles (magic, version, system, structure), keys, then the numbers

The structure is a pickle (see `pickled`) in which tensors are calls of `_rebuild_tensor_v2` on
pieces of storage. Tensors come back as `Stored`: mapped, read when asked for. A tensor must lie
inside its storage and may not show a number twice (strides of 0), so no small file makes a large
array. Reference: docs.pytorch.org, "Serialization semantics". Left out: compressed archives,
TorchScript, quantised and sparse tensors, tar files of before 0.1.10.
"""

from __future__ import annotations

import math
import struct
import zipfile
from collections import OrderedDict
from typing import Any, NamedTuple

import numpy as np

from descent.hub.formats.mapped import MappedFile
from descent.hub.formats.pickled import PickleError, interpret
from descent.hub.formats.safetensors import NUMPY_KINDS
from descent.hub.weights import Stored, widened

__all__ = ["read_pytorch", "read_state_dict"]

_LARGEST_STRUCTURE = 64 << 20
Shape = tuple[int, ...]
_MAGIC = 0x1950A86A20F9469CFC6C
_STORAGES = {
    "DoubleStorage": "F64", "FloatStorage": "F32", "HalfStorage": "F16", "BFloat16Storage": "BF16",
    "LongStorage": "I64", "IntStorage": "I32", "ShortStorage": "I16", "CharStorage": "I8",
    "ByteStorage": "U8", "BoolStorage": "BOOL",
}  # fmt: skip
_DTYPES = ["float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8",
           "bool"]  # fmt: skip


class Storage(NamedTuple):
    """A piece of the file: its key, number format and how many numbers."""

    key: str
    kind: str
    count: int

    @property
    def nbytes(self) -> int:
        return self.count * np.dtype(NUMPY_KINDS[self.kind]).itemsize


def read_pytorch(file: MappedFile) -> Any:
    """What `torch.save` was given: dicts, lists, numbers and texts, with `Stored` for tensors.

    Raises:
        FormatError: damaged, of another kind, or asking for more than tensors.
    """
    if file.bytes(0, 4, "the first bytes")[:4] == b"PK\x03\x04":
        return _read_zip(file)
    return _read_legacy(file)


def read_state_dict(file: MappedFile) -> dict[str, Stored]:
    """A file that holds one dict of tensors by name."""
    value = read_pytorch(file)
    if not isinstance(value, dict) or not all(isinstance(s, Stored) for s in value.values()):
        raise file.fail("holds something else than a dict of tensors")
    return {str(name): s for name, s in value.items()}


# -- the structure -------------------------------------------------------------------------------


class _Structure:
    """Pickles of one file; `where` says at which byte each storage lies, once that is known."""

    def __init__(self, file: MappedFile) -> None:
        self.file = file
        self.storages: dict[str, Storage] = {}
        self.where: dict[str, int] = {}
        self.known: dict[str, Any] = {
            "collections.OrderedDict": _ordered,
            "torch._utils._rebuild_tensor_v2": self.tensor,
            "torch._utils._rebuild_tensor": self.tensor,
            "torch._utils._rebuild_parameter": lambda tensor, *rest: tensor,
            "torch.Size": lambda sizes=(): tuple(sizes),
            "torch.device": lambda *name: ":".join(map(str, name)),
            **{f"{module}.set": _set for module in ("builtins", "__builtin__")},
            "_codecs.encode": lambda text, encoding="latin1": str(text).encode("latin-1"),
            **{f"torch.{name}": kind for name, kind in _STORAGES.items()},
            **{f"torch.{name}": name for name in _DTYPES},
        }

    def read(self, data: bytes, start: int, offset: int) -> tuple[Any, int]:
        """One pickle; `offset` is where `data` lies in the file."""
        try:
            return interpret(data, self.known, self.storage, start)
        except PickleError as error:
            where = offset + error.offset
            raise self.file.fail(f"its structure (a pickle) {error}", where) from None

    def storage(self, identity: Any) -> Storage:
        """What a persistent id names: ("storage", type, key, device, count)."""
        if not isinstance(identity, tuple) or len(identity) not in (5, 6):
            raise ValueError("refers to an outside object that is no storage")
        tag, kind, key, _, count, *view = identity
        if tag != "storage" or any(view) or kind not in _STORAGES.values():
            raise ValueError("refers to an outside object that is no storage of numbers")
        if not isinstance(key, str) or type(count) is not int or count < 0:
            raise ValueError("names a storage of impossible size")
        storage = Storage(key, kind, count)
        if self.storages.setdefault(key, storage) != storage:
            raise ValueError(f"describes storage {key!r} in two ways")
        return storage

    def tensor(self, storage: Any, offset: Any, shape: Any, strides: Any, *rest: Any) -> Stored:
        """`_rebuild_tensor_v2`: a window on a storage."""
        if not isinstance(storage, Storage):
            raise ValueError("makes a tensor without storage")
        for value in (offset, *shape, *strides):
            if type(value) is not int or value < 0:
                raise ValueError("makes a tensor whose offset, shape or strides are no counts")
        if len(shape) != len(strides) or len(shape) > 32:
            raise ValueError(f"makes a tensor of {len(shape)} axes with {len(strides)} strides")
        numbers = math.prod(shape)
        last = offset + sum((n - 1) * s for n, s in zip(shape, strides)) if numbers else 0
        if numbers > storage.count or last >= max(storage.count, 1):
            raise ValueError(f"shows {list(shape)} numbers of a storage of {storage.count}")
        return self.stored(storage, offset, tuple(shape), tuple(strides), last + 1 - offset)

    def stored(
        self, storage: Storage, offset: int, shape: Shape, strides: Shape, span: int
    ) -> Stored:
        kind = np.dtype(NUMPY_KINDS[storage.kind])
        steps = [s * kind.itemsize for s in strides]

        def read(once: bool) -> np.ndarray:
            if not math.prod(shape):
                return np.zeros(shape, np.float32 if storage.kind == "BF16" else kind)
            first = self.where[storage.key] + offset * kind.itemsize
            flat = self.file.array(first, kind, (span,), once=once)
            array = np.lib.stride_tricks.as_strided(flat, shape, steps)
            return widened(array) if storage.kind == "BF16" else array

        return Stored(shape, storage.kind, read)


def _set(items: Any = ()) -> set[Any]:
    if not all(isinstance(item, (str, int, float)) for item in items):
        raise ValueError("makes a set of other things than plain values")
    return set(items)


def _ordered(*arguments: Any) -> OrderedDict[Any, Any]:
    if any(arguments):
        raise ValueError("builds an OrderedDict from arguments")
    return OrderedDict()


# -- the two containers --------------------------------------------------------------------------


def _read_zip(file: MappedFile) -> Any:
    try:
        with file.stream() as raw, zipfile.ZipFile(raw) as archive:
            entries = {entry.filename: entry for entry in archive.infolist()}
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, struct.error,
            UnicodeDecodeError, EOFError, IndexError) as error:  # fmt: skip
        raise file.fail(f"the archive is damaged: {error}") from None
    pickles = [name for name in entries if name.count("/") == 1 and name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise file.fail("is a zip archive without one data.pkl: not written by torch.save")
    root = pickles[0].removesuffix("data.pkl")
    if (order := entries.get(f"{root}byteorder")) is not None:
        if file.bytes(*_extent(file, order, 16), "the byte order") != b"little":
            raise file.fail("its numbers are big-endian")
    offset, size = _extent(file, entries[pickles[0]], _LARGEST_STRUCTURE)
    structure = _Structure(file)
    value, _ = structure.read(file.bytes(offset, size, "data.pkl"), 0, offset)
    for key, storage in structure.storages.items():
        entry = entries.get(f"{root}data/{key}")
        if entry is None:
            raise file.fail(f"storage {key!r} is not in the archive")
        structure.where[key], length = _extent(file, entry, file.size)
        if length < storage.nbytes:
            raise file.fail(f"storage {key!r} has {length} bytes, not {storage.nbytes}")
    return value


def _extent(file: MappedFile, entry: zipfile.ZipInfo, most: int) -> tuple[int, int]:
    """Where an archive's entry lies: its numbers follow a header of their own."""
    if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1:
        raise file.fail(f"{entry.filename} is compressed or locked", entry.header_offset)
    if entry.file_size > most:
        raise file.fail(f"{entry.filename} has {entry.file_size} bytes", entry.header_offset)
    name, extra = file.unpack("<26x2H", entry.header_offset, "an entry's header")
    offset = entry.header_offset + 30 + name + extra
    file.check(offset, entry.file_size, entry.filename)
    return offset, entry.file_size


def _read_legacy(file: MappedFile) -> Any:
    data = file.bytes(0, min(file.size, _LARGEST_STRUCTURE), "the structure")
    structure = _Structure(file)
    magic, at = structure.read(data, 0, 0)
    if magic != _MAGIC:
        raise file.fail("is a pickle, but not one that torch.save wrote")
    version, at = structure.read(data, at, 0)
    system, at = structure.read(data, at, 0)
    if version != 1001 or not isinstance(system, dict) or not system.get("little_endian", True):
        raise file.fail("has another protocol than 1001, or big-endian numbers")
    value, at = structure.read(data, at, 0)
    keys, at = structure.read(data, at, 0)
    if not isinstance(keys, list) or set(keys) != set(structure.storages):
        raise file.fail("its list of storages is not that of its tensors", at)
    for key in keys:
        (count,) = file.unpack("<q", at, f"the size of storage {key!r}")
        storage = structure.storages[key]
        if count != storage.count:
            raise file.fail(f"storage {key!r} has {count} numbers, not {storage.count}", at)
        file.check(at + 8, storage.nbytes, f"storage {key!r}")
        structure.where[key] = at + 8
        at += 8 + storage.nbytes
    return value
