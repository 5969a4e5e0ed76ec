"""Stochastic gradient descent.

    v ← momentum · v + (1 − dampening) g           θ ← θ − lr · v
    Nesterov:                                      θ ← θ − lr · (g + momentum · v)

Robbins & Monro 1951; Polyak 1964; Sutskever et al. 2013. The first v is g itself, undamped.
`weight_decay` λ adds λθ to g. `foreach`, `fused`, `differentiable` are accepted and change nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from descent.optim.optimizer import Optimizer, blocks, check_at_least
from descent.tensor import Tensor

__all__ = ["SGD"]


class SGD(Optimizer):
    """Gradient descent, with momentum when asked for."""

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_at_least(0, lr=lr, momentum=momentum, weight_decay=weight_decay)
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        defaults = {
            "lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay,
            "nesterov": nesterov, "maximize": maximize,
        }  # fmt: skip
        super().__init__(params, defaults)

    def update(
        self, p: np.ndarray, g: np.ndarray, state: dict[str, Any], group: dict[str, Any]
    ) -> None:
        lr, momentum, decay = float(group["lr"]), group["momentum"], group["weight_decay"]
        v = state.get("momentum_buffer") if momentum else None
        fresh = bool(momentum) and v is None
        if fresh:
            v = state["momentum_buffer"] = Tensor(np.empty(p.shape, p.dtype))
        arrays = (p, g) if v is None else (p, g, v.array)
        for pb, gb, *vb in blocks(*arrays):
            d = gb + decay * pb if decay else gb
            if vb:
                d = _with_momentum(d, vb[0], fresh, momentum, group)
            pb -= lr * d


def _with_momentum(
    d: np.ndarray, v: np.ndarray, fresh: bool, momentum: float, group: dict[str, Any]
) -> np.ndarray:
    if fresh:
        v[...] = d
    else:
        v *= momentum
        v += d if not group["dampening"] else (1 - group["dampening"]) * d
    return d + momentum * v if group["nesterov"] else v
