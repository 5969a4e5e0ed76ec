"""Cortex' autoscaler, decision for decision, as a function of the load, the replicas and the past.

    raw = average in flight / target_in_flight,  rec = ⌈raw⌉
    rec = cur            where cur·(1−downscale_tolerance) < raw < cur·(1+upscale_tolerance)
    rec ≥ min(cur−1, ⌈cur·max_downscale_factor⌉)        rec ≤ max(cur+1, ⌈cur·max_upscale_factor⌉)
    min_replicas ≤ rec ≤ max_replicas, and rec is remembered
    below cur: ≥ the largest rec of the downscale stabilisation period, and not in the first period
    above cur: ≤ the smallest rec of the upscale stabilisation period, and not in the first period

Reference: github.com/cortexlabs/cortex, `pkg/autoscaler`; every tick is 10 s there. Of an API that
was woken from zero within the downscale period one replica stays. Different here: the history is
data (`History`), so a restart of the node goes on where it was instead of freezing for 1 to 5 min.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from descent.deploy.scale.decision import Decision, number
from descent.deploy.spec import Autoscaling

__all__ = ["History", "decide"]


@dataclass(frozen=True)
class History:
    """What earlier ticks left; times (s) by the caller's clock. `awakened`: last wake from zero."""

    first_tick: float | None = None
    awakened: float | None = None
    recommendations: tuple[tuple[float, int], ...] = ()

    def within(self, now: float, period_s: float) -> list[int]:
        """Recommendations at most `period_s` old."""
        return [rec for time, rec in self.recommendations if now - time <= period_s]


def decide(
    settings: Autoscaling,
    history: History,
    *,
    target_in_flight: float,
    current: int,
    in_flight: float | None,
    now: float,
) -> tuple[Decision, History]:
    """One tick: what to ask for, given `in_flight` requests on average over the window (None: not
    measured yet) and `current` replicas asked for so far."""
    if history.first_tick is None:
        history = replace(history, first_tick=now)
    if in_flight is None:
        return Decision(current, current, current, ("nothing has been measured yet",)), history
    reasons: list[str] = []
    recommended = _recommended(settings, target_in_flight, current, in_flight, reasons)
    oldest = max(settings.downscale_stabilization_period, settings.upscale_stabilization_period)
    kept = [(t, r) for t, r in history.recommendations if now - t <= oldest]
    history = replace(history, recommendations=(*kept, (now, recommended)))
    target = _stabilised(settings, history, current, recommended, now, reasons)
    return Decision(current, recommended, target, tuple(reasons), in_flight), history


def _recommended(
    settings: Autoscaling,
    target_in_flight: float,
    current: int,
    in_flight: float,
    reasons: list[str],
) -> int:
    """The recommendation of this tick alone: load, tolerance, factors, bounds."""
    raw = in_flight / target_in_flight
    rec = math.ceil(raw)
    reasons.append(
        f"{number(in_flight)} in flight over {number(settings.window)} s at a target of "
        f"{number(target_in_flight)} is {number(raw)}"
    )
    if current * (1 - settings.downscale_tolerance) < raw < current:
        rec = current
        reasons.append(f"within {settings.downscale_tolerance:.0%} below {current}")
    if current < raw < current * (1 + settings.upscale_tolerance):
        rec = current
        reasons.append(f"within {settings.upscale_tolerance:.0%} above {current}")
    floor = min(current - 1, math.ceil(current * settings.max_downscale_factor))
    if rec < floor:
        rec = floor
        reasons.append(f"limited to {settings.max_downscale_factor:g}× a tick")
    ceiling = max(current + 1, math.ceil(current * settings.max_upscale_factor))
    if rec > ceiling:
        rec = ceiling
        reasons.append(f"limited to {settings.max_upscale_factor:g}× a tick")
    if rec < settings.min_replicas:
        rec = settings.min_replicas
        reasons.append(f"min_replicas is {rec}")
    if rec > settings.max_replicas:
        rec = settings.max_replicas
        reasons.append(f"max_replicas is {rec}")
    return rec


def _stabilised(
    settings: Autoscaling,
    history: History,
    current: int,
    recommended: int,
    now: float,
    reasons: list[str],
) -> int:
    """The recommendation held back by those before it.

    The two rules stand one after the other, not beside one another: the floor of the first may lie
    above the current number, and then the second one's ceiling holds for it.
    """
    begun = now if history.first_tick is None else history.first_tick
    target = recommended
    if target < current:
        period = settings.downscale_stabilization_period
        floor = max(history.within(now, period))
        if now - begun < period:
            target = current
            reasons.append(f"no scaling down in the first {number(period)} s")
        elif target < floor:
            target = floor
            reasons.append(f"{floor} was recommended within the last {number(period)} s")
        if history.awakened is not None and now - history.awakened < period and target < 1:
            target = 1
            reasons.append(f"woken from zero within the last {number(period)} s")
    if target > current:
        period = settings.upscale_stabilization_period
        ceiling = min(history.within(now, period))
        if now - begun < period:
            target = current
            reasons.append(f"no scaling up in the first {number(period)} s")
        elif target > ceiling:
            target = ceiling
            reasons.append(f"only {ceiling} was recommended within the last {number(period)} s")
    return target
