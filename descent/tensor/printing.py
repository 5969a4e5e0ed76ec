"""Printing tensors as PyTorch does: 4 digits, edges of large tensors, dtype and history."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["to_string"]


def to_string(t: Any) -> str:
    """`tensor([1., 2.], requires_grad=True)`."""
    a = t.array
    body = np.array2string(a, separator=", ", prefix="tensor(", precision=4, threshold=1000)
    suffix = ""
    if a.dtype.name not in ("float32", "int64", "bool"):
        suffix += f", dtype=torch.{a.dtype.name}"
    if t.node is not None:
        suffix += f", grad_fn={t.node!r}"
    elif t.requires_grad:
        suffix += ", requires_grad=True"
    return f"tensor({body}{suffix})"
