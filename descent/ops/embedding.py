"""Embedding: a table with one row per symbol, and the row of every id.

y_n = w[ids_n]        dw_v = Σ_{n: ids_n = v} dy_n

A movement: every output number is a copy of one number of the table. Bengio et al. 2003, the matrix
C of section 2.
"""

from __future__ import annotations

from math import prod

import numpy as np

from descent.op import movement
from descent.ops.rowsums import add_rows

__all__ = ["embedding"]


@movement
def embedding(w, ids, padding_idx):
    """Rows of the table w [V, C] for integer ids of any shape; `padding_idx` gets no gradient."""
    return w.take(ids, 0)


@embedding.grad
def _(dy, shape, ids, padding_idx):
    dw = scatter_add(dy.reshape(ids.size, *shape[1:]), ids.reshape(-1), shape)
    if padding_idx is not None:
        dw[padding_idx] = 0
    return dw


def scatter_add(rows: np.ndarray, ids: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Zeros of `shape` with every row added at its id."""
    return add_rows(rows.reshape(ids.size, prod(shape[1:])), ids, shape[0]).reshape(shape)
