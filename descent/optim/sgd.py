"""Stochastic gradient descent.

    v ← momentum · v + (1 − dampening) g           θ ← θ − lr · v
    Nesterov:                                      θ ← θ − lr · (g + momentum · v)

Robbins & Monro 1951; Polyak 1964; Sutskever et al. 2013. The first v is g itself, undamped.
`weight_decay` λ adds λθ to g. `foreach`, `fused`, `differentiable` are accepted and change nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from descent.op.updates import Update
from descent.ops import updates
from descent.optim.optimizer import Optimizer, check_at_least, moment, sign

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

    def rule(self, group: dict[str, Any]) -> Update:
        if not group["momentum"]:
            return updates.sgd
        return updates.sgd_nesterov if group["nesterov"] else updates.sgd_momentum

    def slots(
        self, p: np.ndarray, state: dict[str, Any], group: dict[str, Any]
    ) -> list[np.ndarray]:
        if not group["momentum"]:
            return []
        if state.get("momentum_buffer") is None:
            state["fresh"] = True  # until the coefficients of the first step are known
        return [moment(state, "momentum_buffer", p)]

    def coefficients(self, state: dict[str, Any], group: dict[str, Any]) -> Sequence[float]:
        plain = (float(group["lr"]), group["weight_decay"], sign(group))
        if not group["momentum"]:
            return plain
        first = state.pop("fresh", False)
        return (*plain, group["momentum"], 1.0 if first else 1.0 - group["dampening"])
