"""safetensors: a JSON header that says where each tensor lies, then the tensors.

    u64 N · N bytes of JSON {name: {"dtype", "shape", "data_offsets": [from, to]}} · the numbers

Reference: github.com/huggingface/safetensors, "Format". The header is checked as its authors
demand before anything is allocated: no longer than 100 MB, offsets inside the file, sizes equal to
shape × type, no overlap and no hole. Left out: float8 and smaller types.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from descent.hub.formats.mapped import MappedFile
from descent.hub.weights import Stored, widened

__all__ = ["NUMPY_KINDS", "header_of", "read_safetensors", "safetensors_parts"]

_LARGEST_HEADER = 100_000_000
NUMPY_KINDS = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "BOOL": "?",
    "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1",
}  # fmt: skip


def read_safetensors(file: MappedFile) -> tuple[dict[str, Stored], dict[str, str]]:
    """The tensors, not yet read, and the header's `__metadata__`.

    Raises:
        FormatError: whatever is wrong, with the byte where it stands.
    """
    header, start = header_of(file)
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise file.fail("__metadata__ must map names to texts", 8)
    places = {name: _checked(file, name, entry, start) for name, entry in header.items()}
    end = start
    for name, (*_, first, last) in sorted(places.items(), key=lambda p: p[1][2:]):
        if first != end:
            what = "overlaps the tensor before it" if first < end else "leaves a hole before it"
            raise file.fail(f"tensor {name!r} {what} (it should begin at byte {end})", first)
        end = last
    if end != file.size:
        raise file.fail(f"the tensors end here, but the file has {file.size} bytes", end)
    return {n: _stored(file, *place[:3]) for n, place in places.items()}, metadata


def header_of(file: MappedFile) -> tuple[dict[str, Any], int]:
    """The JSON header, and the byte where the numbers begin."""
    (length,) = file.unpack("<Q", 0, "the header's length")
    if length > _LARGEST_HEADER or 8 + length > file.size:
        raise file.fail(
            f"the header's length is {length}, the file has {file.size} bytes; is this safetensors?"
        )
    try:
        header = json.loads(file.bytes(8, length, "the header"), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise file.fail(f"the header is not JSON: {error}", 8) from None
    if not isinstance(header, dict):
        raise file.fail("the header must be a JSON object", 8)
    return header, 8 + length


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _checked(
    file: MappedFile, name: str, entry: Any, start: int
) -> tuple[str, tuple[int, ...], int, int]:
    """Number format, shape, first and last byte of one entry of the header."""
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise file.fail(f"tensor {name!r} needs exactly dtype, shape and data_offsets", 8)
    kind, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(kind, str) or kind not in NUMPY_KINDS:
        raise file.fail(f"tensor {name!r}: dtype {kind!r} is not one of {list(NUMPY_KINDS)}", 8)
    for what, value in (("shape", shape), ("data_offsets", offsets)):
        if not isinstance(value, list) or not all(type(n) is int and n >= 0 for n in value):
            raise file.fail(f"tensor {name!r}: {what} must be a list of counts, is {value!r}", 8)
    if len(offsets) != 2 or len(shape) > 32:
        raise file.fail(f"tensor {name!r}: {len(shape)} axes, {len(offsets)} offsets", 8)
    need = math.prod(shape) * np.dtype(NUMPY_KINDS[kind]).itemsize
    if offsets[1] - offsets[0] != need:
        raise file.fail(
            f"tensor {name!r}: {kind} {shape} takes {need} bytes, data_offsets {offsets} give "
            f"{offsets[1] - offsets[0]}",
            8,
        )
    file.check(start + offsets[0], need, f"tensor {name!r}")
    return kind, tuple(shape), start + offsets[0], start + offsets[1]


def _stored(file: MappedFile, kind: str, shape: tuple[int, ...], first: int) -> Stored:
    return Stored(shape, kind, lambda once: _read(file, kind, shape, first, once))


def _read(file: MappedFile, kind: str, shape: tuple[int, ...], first: int, once: bool) -> Any:
    array = file.array(first, NUMPY_KINDS[kind], shape, once=once)
    return widened(array) if kind == "BF16" else array


def safetensors_parts(
    tensors: Mapping[str, tuple[str, tuple[int, ...]]],
    arrays: Iterator[np.ndarray],
    metadata: Mapping[str, str] | None = None,
) -> Iterator[bytes | memoryview]:
    """The file's bytes, piece by piece.

    Args:
        tensors: number format and shape by name, in the order of `arrays`.
        arrays: the numbers, C order (BF16 as uint16 bits); looked at one at a time.
    """
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    end = 0
    for name, (kind, shape) in tensors.items():
        first, end = end, end + math.prod(shape) * np.dtype(NUMPY_KINDS[kind]).itemsize
        header[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [first, end]}
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    yield len(text).to_bytes(8, "little") + text
    for (name, (kind, shape)), array in zip(tensors.items(), arrays, strict=True):
        if array.shape != shape:
            raise ValueError(f"{name}: announced as {shape}, is {array.shape}")
        yield np.ascontiguousarray(array, NUMPY_KINDS[kind]).reshape(-1).view(np.uint8).data
