"""Adagrad: divide the gradient by the root of the sum of all its squares.

    s ← s + g²        θ ← θ − lr / (1 + (t − 1) · lr_decay) · g / (√s + eps)

Duchi, Hazan & Singer 2011. Sparse gradients are left out; `foreach`, `fused`, `differentiable` are
accepted and change nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from descent.op.updates import Update
from descent.ops import updates
from descent.optim.optimizer import Optimizer, check_at_least, moment, next_step, sign

__all__ = ["Adagrad"]


class Adagrad(Optimizer):
    """Adaptive gradient: rare directions keep a large step."""

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_at_least(
            0, lr=lr, lr_decay=lr_decay, weight_decay=weight_decay, eps=eps,
            initial_accumulator_value=initial_accumulator_value,
        )  # fmt: skip
        defaults = {
            "lr": lr, "lr_decay": lr_decay, "eps": eps, "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value, "maximize": maximize,
        }  # fmt: skip
        super().__init__(params, defaults)

    def rule(self, group: dict[str, Any]) -> Update:
        return updates.adagrad

    def slots(
        self, p: np.ndarray, state: dict[str, Any], group: dict[str, Any]
    ) -> list[np.ndarray]:
        return [moment(state, "sum", p, group["initial_accumulator_value"])]

    def coefficients(self, state: dict[str, Any], group: dict[str, Any]) -> Sequence[float]:
        t = next_step(state)
        rate = float(group["lr"]) / (1 + (t - 1) * group["lr_decay"])
        return rate, group["eps"], group["weight_decay"], sign(group)
