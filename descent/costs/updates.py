"""What the optimiser's update costs: operations of the rule, and every array read and written once.

AdamW: reads θ, g, m, v, writes θ, m, v: 7 arrays of 4 bytes, about 13 operations per parameter
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from descent.costs.opcost import Cost

__all__ = ["clip_cost", "update_cost"]


def clip_cost(parameters: Iterable[Any]) -> Cost:
    """Σ g² over all gradients. Scaling them, where the norm is too large, is not counted."""
    sizes = [(p.grad.array.size, p.grad.array.nbytes) for p in parameters if p.grad is not None]
    return Cost(2 * sum(n for n, _ in sizes), sum(b for _, b in sizes))


# Operations per parameter, and arrays read or written besides θ (twice) and g (once).
_RULES = {"SGD": 2, "Adam": 12, "AdamW": 13, "RMSprop": 7, "Adagrad": 6}


def update_cost(optimizer: Any) -> Cost:
    """One step over every parameter that has a gradient (asked before its first step, the moments
    are not there yet and count as nothing)."""
    each, operations, n_bytes = _RULES.get(type(optimizer).__name__, 2), 0, 0
    for group in optimizer.param_groups:
        for p in group["params"]:
            if p.grad is None:
                continue
            slots = [getattr(s, "array", None) for s in optimizer.state[p].values()]
            moments = sum(a.nbytes for a in slots if a is not None and a.shape == p.array.shape)
            operations += each * p.array.size
            n_bytes += 2 * p.array.nbytes + p.grad.array.nbytes + 2 * moments
    return Cost(operations, n_bytes)
