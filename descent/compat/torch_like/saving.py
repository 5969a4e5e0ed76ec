"""`torch.save` and `torch.load` without pickle: one safetensors file.

The tensors lie in the file under dotted names; the structure around them (dicts, lists, tuples and
plain values, and which names share one tensor) is JSON in its metadata. Reading executes nothing.
Files that PyTorch pickled are read by the hub's reader, which executes nothing either. Reference:
github.com/huggingface/safetensors, "Format". Left out: objects of other classes.
"""

from __future__ import annotations

import json
import os
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as read_tensors
from safetensors.numpy import save as written_tensors

from descent import Size, Tensor, dtypes, from_numpy
from descent.data.files import write_atomically
from descent.nn import Parameter

__all__ = ["load", "save"]

FORMAT = "descent-object.v1"
_PLAIN = (type(None), bool, int, float, str)


class _Writer:
    """Takes the tensors out of a structure and describes the rest in JSON values."""

    def __init__(self) -> None:
        self.arrays: dict[str, np.ndarray] = {}
        self.names: dict[tuple[Any, ...], str] = {}  # one name per piece of memory

    def describe(self, value: Any, path: str) -> Any:
        if type(value) in _PLAIN:
            return _number(value)
        if isinstance(value, Tensor):
            kind = "parameter" if isinstance(value, Parameter) else "tensor"
            name = self._stored(np.asarray(value.array), path)
            return {"kind": kind, "name": name, "requires_grad": bool(value.requires_grad)}
        if isinstance(value, (np.ndarray, np.generic)):
            return {"kind": "array", "name": self._stored(np.asarray(value), path)}
        if isinstance(value, Mapping):
            kind = "ordered" if isinstance(value, OrderedDict) else "dict"
            items = [
                [
                    self.describe(k, f"{path}.key"),
                    self.describe(v, f"{path}.{k}" if path else str(k)),
                ]
                for k, v in value.items()
            ]
            return {"kind": kind, "items": items}
        for kind, cls in (("size", Size), ("list", list), ("tuple", tuple)):
            if isinstance(value, cls) and not hasattr(value, "_fields"):
                parts = [
                    self.describe(v, f"{path}.{i}" if path else str(i)) for i, v in enumerate(value)
                ]
                return {"kind": kind, "items": parts}
        if isinstance(value, dtypes.dtype):
            return {"kind": "dtype", "name": value.name}
        raise TypeError(
            f"torch.save on Descent keeps tensors, arrays, dicts, lists, tuples, numbers and text, "
            f"not {type(value).__module__}.{type(value).__name__} (at {path or 'the top'}): save "
            "its state_dict() or its fields in a dict"
        )

    def _stored(self, array: np.ndarray, path: str) -> str:
        key = (array.ctypes.data, array.shape, array.strides, array.dtype.str)
        if array.size and key in self.names:
            return self.names[key]
        name = path or "value"
        while name in self.arrays:  # {"a.b": x, "a": {"b": y}}
            name += "_"
        self.names[key] = name
        self.arrays[name] = np.ascontiguousarray(array).reshape(array.shape)
        return name


def _number(value: Any) -> Any:
    """JSON has no infinities: they are written by name."""
    if isinstance(value, float) and not np.isfinite(value):
        return {"kind": "float", "value": repr(value)}
    return value


def save(obj: Any, f: Any, *args: Any, **options: Any) -> None:
    """Write tensors, and dicts and lists of them, to a path or an open binary file.

    Raises:
        TypeError: for objects of other classes, saying where they stand.
    """
    writer = _Writer()
    structure = writer.describe(obj, "")
    metadata = {"format": FORMAT, "structure": json.dumps(structure)}
    data = written_tensors(writer.arrays, metadata)
    if hasattr(f, "write"):
        f.write(data)
        return
    path = Path(os.fsdecode(f))
    if not path.parent.is_dir():
        raise RuntimeError(f"Parent directory {path.parent} does not exist.")
    write_atomically(path, data)


def load(
    f: Any, map_location: Any = None, *args: Any, weights_only: bool = True, **options: Any
) -> Any:
    """Read what `save` wrote; a safetensors file of another program gives a dict of tensors, a
    file of PyTorch's own its tensors and plain values (bfloat16 as float32).

    Raises:
        FileNotFoundError; RuntimeError: for files of other kinds, or with other objects in them.
    """
    data = f.read() if hasattr(f, "read") else Path(os.fsdecode(f)).read_bytes()
    where = getattr(f, "name", None) or (repr(f) if hasattr(f, "read") else os.fsdecode(f))
    if data[8:9] != b"{" and (data[:4] == b"PK\x03\x04" or data[:1] == b"\x80"):
        return _from_pytorch(data, where)
    try:
        arrays = read_tensors(data)
        length = int.from_bytes(data[:8], "little")
        metadata = json.loads(data[8 : 8 + length]).get("__metadata__", {})
    except (SafetensorError, ValueError) as error:
        raise RuntimeError(f"{where} can't be read as safetensors: {error}") from None
    tensors = {name: from_numpy(np.array(array)) for name, array in arrays.items()}
    if metadata.get("format") != FORMAT:
        return tensors
    try:
        return _rebuilt(json.loads(metadata["structure"]), tensors)
    except (KeyError, TypeError, ValueError) as error:
        raise RuntimeError(f"{where} is damaged: its structure names {error}") from None


def _from_pytorch(data: bytes, where: str) -> Any:
    """What PyTorch pickled, by a reader that knows tensors and plain values only."""
    from descent.hub.formats.errors import FormatError
    from descent.hub.formats.mapped import MappedFile
    from descent.hub.formats.pytorch import read_pytorch

    try:
        return _as_tensors(read_pytorch(MappedFile.of(data, where)))
    except (FormatError, RecursionError) as error:
        raise RuntimeError(f"{where} can't be read: {error}") from None


def _as_tensors(value: Any) -> Any:
    from descent.hub.weights import Stored

    if isinstance(value, Stored):
        return from_numpy(np.array(value.read(False)))
    if isinstance(value, dict):
        return type(value)((k, _as_tensors(v)) for k, v in value.items())
    if isinstance(value, (list, tuple)):
        return type(value)(map(_as_tensors, value))
    return value


def _rebuilt(part: Any, tensors: dict[str, Any]) -> Any:
    if not isinstance(part, dict):
        return part
    kind = part["kind"]
    if kind in ("tensor", "parameter"):
        t = tensors[part["name"]]
        if kind == "parameter":
            return Parameter(t, part["requires_grad"])
        return t.requires_grad_() if part["requires_grad"] else t
    if kind == "array":
        return tensors[part["name"]].array
    if kind in ("dict", "ordered"):
        pairs = [(_rebuilt(k, tensors), _rebuilt(v, tensors)) for k, v in part["items"]]
        return dict(pairs) if kind == "dict" else OrderedDict(pairs)
    if kind == "dtype":
        return dtypes.to_dtype(np.dtype(part["name"]))
    if kind == "float":
        return float(part["value"])
    return {"list": list, "tuple": tuple, "size": Size}[kind](
        _rebuilt(p, tensors) for p in part["items"]
    )
