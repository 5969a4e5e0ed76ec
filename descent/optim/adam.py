"""Adam and AdamW: steps of about lr in every direction, however large the gradients are.

    m ← β₁ m + (1 − β₁) g        v ← β₂ v + (1 − β₂) g²        m̂ = m/(1−β₁ᵗ), v̂ = v/(1−β₂ᵗ)
    θ ← θ − lr · m̂ / (√v̂ + eps)

Kingma & Ba 2014, arXiv:1412.6980. AdamW shrinks θ by lr · λ beforehand instead of adding λθ to g
(Loshchilov & Hutter 2017, arXiv:1711.05101). `amsgrad` divides by the largest v so far (Reddi et
al. 2018). `foreach`, `fused`, `capturable`, `differentiable` are accepted and change nothing.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from descent.optim.optimizer import Optimizer, blocks, check_at_least, moment, next_step

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

    def update(
        self, p: np.ndarray, g: np.ndarray, state: dict[str, Any], group: dict[str, Any]
    ) -> None:
        t = next_step(state)
        arrays = [p, g, moment(state, "exp_avg", p), moment(state, "exp_avg_sq", p)]
        if group["amsgrad"]:
            arrays.append(moment(state, "max_exp_avg_sq", p))
        beta1, beta2 = group["betas"]
        lr, decay = float(group["lr"]), group["weight_decay"]
        decoupled = group["decoupled_weight_decay"]
        adam_update(
            *arrays,
            rate=lr / (1 - beta1**t),
            shrink=math.sqrt(1 - beta2**t),
            beta1=beta1,
            beta2=beta2,
            eps=group["eps"],
            keep=1 - lr * decay if decoupled else 1,
            pull=0 if decoupled else decay,
        )


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


def adam_update(
    p: np.ndarray,
    g: np.ndarray,
    m: np.ndarray,
    v: np.ndarray,
    v_max: np.ndarray | None = None,
    *,
    rate: float,
    shrink: float,
    beta1: float,
    beta2: float,
    eps: float,
    keep: float,
    pull: float,
) -> None:
    """One step, in place, on arrays of one shape.

    Args:
        rate: lr / (1 − β₁ᵗ); shrink: √(1 − β₂ᵗ); keep: the factor of decoupled decay;
        pull: the λ of coupled decay.
    """
    arrays = (p, g, m, v) if v_max is None else (p, g, m, v, v_max)
    for pb, gb, mb, vb, *largest in blocks(*arrays):
        if keep != 1:
            pb *= keep
        if pull:
            gb = gb + pull * pb
        scratch = gb - mb
        scratch *= 1 - beta1
        mb += scratch
        np.multiply(gb, gb, out=scratch)
        scratch *= 1 - beta2
        vb *= beta2
        vb += scratch
        if largest:
            np.maximum(largest[0], vb, out=largest[0])
        np.sqrt(largest[0] if largest else vb, out=scratch)
        scratch /= shrink
        scratch += eps
        np.divide(mb, scratch, out=scratch)
        scratch *= rate
        pb -= scratch
