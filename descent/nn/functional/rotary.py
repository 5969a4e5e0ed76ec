"""Rotary positions, see `ops.turning`; the angles are the model's (`models.rotary`)."""

from __future__ import annotations

from typing import Any

from descent.autograd import apply
from descent.ops import turning
from descent.tensor.common import operands

__all__ = ["rotary"]


def rotary(input: Any, cos: Any, sin: Any) -> Any:
    """Every head's pairs (i, i + D/2) turned by the angle of its position.

    Args:
        input: [B, T, H, D].
        cos, sin: [T, D/2], of the angle of each pair at each of the T positions. No gradient.
    """
    x, cos, sin = operands(input, cos, sin, floating=True)
    if x.array.ndim != 4 or cos.array.shape != (x.array.shape[1], x.array.shape[3] / 2):
        raise RuntimeError(
            f"rotary: input [B, T, H, D] and angles [T, D/2] are needed, got "
            f"{list(x.array.shape)} and {list(cos.array.shape)}"
        )
    return apply(turning.rotary, x, cos, sin)
