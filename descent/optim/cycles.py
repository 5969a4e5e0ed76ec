"""Schedules that rise and fall: one cycle (Smith & Topin 2017, arXiv:1708.07120), and cosine with
warm restarts (SGDR, Loshchilov & Hutter 2016, arXiv:1608.03983)."""

from __future__ import annotations

import math
from typing import Any

from descent.optim.optimizer import Optimizer
from descent.optim.stepping import LRScheduler

__all__ = ["CosineAnnealingWarmRestarts", "OneCycleLR"]


def _per_group(name: str, optimizer: Optimizer, value: Any) -> list[float]:
    n = len(optimizer.param_groups)
    if not isinstance(value, (list, tuple)):
        return [value] * n
    if len(value) != n:
        raise ValueError(f"expected {n} values for {name}, got {len(value)}")
    return list(value)


def _cosine(start: float, end: float, done: float) -> float:
    return end + (start - end) / 2.0 * (math.cos(math.pi * done) + 1)


def _line(start: float, end: float, done: float) -> float:
    return (end - start) * done + start


class OneCycleLR(LRScheduler):
    """lr: max_lr / div_factor → max_lr (at pct_start) → that start / final_div_factor.

    Momentum (or beta1) goes the other way, from max_momentum to base_momentum and back, unless
    `cycle_momentum=False`. `three_phase` returns to the start before the last fall.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: Any,
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: Any = 0.85,
        max_momentum: Any = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ValueError(
                    "You must define either total_steps OR (epochs AND steps_per_epoch)"
                )
            total_steps = epochs * steps_per_epoch
        if not isinstance(total_steps, int) or total_steps <= 0:
            raise ValueError(f"Expected positive integer total_steps, but got {total_steps}")
        if not 0 <= pct_start <= 1:
            raise ValueError(f"Expected float between 0 and 1 pct_start, but got {pct_start}")
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(
                f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}"
            )
        self.optimizer, self.total_steps = optimizer, total_steps
        self.anneal_strategy, self.cycle_momentum = anneal_strategy, cycle_momentum
        self._phases = _phases(pct_start * total_steps, total_steps, three_phase)
        if last_epoch == -1:
            for group, top in zip(optimizer.param_groups, _per_group("max_lr", optimizer, max_lr)):
                group["initial_lr"], group["max_lr"] = top / div_factor, top
                group["min_lr"] = group["initial_lr"] / final_div_factor
        if cycle_momentum:
            self._prepare_momentum(base_momentum, max_momentum, last_epoch)
        super().__init__(optimizer, last_epoch)

    def _prepare_momentum(self, low: Any, high: Any, last_epoch: int) -> None:
        defaults = self.optimizer.defaults
        if "momentum" not in defaults and "betas" not in defaults:
            raise ValueError(
                "optimizer must support momentum or beta1 with `cycle_momentum` option enabled"
            )
        lows = _per_group("base_momentum", self.optimizer, low)
        highs = _per_group("max_momentum", self.optimizer, high)
        if last_epoch == -1:
            for group, base, top in zip(self.optimizer.param_groups, lows, highs):
                _set_momentum(group, top)
                group["max_momentum"], group["base_momentum"] = top, base

    def get_lr(self) -> list[float]:
        if self.last_epoch > self.total_steps:
            raise ValueError(
                f"Tried to step {self.last_epoch} times. The specified number of total steps is "
                f"{self.total_steps}"
            )
        between = _cosine if self.anneal_strategy == "cos" else _line
        start = 0.0
        for phase in self._phases:
            if self.last_epoch <= phase[0]:
                break
            if phase is not self._phases[-1]:
                start = phase[0]
        end, lr_from, lr_to, momentum_from, momentum_to = phase
        done = (self.last_epoch - start) / (end - start)
        rates = []
        for group in self.optimizer.param_groups:
            rates.append(between(group[lr_from], group[lr_to], done))
            if self.cycle_momentum:
                _set_momentum(group, between(group[momentum_from], group[momentum_to], done))
        return rates


def _phases(peak: float, total: int, three: bool) -> list[tuple[float, str, str, str, str]]:
    """(last step, lr from, lr to, momentum from, momentum to) of every phase."""
    up = (peak - 1.0, "initial_lr", "max_lr", "max_momentum", "base_momentum")
    if not three:
        return [up, (total - 1, "max_lr", "min_lr", "base_momentum", "max_momentum")]
    down = (2 * peak - 2.0, "max_lr", "initial_lr", "base_momentum", "max_momentum")
    return [up, down, (total - 1, "initial_lr", "min_lr", "max_momentum", "max_momentum")]


def _set_momentum(group: dict[str, Any], value: float) -> None:
    if "betas" in group:
        group["betas"] = (value, *group["betas"][1:])
    else:
        group["momentum"] = value


class CosineAnnealingWarmRestarts(LRScheduler):
    """Cosine from the initial lr to eta_min in T_0 steps, again and again, each T_mult as long."""

    def __init__(
        self,
        optimizer: Optimizer,
        T_0: int,
        T_mult: int = 1,
        eta_min: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        if T_0 <= 0 or not isinstance(T_0, int):
            raise ValueError(f"Expected positive integer T_0, but got {T_0}")
        if T_mult < 1 or not isinstance(T_mult, int):
            raise ValueError(f"Expected integer T_mult >= 1, but got {T_mult}")
        self.T_0, self.T_i, self.T_mult, self.eta_min = T_0, T_0, T_mult, eta_min
        self.T_cur: float = last_epoch
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        half = (1 + math.cos(math.pi * self.T_cur / self.T_i)) / 2
        return [self.eta_min + (b - self.eta_min) * half for b in self.base_lrs]

    def step(self, epoch: float | None = None) -> None:
        """Next step, or any (also fractional) `epoch`: epoch + batch / batches moves smoothly."""
        if epoch is not None and epoch < 0:
            raise ValueError(f"Expected non-negative epoch, but got {epoch}")
        at = self.last_epoch + 1 if epoch is None else epoch
        self.T_cur, self.T_i = self._place(at)
        self.last_epoch = math.floor(at)
        for group, lr in zip(self.optimizer.param_groups, self.get_lr(), strict=True):
            group["lr"] = lr
        self._last_lr = self.lrs()

    def _place(self, at: float) -> tuple[float, int]:
        """How far into which period."""
        length = self.T_0
        if self.T_mult == 1:
            return at % length, length
        while at >= length:
            at -= length
            length *= self.T_mult
        return at, length
