"""Weights of a row of logits, for drawing: one pass instead of four.

    m_j = exp((l_j − top) / T),   s_b = Σ m_j of each block b of 256

The sums let a draw find its block first (`descent.generate.drawing`). float32; the top is given,
so every exponent is at most 0. Left out: the draw itself.
"""

from __future__ import annotations

import numpy as np

from descent.kernel import kernel
from descent.ops.vectormath import exp32

__all__ = ["BLOCK", "masses"]

BLOCK = 256
ZERO = np.float32(0)


@kernel(reorder=True)
def masses(logits, top, scale, mass, sums):
    """Fills `mass` [V] with exp((logits − top) · scale) and `sums` [⌈V / 256⌉]."""
    for block in range(sums.shape[0]):
        start = block * BLOCK
        x, y = logits[start : start + BLOCK], mass[start : start + BLOCK]
        for i in range(x.shape[0]):
            y[i] = exp32((x[i] - top) * scale)
        total = ZERO
        for i in range(x.shape[0]):
            total += y[i]
        sums[block] = total
