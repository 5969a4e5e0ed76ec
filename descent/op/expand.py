"""Expand one element of an op's output into its scalar graph.

The uncompiled loops run on just the slices that feed the element, with a labelled `Value` for
every float; the `Value` that comes out carries the whole expression with its local derivatives.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from descent.scalar import Value

if TYPE_CHECKING:
    from descent.op.declared import Op

__all__ = ["expand", "index_array", "lift", "subscript"]


def index_array(a: np.ndarray) -> np.ndarray:
    """An int64 array of the same shape holding each element's flat position."""
    return np.arange(a.size).reshape(a.shape)


def subscript(name: str, flat: int, shape: tuple[int, ...]) -> str:
    """`x[3, 5]`: the name of one element, from its flat position."""
    if not shape:
        return name
    return f"{name}[{', '.join(str(int(i)) for i in np.unravel_index(int(flat), shape))}]"


def lift(name: str, part: np.ndarray, ids: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """An object array of `Value`s for a slice of input `name`; integers and booleans stay as is.

    Args:
        part: the slice; ids: flat positions of its elements in the user's array of this shape.
    """
    if part.dtype.kind not in "fc":
        return part
    values = np.empty(part.shape, object)
    for at in np.ndindex(part.shape):
        values[at] = Value(float(part[at]), label=subscript(name, int(ids[at]), shape))
    return values


def expand(
    op: Op, arrays: Sequence[np.ndarray], index: tuple[int, ...], meta: dict[str, Any], output: int
) -> Value:
    """The `Value` graph of `outputs[output][index]`, index in the user's shape."""
    lowered, plan = op.lower.down(op, arrays, meta)
    ids = op.lower.down(op, [index_array(a) for a in arrays], meta)[0]
    shapes = op.axes.out_shapes(op.axes.sizes(op.name, [a.shape for a in lowered]))
    size = int(np.prod(shapes[output], dtype=int))
    positions = op.lower.up(op, plan, output, np.arange(size).reshape(shapes[output]))
    canonical = np.unravel_index(int(positions[tuple(index)]), shapes[output])
    slices, local = op.axes.reads([int(i) for i in canonical], output)
    parts = [
        lift(name, low[s], where[s], a.shape)
        for name, low, where, s, a in zip(op.inputs, lowered, ids, slices, arrays)
    ]
    outs = op.allocate(parts, object)
    op.ladder.loops.py(*parts, *outs, *(meta[m] for m in op.metas))
    result = outs[output][local]
    return result if isinstance(result, Value) else Value(float(result))
