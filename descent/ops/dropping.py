"""Dropout: while training, every number is dropped with probability p, the others grow by 1/(1−p).

y = x m,   m ∈ {0, 1/(1−p)}        dx = dy m

Srivastava et al. 2014, JMLR 15. The mask is drawn outside: ops are functions of their inputs.
"""

from __future__ import annotations

from descent.op import elementwise

__all__ = ["dropout"]


@elementwise
def dropout(x, mask):
    """x where the mask keeps it, scaled; 0 where not."""
    return x * mask


@dropout.grad("x")
def _(mask, dy):
    return dy * mask
