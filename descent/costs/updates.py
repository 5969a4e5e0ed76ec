"""What the optimiser's update costs: the rule's operations, every array read and written once.

AdamW: reads θ, g, m, v and writes θ, m, v: 7 arrays, 4 bytes each per parameter in float32
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from descent.costs.loops import count_operations
from descent.costs.opcost import Cost

__all__ = ["clip_cost", "update_cost"]


def clip_cost(parameters: Iterable[Any]) -> Cost:
    """Σ g² over all gradients. Scaling them, where the norm is too large, is not counted."""
    grads = [p.grad.array for p in parameters if p.grad is not None]
    return Cost(2 * sum(g.size for g in grads), sum(g.nbytes for g in grads))


def update_cost(optimizer: Any) -> Cost:
    """One step over every parameter that has a gradient."""
    operations, n_bytes = 0.0, 0
    for group in optimizer.param_groups:
        rule = optimizer.rule(group)
        each, passes = count_operations(rule.scalar, {}), len(rule.arrays) + len(rule.writes)
        for p in group["params"]:
            if p.grad is not None:
                operations += each * p.array.size
                n_bytes += passes * p.array.nbytes
    return Cost(operations, n_bytes)
