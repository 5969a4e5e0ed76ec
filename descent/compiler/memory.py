"""Whose memory an array is: buffers of a capture, found by address."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from typing import Any

import numpy as np

from descent.autograd import TensorBase
from descent.compiler.graph import Buffer, View
from descent.compiler.shadow import Shadow, Unsupported

__all__ = ["POISON", "Memory"]

Array = np.ndarray
POISON = 0x7FC0DEAD  # a NaN that says where it comes from
_HISTORY = ("node", "requires_grad", "base", "view_of", "hooks", "_history", "retains_grad")


class Memory:
    """The part of a capture that knows buffers and shadows."""

    buffers: list[Buffer]
    kept: list[tuple[Any, Array]]
    _starts: list[int]
    _by_start: dict[int, Buffer]
    _before: set[int]
    _grads_before: dict[int, Any]
    _histories: dict[int, dict[str, Any]]
    _shadows: dict[int, Any]

    def temporary(self, shape: Sequence[int], dtype: Any) -> Shadow:
        """New memory for a result."""
        array = _unread(np.empty(max(int(np.prod(shape, dtype=int)), 1), dtype))
        self._register(Buffer(len(self.buffers), "temporary", array))
        return array[: int(np.prod(shape, dtype=int))].reshape(shape).view(Shadow)

    def new_buffer(self, size: int, dtype: Any) -> Buffer:
        """Memory for a temporary made after the capture."""
        self._register(Buffer(len(self.buffers), "temporary", np.empty(size, dtype)))
        return self.buffers[-1]

    def argument(self, t: Any, position: int) -> None:
        """Memory for a tensor that each call brings anew."""
        array = _unread(np.empty(t.array.shape, t.array.dtype), 1 << 24)
        flat = array.reshape(-1) if array.size else np.empty(1, array.dtype)
        self._register(Buffer(len(self.buffers), "argument", flat, position))
        self._swap(t, array.view(Shadow))

    def shadow(self, t: Any) -> Shadow:
        """The shadow a tensor holds; a tensor met for the first time gets one."""
        array = t.array
        if isinstance(array, Shadow):
            return array
        if (buffer := self._owner(array)) is not None:
            if buffer.kind in ("kept", "constant"):
                self._swap(t, array.view(Shadow), inside=id(t) not in self._before)
            return t.array.view(Shadow)
        kind = "kept" if id(t) in self._before else "constant"
        root = _root(array)
        flat = root.reshape(-1) if root.flags.c_contiguous else _span(array)
        if not flat.size:
            flat = np.empty(1, array.dtype)
        self._register(Buffer(len(self.buffers), kind, flat, t if kind == "kept" else flat))
        self._swap(t, array.view(Shadow), inside=kind == "constant")
        return t.array

    def _swap(self, t: Any, shadow: Shadow, inside: bool = False) -> None:
        if t.node is not None and not inside:
            raise Unsupported("a tensor that was computed outside the step and has a history there")
        self.kept.append((t, t.array))
        self._grads_before[id(t)] = t.grad
        self._histories[id(t)] = {} if inside else {n: getattr(t, n) for n in _HISTORY}
        self._shadows[id(t)] = shadow
        t.array = shadow
        if t.grad is not None and isinstance(t.grad, TensorBase):
            self.shadow(t.grad)

    def _register(self, buffer: Buffer) -> None:
        start = buffer.array.__array_interface__["data"][0]
        bisect.insort(self._starts, start)
        self._by_start[start] = buffer
        self.buffers.append(buffer)

    def _owner(self, array: Array) -> Buffer | None:
        address = array.__array_interface__["data"][0]
        i = bisect.bisect_right(self._starts, address) - 1
        if i < 0:
            return None
        buffer = self._by_start[self._starts[i]]
        inside = address < self._starts[i] + max(buffer.array.nbytes, 1)
        return buffer if inside and buffer.dtype == array.dtype else None

    def _owner_of(self, t: Any) -> Buffer | None:
        """The buffer of a tensor's memory."""
        array = next((a for u, a in self.kept if u is t), t.array)
        return self._owner(array)

    def view(self, x: Any) -> View:
        """Where the elements of a shadow (or of a constant array) stand."""
        array = x.view(np.ndarray) if isinstance(x, np.ndarray) else np.asarray(x)
        buffer = self._owner(array)
        if buffer is None:
            if isinstance(x, Shadow):
                raise Unsupported("an array over the memory of a tensor in another dtype")
            array = np.array(array, order="C")
            flat = array.reshape(-1) if array.size else np.empty(1, array.dtype)
            self._register(Buffer(len(self.buffers), "constant", flat, flat))
            buffer = self.buffers[-1]
        start = buffer.array.__array_interface__["data"][0]
        size = array.itemsize
        offset = (array.__array_interface__["data"][0] - start) // size
        return View(buffer, offset, array.shape, tuple(s // size for s in array.strides))


def _unread(array: Array, most: int = 1 << 15) -> Array:
    """Memory that nobody may read, filled so that it shows when somebody does: a NaN of a kind of
    its own, which is looked for among the constants, or a place far outside every array."""
    if array.dtype == np.float32 and array.nbytes <= most:
        array.view(np.uint32)[...] = POISON
    elif array.dtype.kind in "iu" and array.nbytes <= 1 << 24:
        array[...] = np.iinfo(array.dtype).max - 7
    return array


def _root(array: Array) -> Array:
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array.view(np.ndarray)


def _span(array: Array) -> Array:
    """The memory a strided array can touch, as one row."""
    low = sum((n - 1) * s for n, s in zip(array.shape, array.strides) if s < 0)
    high = sum((n - 1) * s for n, s in zip(array.shape, array.strides) if s > 0)
    n = (high - low) // array.itemsize + 1
    first = array[tuple(0 if s >= 0 else -1 for s in array.strides)]
    return np.lib.stride_tricks.as_strided(np.asarray(first), (n,), (array.itemsize,))
