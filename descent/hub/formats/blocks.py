"""Weights in blocks of few bits: each block of numbers shares a scale.   w ≈ d · q (− m)

    Q8_0   32 numbers:  d float16, q int8                                        8.5 bits a number
    Q4_0   32 numbers:  d float16, 4 bits each, w = d · (q − 8)                  4.5
    Q4_K   256 numbers: 8 groups with 6-bit scale and minimum, w = d·s·q − dmin·m
    Q6_K   256 numbers: 16 groups with 8-bit scale, w = d · s · (q − 32)         6.6

Layouts as in GGML (github.com/ggml-org/ggml, ggml-common.h, `block_q*`), which GGUF files hold.
Quantising is there for Q8_0 and Q4_0. Left out: the other K kinds and the I kinds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

__all__ = ["BLOCKS", "BlockLayout", "Quantised", "quantise"]


_AT_A_TIME = 1 << 13  # blocks whose numbers stay in the cache


class BlockLayout(NamedTuple):
    """How many numbers a block holds, its bytes as a NumPy record, and how to get them back."""

    numbers: int
    dtype: np.dtype
    dequantise: Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Quantised:
    """A weight matrix in blocks along its last axis.

    `blocks` is a record array [..., K / numbers] of the layout's dtype (field `d`: scales, `qs`:
    the packed numbers); `shape` is the shape of the numbers, [..., K].
    """

    kind: str
    shape: tuple[int, ...]
    blocks: np.ndarray

    def dequantise(self) -> np.ndarray:
        """The numbers as float32, in `shape`."""
        flat = self.blocks.reshape(-1)
        numbers = BLOCKS[self.kind].dequantise(flat)
        return numbers.reshape(self.shape)

    def __getitem__(self, rows: Any) -> Quantised:
        """Some rows, or all in another order."""
        blocks = self.blocks[rows]
        return Quantised(self.kind, (*blocks.shape[:-1], self.shape[-1]), blocks)

    @property
    def nbytes(self) -> int:
        return self.blocks.nbytes


def _q8_0(blocks: np.ndarray) -> np.ndarray:
    return blocks["qs"] * blocks["d"].astype(np.float32)[:, None]


def _q4_0(blocks: np.ndarray) -> np.ndarray:
    """Byte j holds number j below and number j + 16 above."""
    packed = blocks["qs"]
    q = np.concatenate([packed & 15, packed >> 4], axis=1).astype(np.int8) - np.int8(8)
    return q * blocks["d"].astype(np.float32)[:, None]


def _q4_k(blocks: np.ndarray) -> np.ndarray:
    """Scales and minima: eight of 6 bits each in 12 bytes, the last four split over two places."""
    s = blocks["scales"]
    scale = np.concatenate([s[:, :4] & 63, (s[:, 8:] & 15) | (s[:, :4] >> 6 << 4)], axis=1)
    least = np.concatenate([s[:, 4:8] & 63, (s[:, 8:] >> 4) | (s[:, 4:8] >> 6 << 4)], axis=1)
    packed = blocks["qs"].reshape(-1, 4, 1, 32)
    q = np.concatenate([packed & 15, packed >> 4], axis=2).reshape(-1, 8, 32)
    d = blocks["d"].astype(np.float32)[:, None] * scale
    m = blocks["dmin"].astype(np.float32)[:, None] * least
    return d[:, :, None] * q - m[:, :, None]


def _q6_k(blocks: np.ndarray) -> np.ndarray:
    """4 bits in `ql`, the upper 2 in `qh`; each half of 128 numbers is four rows of 32."""
    low, high = blocks["ql"].reshape(-1, 2, 1, 64), blocks["qh"].reshape(-1, 2, 1, 32)
    low = np.concatenate([low & 15, low >> 4], axis=2).reshape(-1, 2, 4, 32)
    shifts = np.array([0, 2, 4, 6], np.uint8).reshape(1, 1, 4, 1)
    q = (low | ((high >> shifts & 3) << 4)).astype(np.int8) - np.int8(32)
    d = blocks["d"].astype(np.float32)[:, None] * blocks["scales"]
    return d[:, :, None] * q.reshape(-1, 16, 16)


def _layout(numbers: int, fields: list[Any], back: Callable[..., Any]) -> BlockLayout:
    return BlockLayout(numbers, np.dtype(fields), back)


BLOCKS: dict[str, BlockLayout] = {
    "Q8_0": _layout(32, [("d", "<f2"), ("qs", "i1", 32)], _q8_0),
    "Q4_0": _layout(32, [("d", "<f2"), ("qs", "u1", 16)], _q4_0),
    "Q4_K": _layout(
        256, [("d", "<f2"), ("dmin", "<f2"), ("scales", "u1", 12), ("qs", "u1", 128)], _q4_k
    ),
    "Q6_K": _layout(
        256, [("ql", "u1", 128), ("qh", "u1", 64), ("scales", "i1", 16), ("d", "<f2")], _q6_k
    ),
}


def quantise(array: Any, kind: str) -> Quantised:
    """Round a matrix to blocks: Q8_0 or Q4_0, as GGML's reference does.

    Args:
        array: float numbers [..., K], K a multiple of 32.

    Raises:
        ValueError: for another kind or width.
    """
    x = np.asarray(array, np.float32)
    if kind not in ("Q8_0", "Q4_0"):
        raise ValueError(f"quantising is there for Q8_0 and Q4_0, not {kind}")
    if x.ndim < 1 or x.shape[-1] % 32:
        raise ValueError(f"{kind} needs rows of a multiple of 32 numbers: got shape {x.shape}")
    groups = x.reshape(-1, 32)
    blocks = np.empty(len(groups), BLOCKS[kind].dtype)
    rounded = _to_q8_0 if kind == "Q8_0" else _to_q4_0
    for i in range(0, len(groups), _AT_A_TIME):
        rounded(groups[i : i + _AT_A_TIME], blocks[i : i + _AT_A_TIME])
    return Quantised(kind, x.shape, blocks.reshape(*x.shape[:-1], x.shape[-1] // 32))


def _to_q8_0(x: np.ndarray, blocks: np.ndarray) -> None:
    """The largest of a block becomes ±127; halves are rounded away from zero, as C's roundf."""
    d = np.abs(x).max(1) / np.float32(127)
    scaled = x * _inverse(d)[:, None]
    blocks["d"] = d
    blocks["qs"] = np.trunc(scaled + np.copysign(np.float32(0.5), scaled))


def _to_q4_0(x: np.ndarray, blocks: np.ndarray) -> None:
    """The number of largest size becomes −8, so that sixteen steps reach from it past zero."""
    largest = x[np.arange(len(x)), np.abs(x).argmax(1)]
    d = largest / np.float32(-8)
    q = np.minimum(15, np.trunc(x * _inverse(d)[:, None] + np.float32(8.5))).astype(np.uint8)
    blocks["d"] = d
    blocks["qs"] = q[:, :16] | (q[:, 16:] << 4)


def _inverse(d: np.ndarray) -> np.ndarray:
    return np.divide(1, d, out=np.zeros_like(d), where=d != 0)
