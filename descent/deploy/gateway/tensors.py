"""KServe's tensors ↔ a service's JSON value.

    {"name", "shape", "datatype", "data"}  ↔  an object's property of that name, or the whole value

A value that is no object is one tensor ("input", "output"). What is no rectangle of numbers, truths
or texts goes as BYTES holding JSON, said by parameters.content_type. Reference: Open Inference
Protocol v2, §Inference Request JSON Object.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from descent.deploy.errors import HttpError

__all__ = ["metadata", "tensors_of", "value_of"]

_OF_SCHEMA = {"number": "FP64", "integer": "INT64", "boolean": "BOOL", "string": "BYTES"}
_KNOWN = {
    "BOOL", "BYTES", "FP16", "FP32", "FP64", "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16",
    "UINT32", "UINT64",
}  # fmt: skip
MAX_DIMENSIONS = 32
MAX_EMPTY = 4096  # lists that a tensor without values may stand for
_JSON = {"content_type": "application/json"}

Schema = Mapping[str, Any]


def metadata(schema: Schema, whole: str) -> list[dict[str, Any]]:
    """Name, datatype and shape of each tensor; `whole` names the one of a value without parts."""
    found = []
    for name, part in _parts(schema, whole):
        depth, kind = _depth(part, schema)
        datatype = _OF_SCHEMA.get(kind, "BYTES")
        described: dict[str, Any] = {
            "name": name, "datatype": datatype, "shape": [-1] * depth or [1]
        }  # fmt: skip
        if kind not in _OF_SCHEMA:
            described |= {"shape": [1], "parameters": _JSON}
        found.append(described)
    return found


def value_of(tensors: Sequence[Any], schema: Schema) -> Any:
    """What the service is given. Raises `HttpError` 400 naming the tensor at fault."""
    parts = dict(_parts(schema, "input"))
    read: dict[str, Any] = {}
    for i, tensor in enumerate(tensors):
        if not isinstance(tensor, dict) or not isinstance(tensor.get("name"), str):
            raise _bad(f"inputs[{i}]", "must be an object with name, shape, datatype and data")
        name = tensor["name"]
        only = next(iter(parts.values())) if len(parts) == 1 else {}
        read[name] = _read(f"inputs[{i}] '{name}'", tensor, parts.get(name, only), schema)
    if _properties(schema):
        return read
    if len(read) == 1:
        return next(iter(read.values()))
    if not schema.get("type") and read:
        return read
    raise _bad("inputs", f"must hold exactly one tensor, not {len(read)}")


def tensors_of(value: Any) -> list[dict[str, Any]]:
    """The tensors of a service's answer."""
    if isinstance(value, dict):
        return [_written(name, part) for name, part in value.items()]
    return [_written("output", value)]


def _parts(schema: Schema, whole: str) -> list[tuple[str, Schema]]:
    return list(_properties(schema).items()) or [(whole, schema)]


def _properties(schema: Schema) -> Mapping[str, Schema]:
    return _resolved(schema, schema).get("properties") or {}


def _resolved(part: Schema, schema: Schema) -> Schema:
    name = str(part.get("$ref", "")).rpartition("/")[2]
    return schema.get("$defs", {}).get(name, part) if name else part


def _depth(part: Schema, schema: Schema) -> tuple[int, str]:
    """How many lists lie around which kind of value."""
    depth, part = 0, _resolved(part, schema)
    while part.get("type") == "array":
        depth, part = depth + 1, _resolved(part.get("items") or {}, schema)
    return depth, str(part.get("type", ""))


def _read(where: str, tensor: Mapping[str, Any], part: Schema, schema: Schema) -> Any:
    shape, kind, data = tensor.get("shape"), tensor.get("datatype"), tensor.get("data")
    if not isinstance(kind, str) or kind not in _KNOWN:
        raise _bad(f"{where} datatype", f"must be one of {', '.join(sorted(_KNOWN))}, not {kind!r}")
    if not isinstance(shape, list) or not all(type(n) is int and n >= 0 for n in shape):
        raise _bad(f"{where} shape", "must be a list of sizes")
    if len(shape) > MAX_DIMENSIONS:
        raise _bad(f"{where} shape", f"has more than {MAX_DIMENSIONS} dimensions")
    if 0 in shape and math.prod(n or 1 for n in shape) > MAX_EMPTY:
        raise _bad(f"{where} shape", "is too large for a tensor without values")
    try:
        flat = _flat(data)
    except RecursionError:
        raise _bad(f"{where} data", "is nested too deep") from None
    if len(flat) != math.prod(shape):
        raise _bad(f"{where} data", f"has {len(flat)} values, but shape {shape} holds "
                   f"{math.prod(shape)}")  # fmt: skip
    depth, of = _depth(part, schema)
    if of not in _OF_SCHEMA and part and kind == "BYTES" and len(flat) == 1:
        try:
            return json.loads(flat[0])
        except (ValueError, TypeError, RecursionError):
            raise _bad(f"{where} data", "must be one JSON text") from None
    if part:  # a leading 1 is the batch that a service of single items does not know
        while len(shape) > depth and shape[0] == 1:
            shape = shape[1:]
        if of in _OF_SCHEMA and len(shape) != depth:
            raise _bad(f"{where} shape", f"has {len(shape)} dimensions; the service takes {depth}")
    return _nested(flat, shape)


def _flat(data: Any) -> list[Any]:
    if not isinstance(data, list):
        return [data]
    return [x for item in data for x in _flat(item)] if data else []


def _nested(flat: list[Any], shape: Sequence[int]) -> Any:
    if not shape:
        return flat[0]
    if len(shape) == 1:
        return flat
    size = math.prod(shape[1:])
    return [_nested(flat[i * size : (i + 1) * size], shape[1:]) for i in range(shape[0])]


def _written(name: str, value: Any) -> dict[str, Any]:
    shape = _shape(value)
    flat = _flat(value)
    datatype = None if shape is None else _datatype(flat)
    if datatype is None:
        text = json.dumps(value, ensure_ascii=False)
        return {"name": name, "datatype": "BYTES", "shape": [1], "data": [text],
                "parameters": _JSON}  # fmt: skip
    return {"name": name, "datatype": datatype, "shape": shape or [1], "data": flat}


def _shape(value: Any) -> list[int] | None:
    """Of nested lists; None where they are ragged or hold something else than plain values."""
    if not isinstance(value, list):
        return None if isinstance(value, dict) else []
    inner = [_shape(item) for item in value]
    if any(s is None or s != inner[0] for s in inner):
        return None
    return [len(value), *(inner[0] if inner else [])]  # type: ignore[misc]


def _datatype(flat: list[Any]) -> str | None:
    kinds = {type(x) for x in flat}
    if kinds <= {bool} and kinds:
        return "BOOL"
    if kinds == {int}:
        return "INT64" if all(-(2**63) <= x < 2**63 for x in flat) else None
    if kinds <= {int, float}:
        return "FP64"
    return "BYTES" if kinds == {str} else None


def _bad(where: str, what: str) -> HttpError:
    return HttpError(400, "bad_tensor", f"{where} {what}", field=where.partition(" ")[0])
