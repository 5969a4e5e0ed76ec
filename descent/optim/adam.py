"""Adam and AdamW: steps of about lr in every direction, however large the gradients are.

    m ← β₁ m + (1 − β₁) g        v ← β₂ v + (1 − β₂) g²        m̂ = m/(1−β₁ᵗ), v̂ = v/(1−β₂ᵗ)
    θ ← θ − lr · m̂ / (√v̂ + eps)

Kingma & Ba 2014, arXiv:1412.6980. AdamW shrinks θ by lr · λ beforehand instead of adding λθ to g
(Loshchilov & Hutter 2017, arXiv:1711.05101). `amsgrad` divides by the largest v so far (Reddi et
al. 2018). `foreach`, `fused`, `capturable`, `differentiable` are accepted and change nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from descent.op.updates import Update
from descent.ops import updates
from descent.optim.optimizer import Optimizer, check_at_least, moment, next_step, sign

__all__ = ["Adam", "AdamW"]


class Adam(Optimizer):
    """Adam; `weight_decay` λ adds λθ to the gradient."""

    decoupled = False

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        check_at_least(0, lr=lr, eps=eps, weight_decay=weight_decay)
        for i, beta in enumerate(betas):
            if not 0 <= beta < 1:
                raise ValueError(f"Invalid beta parameter at index {i}: {beta} (0 ≤ beta < 1)")
        defaults = {
            "lr": lr, "betas": tuple(betas), "eps": eps, "weight_decay": weight_decay,
            "amsgrad": amsgrad, "maximize": maximize,
            "decoupled_weight_decay": decoupled_weight_decay or self.decoupled,
        }  # fmt: skip
        super().__init__(params, defaults)

    def rule(self, group: dict[str, Any]) -> Update:
        return updates.adam_amsgrad if group["amsgrad"] else updates.adam

    def slots(
        self, p: np.ndarray, state: dict[str, Any], group: dict[str, Any]
    ) -> list[np.ndarray]:
        names = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")
        return [moment(state, name, p) for name in names[: 3 if group["amsgrad"] else 2]]

    def coefficients(self, state: dict[str, Any], group: dict[str, Any]) -> Sequence[float]:
        t = next_step(state)
        beta1, beta2 = group["betas"]
        lr, decay = float(group["lr"]), group["weight_decay"]
        keep, pull = (1 - lr * decay, 0.0) if group["decoupled_weight_decay"] else (1.0, decay)
        return (
            lr / (1 - beta1**t), math.sqrt(1 - beta2**t), beta2, 1 - beta1, 1 - beta2,
            group["eps"], keep, pull, sign(group),
        )  # fmt: skip


class AdamW(Adam):
    """Adam with weight decay apart from the gradient."""

    decoupled = True

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize)
