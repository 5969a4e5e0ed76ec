"""Gumbel-softmax: a differentiable draw from a categorical distribution.

    y = softmax((logits + g) / τ),   g_i = −ln e_i,  e_i ~ Exponential(1)

Jang et al. 2016, arXiv:1611.01144; Maddison et al. 2016, arXiv:1611.00712. `hard=True` gives the
one-hot choice with the gradient of the soft one (straight through).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from descent import random
from descent.autograd import wrap
from descent.tensor.common import axis
from descent.tensor.probability import softmax

__all__ = ["gumbel_softmax"]


def gumbel_softmax(
    logits: Any, tau: float = 1.0, hard: bool = False, eps: float = 1e-10, dim: int = -1
) -> Any:
    """Probabilities (or, if `hard`, a one-hot choice) of the shape of the logits; `eps` is unused.

    Raises:
        IndexError: for a `dim` the logits do not have.
    """
    dim = axis(dim, logits.array.ndim)
    noise = -np.log(random.exponential(logits.array.shape, dtype=logits.array.dtype))
    soft = softmax((logits + wrap(noise)) / tau, dim)
    if not hard:
        return soft
    chosen = np.zeros_like(soft.array)
    np.put_along_axis(chosen, soft.array.argmax(dim, keepdims=True), 1, dim)
    return wrap(chosen) - soft.detach() + soft
