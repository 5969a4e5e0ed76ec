"""Making a batch of single items: numbers and tensors are stacked, containers go item by item."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from descent import Tensor, as_tensor, float64, from_numpy, stack, tensor

__all__ = ["default_collate", "default_convert"]


def default_collate(batch: Any) -> Any:
    """Tensors, arrays, numbers → one tensor with a new first axis; strings stay a list.

    Mappings, named tuples and sequences are collated member by member (tuples become lists).

    Raises:
        TypeError: for items of another kind; RuntimeError: for sequences of different lengths.
    """
    first = batch[0]
    if isinstance(first, Tensor):
        return stack(batch, 0)
    if isinstance(first, np.ndarray) and first.dtype.kind not in "SUO":
        return stack([as_tensor(item) for item in batch], 0)
    if isinstance(first, (np.number, np.bool_)):
        return as_tensor(np.array(batch))
    if isinstance(first, float):
        return tensor(batch, dtype=float64)
    if isinstance(first, int):
        return tensor(batch)
    if isinstance(first, (str, bytes)):
        return batch
    if isinstance(first, (Mapping, Sequence)):
        return _by_member(batch, first)
    raise TypeError(
        "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; "
        f"found {type(first)}"
    )


def _by_member(batch: Any, first: Any) -> Any:
    if isinstance(first, Mapping):
        return _like(first, {key: default_collate([d[key] for d in batch]) for key in first})
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return type(first)(*(default_collate(members) for members in zip(*batch)))
    if len({len(item) for item in batch}) > 1:
        raise RuntimeError("each element in list of batch should be of equal size")
    return [default_collate(members) for members in zip(*batch)]


def _like(mapping: Any, members: dict[Any, Any]) -> Any:
    try:  # keeps OrderedDict, defaultdict and the user's own mappings what they are
        twin = copy.copy(mapping)
        twin.update(members)
        return twin
    except (TypeError, AttributeError):
        return members


def default_convert(data: Any) -> Any:
    """Arrays as tensors, at every depth; everything else as it is."""
    if isinstance(data, np.ndarray) and data.dtype.kind not in "SUO":
        return from_numpy(data)
    if isinstance(data, (np.number, np.bool_)):
        return as_tensor(np.array(data))
    if isinstance(data, Mapping):
        return _like(data, {key: default_convert(value) for key, value in data.items()})
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return type(data)(*(default_convert(d) for d in data))
    if isinstance(data, (list, tuple)):
        return [default_convert(d) for d in data]
    return data
