"""Dropout: in training, zero each number with probability p and scale the rest by 1 / (1 − p).

Srivastava et al. 2014. In evaluation, and with p = 0, it is the identity.
"""

from __future__ import annotations

from typing import Any

from descent.nn import functional as F
from descent.nn.module import Module

__all__ = ["AlphaDropout", "Dropout", "Dropout1d"]


class _Dropout(Module):
    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
        self.p, self.inplace = p, inplace

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropout):
    """Single numbers are dropped."""

    def forward(self, x: Any) -> Any:
        return F.dropout(x, self.p, self.training, self.inplace)


class Dropout1d(_Dropout):
    """Whole channels of [B, C, T] are dropped."""

    def forward(self, x: Any) -> Any:
        return F.dropout1d(x, self.p, self.training, self.inplace)


class AlphaDropout(_Dropout):
    """Dropout that keeps mean and variance, for SELU (Klambauer et al. 2017, arXiv:1706.02515)."""

    def forward(self, x: Any) -> Any:
        return F.alpha_dropout(x, self.p, self.training)
