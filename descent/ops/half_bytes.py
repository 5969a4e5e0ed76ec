"""Numbers in blocks of 4 bits, as they are kept for training over a frozen base (GGML's Q4_0).

    w ≈ d · (q − 8),  q in 0 … 15,  d = w of largest size / −8        32 numbers, 18 bytes

Byte j of a block holds number j below and number j + 16 above. Here the blocks of a matrix become
float32 again as a whole; products straight from the blocks are in `quantised`.
"""

from __future__ import annotations

import numpy as np

from descent.kernel import kernel

__all__ = ["BLOCK", "pack", "unpack"]

BLOCK = 32


def pack(w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(codes uint8 [n / 2], scales float16 [n / 32]) of float32 numbers; n a multiple of 32.

    Raises:
        ValueError: for another n.
    """
    if w.size % BLOCK:
        raise ValueError(f"{w.size} numbers are no blocks of {BLOCK}")
    rows = np.ascontiguousarray(w, np.float32).reshape(-1, BLOCK)
    largest = np.take_along_axis(rows, np.abs(rows).argmax(1)[:, None], 1)
    d = (largest / -8).astype(np.float16)
    inverse = np.divide(1, d, out=np.zeros_like(largest), where=d != 0, dtype=np.float32)
    q = np.clip(np.trunc(rows * inverse + 8.5), 0, 15).astype(np.uint8)
    return (q[:, :16] | q[:, 16:] << 4).reshape(-1), d.reshape(-1)


@kernel
def _widen(codes, scales, out):
    for b in range(scales.size):
        d = scales[b]
        for j in range(16):
            byte = np.int32(codes[b * 16 + j])
            out[b * 32 + j] = np.float32((byte & 15) - 8) * d
            out[b * 32 + 16 + j] = np.float32((byte >> 4) - 8) * d


def unpack(codes: np.ndarray, scales: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The numbers as float32 [shape]."""
    out = np.empty(scales.size * BLOCK, np.float32)
    _widen(codes, scales.astype(np.float32), out)
    return out.reshape(shape)
