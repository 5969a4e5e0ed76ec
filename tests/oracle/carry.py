"""Carry a PyTorch sample to another library: same values, number types, strides and aliases.

What Descent leaves out by design is refused here, each with its reason, and counted by the caller:
nothing is skipped without a word. `RULES` is the whole list.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

__all__ = ["RULES", "Carrier", "LeftOut", "check_output"]

COMPLEX = "complex numbers"
SPARSE = "sparse or other layouts"
NUMBERS = "number types beyond float16/32/64, int8–64, uint8, bool"
MEMORY = "memory formats other than contiguous"
DEVICE = "devices other than the CPU"
OUT = "out= arguments"
OBJECT = "a PyTorch object as an argument"
UPSTREAM = "PyTorch itself raises (views into a larger storage are carried without the rest of it)"

RULES = (COMPLEX, SPARSE, NUMBERS, MEMORY, DEVICE, OUT, OBJECT, UPSTREAM)

DTYPES = frozenset(
    getattr(torch, n) for n in "float16 float32 float64 int8 int16 int32 int64 uint8 bool".split()
)
KEPT_FORMATS = (torch.contiguous_format, torch.preserve_format)


class LeftOut(Exception):
    """This sample needs something that is left out by design; the message is one of `RULES`."""


class Carrier:
    """Converts one sample to `ns` (a namespace like torch); keeps the leaves that need a gradient.

    widen: float32 tensors become float64 ones.
    """

    def __init__(self, ns: Any, *, widen: bool = False) -> None:
        self.ns, self.widen = ns, widen
        self.leaves: list[Any] = []
        self._seen: dict[int, Any] = {}

    def __call__(self, x: Any) -> Any:
        if isinstance(x, torch.Tensor):
            if id(x) not in self._seen:  # one tensor given twice stays one tensor
                self._seen[id(x)] = self._tensor(x)
            return self._seen[id(x)]
        if isinstance(x, (list, tuple)):
            items = [self(i) for i in x]
            return items if isinstance(x, list) else tuple(items)
        if isinstance(x, dict):
            if x.get("out") is not None:
                raise LeftOut(OUT)
            return {k: self(v) for k, v in x.items()}
        if isinstance(x, slice):
            return slice(self(x.start), self(x.stop), self(x.step))
        return self._plain(x)

    def _plain(self, x: Any) -> Any:
        if isinstance(x, complex):
            raise LeftOut(COMPLEX)
        if x is None or x is Ellipsis or isinstance(x, (bool, int, float, str, np.ndarray)):
            return x
        if isinstance(x, torch.dtype):
            _check_dtype(x)
            return getattr(self.ns, str(x).removeprefix("torch."))
        if isinstance(x, torch.device):
            if x.type != "cpu":
                raise LeftOut(DEVICE)
            return "cpu"
        if isinstance(x, torch.memory_format):
            if x not in KEPT_FORMATS:
                raise LeftOut(MEMORY)
            return getattr(self.ns, str(x).removeprefix("torch."))
        if isinstance(x, torch.layout):
            if x is not torch.strided:
                raise LeftOut(SPARSE)
            return self.ns.strided
        if isinstance(x, torch.Generator):
            return self.ns.Generator().manual_seed(x.initial_seed())
        raise LeftOut(OBJECT)

    def _tensor(self, x: torch.Tensor) -> Any:
        check_output(x)
        if x.device.type != "cpu":
            raise LeftOut(DEVICE)
        values = _same_strides(x)
        if self.widen and values.dtype == np.float32:
            values = values.astype(np.float64)
        carried = self.ns.from_numpy(values)
        if x.requires_grad:
            carried.requires_grad_()
            self.leaves.append(carried)
        return carried


def check_output(x: Any) -> None:
    """Raise LeftOut when a tensor is of a kind that Descent has no counterpart for."""
    if isinstance(x, complex):
        raise LeftOut(COMPLEX)
    if not isinstance(x, torch.Tensor):
        return
    if x.layout is not torch.strided or x.is_quantized:
        raise LeftOut(SPARSE)
    _check_dtype(x.dtype)


def _check_dtype(dtype: torch.dtype) -> None:
    if dtype.is_complex:
        raise LeftOut(COMPLEX)
    if dtype not in DTYPES:
        raise LeftOut(NUMBERS)


def _same_strides(x: torch.Tensor) -> np.ndarray:
    """A NumPy copy of the tensor's whole storage, seen through the same offset and strides."""
    x = x.detach().resolve_neg()
    storage = torch.empty(0, dtype=x.dtype).set_(x.untyped_storage())
    flat = storage.numpy().copy()[x.storage_offset() :]
    strides = [s * flat.itemsize for s in x.stride()]
    if x.numel() == 0:
        return np.empty(tuple(x.shape), flat.dtype)
    return np.lib.stride_tricks.as_strided(flat, tuple(x.shape), strides)
