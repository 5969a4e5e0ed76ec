"""Ray Serve's request-based autoscaling, decision for decision.

    desired = running · requests / (target_ongoing_requests · running)
    scaled  = ⌈running + factor·(desired − running)⌉   (one less where that sticks on the way down)
    acted on once every decision of upscale_delay_s (downscale_delay_s) went the same way
    min_replicas ≤ target ≤ max_replicas

From none running, a request scales up at once; to none only from one, after
downscale_to_zero_delay_s. `requests` is the mean, max or min of look_back_period_s.
Reference: Ray 2.60, `ray/serve/autoscaling_policy.py` (no Ray is needed here). Left out: custom,
application-level and Prometheus policies.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from descent.deploy.scale.decision import Decision, number
from descent.deploy.spec import RayAutoscaling

__all__ = ["Leaning", "decide"]

_EPSILON_S = 1e-6  # two large clock readings subtracted may fall just short of the delay


@dataclass(frozen=True)
class Leaning:
    """Which way the decisions since `since` (s) went: +1 up, −1 down, 0 neither."""

    way: int = 0
    since: float | None = None


def decide(
    settings: RayAutoscaling,
    leaning: Leaning,
    *,
    running: int,
    target: int,
    requests: float | None,
    bounds: tuple[int, int],
    now: float,
) -> tuple[Decision, Leaning]:
    """One tick: what to ask for, with `running` replicas answering, `target` asked for so far,
    `requests` queued or running over the look-back period (None: not measured) and `bounds`, the
    smallest and largest number of replicas allowed."""
    if requests is None:
        return Decision(target, target, target, ("nothing has been measured yet",)), leaning
    reasons: list[str] = []
    if running == 0 and requests > 0:
        wanted = max(math.ceil(settings.upscaling_factor), target)
        reasons.append(f"{number(requests)} requests and no replica: at once")
        chosen = wanted
    else:
        wanted = _scaled(settings, running, target, requests, reasons)
        chosen = wanted
        if running > 0 or wanted == 0:  # else nothing to hold back, and nothing to learn
            chosen, leaning = _delayed(settings, leaning, wanted, target, now, reasons)
    bounded = max(bounds[0], min(bounds[1], chosen))
    if bounded > chosen:
        reasons.append(f"min_replicas is {bounded}")
    elif bounded < chosen:
        reasons.append(f"max_replicas is {bounded}")
    return Decision(target, wanted, bounded, tuple(reasons), requests), leaning


def _scaled(
    settings: RayAutoscaling, running: int, target: int, requests: float, reasons: list[str]
) -> int:
    if running == 0:  # nothing measured against: what was asked for stays
        reasons.append(f"{target} asked for, none is ready")
        return target
    # Ray's own order of operations, for equal rounding.
    desired = running * (requests / (settings.target_ongoing_requests * running))
    reasons.append(
        f"{number(requests)} requests over {number(settings.look_back_period_s)} s at a target of "
        f"{number(settings.target_ongoing_requests)} is {number(desired)}"
    )
    change = desired - running
    factor = settings.upscaling_factor if change > 0 else settings.downscaling_factor
    scaled = math.ceil(running + factor * change)
    if math.ceil(desired) < running and scaled == running:
        scaled -= 1
    if factor != 1.0:
        reasons.append(f"{factor:g} of the way from {running} is {scaled}")
    return max(0, scaled)


def _delayed(
    settings: RayAutoscaling,
    leaning: Leaning,
    wanted: int,
    target: int,
    now: float,
    reasons: list[str],
) -> tuple[int, Leaning]:
    """`wanted` once the decisions have gone its way for the delay, else `target`."""
    way = (wanted > target) - (wanted < target)
    if way == 0:
        return target, Leaning()
    if way > 0:
        delay = settings.upscale_delay_s
    elif target == 1 and settings.downscale_to_zero_delay_s is not None:
        delay = settings.downscale_to_zero_delay_s
    else:
        delay = settings.downscale_delay_s
    if way < 0 and target != 1:
        wanted = max(1, wanted)  # to none only from one
    if leaning.way != way or leaning.since is None:
        leaning = Leaning(way, now)
    assert leaning.since is not None
    held = now - leaning.since
    if held + _EPSILON_S < delay:
        direction = "more" if way > 0 else "fewer"
        reasons.append(f"{direction} wanted for {number(held)} s of {number(delay)} s")
        return target, leaning
    return wanted, Leaning()
