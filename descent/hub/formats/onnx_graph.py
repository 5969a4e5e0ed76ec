"""An ONNX file, written: nodes and numbers into the protocol-buffer messages of onnx.proto3.

    ModelProto   1 ir_version · 2 producer · 7 graph · 8 opset
    GraphProto   1 nodes · 2 name · 5 initialisers · 11 inputs · 12 outputs
    NodeProto    1 inputs · 2 outputs · 4 op · 5 attributes

Reference: github.com/onnx/onnx, onnx/onnx.proto3; the wire format: protobuf.dev, "Encoding".
Weights are written as they come, one in memory at a time. Left out: external data, so files end at
2 GB.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from descent.hub.formats.errors import FormatError

__all__ = ["FLOAT", "INT64", "Graph"]

FLOAT, INT64 = 1, 7
_TYPES = {"float32": FLOAT, "int64": INT64}
_IR_VERSION, _OPSET = 9, 20
_LARGEST = (1 << 31) - 1


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1  # negative numbers as two's complement
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _prefix(field: int, length: int) -> bytes:
    return _varint(field << 3 | 2) + _varint(length)


def _message(field: int, data: bytes | str) -> bytes:
    raw = data.encode("utf-8") if isinstance(data, str) else data
    return _prefix(field, len(raw)) + raw


class Graph:
    """A graph under construction; values are known by name."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.nodes: list[bytes] = []
        self.inputs: list[bytes] = []
        self.outputs: list[bytes] = []
        self.weights: list[tuple[bytes, int, Callable[[], np.ndarray]]] = []
        self.constants: dict[Any, str] = {}

    def node(
        self, op: str, inputs: Sequence[str], outputs: int = 1, out: str = "", **attributes: Any
    ) -> Any:
        """Add a node; the name of its output, or a list of them."""
        stem = out or f"{op.lower()}.{len(self.nodes)}"
        names = [stem] if outputs == 1 else [f"{stem}.{i}" for i in range(outputs)]
        parts = [_message(1, name) for name in inputs] + [_message(2, name) for name in names]
        parts += [_message(4, op)]
        parts += [_message(5, _attribute(key, value)) for key, value in attributes.items()]
        self.nodes.append(b"".join(parts))
        return names[0] if outputs == 1 else names

    def weight(self, name: str, shape: Sequence[int], read: Callable[[], np.ndarray]) -> str:
        """float32 numbers, read when the file is written."""
        head = b"".join(_number(1, n) for n in shape) + _number(2, FLOAT) + _message(8, name)
        self.weights.append((head, 4 * math.prod(shape), read))
        return name

    def constant(self, value: Any, dtype: str = "int64") -> str:
        """A small array; the same one is written once."""
        array = np.asarray(value, dtype)
        key = (dtype, array.shape, array.tobytes())
        if key not in self.constants:
            name = f"constant.{len(self.constants)}"
            head = b"".join(_number(1, n) for n in array.shape)
            head += _number(2, _TYPES[dtype]) + _message(8, name)
            self.weights.append((head, array.nbytes, lambda: array))
            self.constants[key] = name
        return self.constants[key]

    def input(self, name: str, kind: int, shape: Sequence[int | str]) -> str:
        """An input; sizes that vary by name."""
        self.inputs.append(_value_info(name, kind, shape))
        return name

    def output(self, name: str, kind: int, shape: Sequence[int | str]) -> None:
        self.outputs.append(_value_info(name, kind, shape))

    def parts(self) -> Iterator[bytes | memoryview]:
        """The file's bytes, piece by piece.

        Raises:
            FormatError: when they are more than a protocol-buffer message can hold.
        """
        first = b"".join(_message(1, node) for node in self.nodes) + _message(2, self.name)
        last = b"".join(_message(11, i) for i in self.inputs)
        last += b"".join(_message(12, o) for o in self.outputs)
        heads = [
            _prefix(5, len(head) + len(_prefix(9, size)) + size) + head + _prefix(9, size)
            for head, size, _ in self.weights
        ]
        sizes = sum(size for _, size, _ in self.weights)
        length = len(first) + len(last) + sum(map(len, heads)) + sizes
        if length > _LARGEST - 1024:
            raise FormatError("ONNX", f"a file can have 2 GB, this model takes {length:,} bytes")
        opset = _message(8, _number(2, _OPSET))
        yield _number(1, _IR_VERSION) + _message(2, "descent") + opset + _prefix(7, length) + first
        for head, (_, _, read) in zip(heads, self.weights):
            yield head
            yield np.ascontiguousarray(read()).reshape(-1).view(np.uint8).data
        yield last


def _attribute(name: str, value: Any) -> bytes:
    """name · value · type (1 float, 2 int, 3 text, 7 ints)."""
    head = _message(1, name)
    if isinstance(value, float):
        return head + _varint(2 << 3 | 5) + struct.pack("<f", value) + _number(20, 1)
    if isinstance(value, int):
        return head + _number(3, value) + _number(20, 2)
    if isinstance(value, str):
        return head + _message(4, value) + _number(20, 3)
    return head + b"".join(_number(8, n) for n in value) + _number(20, 7)


def _value_info(name: str, kind: int, shape: Sequence[int | str]) -> bytes:
    dims = b"".join(
        _message(1, _message(2, n) if isinstance(n, str) else _number(1, n)) for n in shape
    )
    tensor = _number(1, kind) + _message(2, dims)
    return _message(1, name) + _message(2, _message(1, tensor))
