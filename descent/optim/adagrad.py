"""Adagrad: divide the gradient by the root of the sum of all its squares.

    s ← s + g²        θ ← θ − lr / (1 + (t − 1) · lr_decay) · g / (√s + eps)

Duchi, Hazan & Singer 2011. Sparse gradients are left out; `foreach`, `fused`, `differentiable` are
accepted and change nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from descent.optim.optimizer import Optimizer, blocks, check_at_least, moment, next_step

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

    def update(
        self, p: np.ndarray, g: np.ndarray, state: dict[str, Any], group: dict[str, Any]
    ) -> None:
        t = next_step(state)
        total = moment(state, "sum", p, group["initial_accumulator_value"])
        rate, decay = float(group["lr"]) / (1 + (t - 1) * group["lr_decay"]), group["weight_decay"]
        for pb, gb, sb in blocks(p, g, total):
            d = gb + decay * pb if decay else gb
            sb += d * d
            root = np.sqrt(sb)
            root += group["eps"]
            np.divide(d, root, out=root)
            root *= rate
            pb -= root
