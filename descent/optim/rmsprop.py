"""RMSprop: divide the gradient by a running root mean square of its past.

    v ← α v + (1 − α) g²        θ ← θ − lr · g / (√v + eps)

Hinton 2012, Coursera lecture 6e. `centered` divides by the standard deviation instead (Graves 2013,
arXiv:1308.0850); `momentum` gathers the divided gradients. `foreach`, `capturable` and
`differentiable` are accepted and change nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from descent.op.updates import Update
from descent.ops import updates
from descent.optim.optimizer import Optimizer, check_at_least, moment, next_step, sign

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

    def rule(self, group: dict[str, Any]) -> Update:
        if group["centered"]:
            momentum, plain = updates.rmsprop_centered_momentum, updates.rmsprop_centered
        else:
            momentum, plain = updates.rmsprop_momentum, updates.rmsprop
        return momentum if group["momentum"] > 0 else plain

    def slots(
        self, p: np.ndarray, state: dict[str, Any], group: dict[str, Any]
    ) -> list[np.ndarray]:
        names = ["square_avg"]
        names += ["momentum_buffer"] if group["momentum"] > 0 else []
        names += ["grad_avg"] if group["centered"] else []
        return [moment(state, name, p) for name in names]

    def coefficients(self, state: dict[str, Any], group: dict[str, Any]) -> Sequence[float]:
        next_step(state)
        alpha, momentum = group["alpha"], group["momentum"]
        plain = (
            float(group["lr"]), alpha, 1 - alpha, group["eps"], group["weight_decay"], sign(group)
        )  # fmt: skip
        return (*plain, momentum) if momentum > 0 else plain
