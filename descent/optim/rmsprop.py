"""RMSprop: divide the gradient by a running root mean square of its past.

    v ← α v + (1 − α) g²        θ ← θ − lr · g / (√v + eps)

Hinton 2012, Coursera lecture 6e. `centered` divides by the standard deviation instead (Graves 2013,
arXiv:1308.0850); `momentum` gathers the divided gradients. `foreach`, `capturable` and
`differentiable` are accepted and change nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from descent.optim.optimizer import Optimizer, blocks, check_at_least, moment, next_step

__all__ = ["RMSprop"]


class RMSprop(Optimizer):
    """Root mean square propagation."""

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_at_least(0, lr=lr, eps=eps, weight_decay=weight_decay, momentum=momentum, alpha=alpha)
        defaults = {
            "lr": lr, "alpha": alpha, "eps": eps, "weight_decay": weight_decay,
            "momentum": momentum, "centered": centered, "maximize": maximize,
        }  # fmt: skip
        super().__init__(params, defaults)

    def update(
        self, p: np.ndarray, g: np.ndarray, state: dict[str, Any], group: dict[str, Any]
    ) -> None:
        next_step(state)
        arrays = [p, g, moment(state, "square_avg", p)]
        if group["momentum"] > 0:
            arrays.append(moment(state, "momentum_buffer", p))
        if group["centered"]:
            arrays.append(moment(state, "grad_avg", p))
        lr, alpha, decay = float(group["lr"]), group["alpha"], group["weight_decay"]
        for pb, gb, vb, *more in blocks(*arrays):
            d = gb + decay * pb if decay else gb
            vb *= alpha
            vb += (1 - alpha) * d * d
            if group["centered"]:
                mean = more[-1]
                mean += (1 - alpha) * (d - mean)
                root = np.sqrt(vb - mean * mean)
            else:
                root = np.sqrt(vb)
            root += group["eps"]
            step = np.divide(d, root, out=root)
            if group["momentum"] > 0:
                more[0] *= group["momentum"]
                more[0] += step
                step = more[0]
            pb -= lr * step
