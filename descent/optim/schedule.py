"""Learning rates as plain functions of the step: nothing to construct, nothing to save.

    warm-up:  peak · (t + 1) / (warmup + 1)                                    for t < warmup
    cosine:   floor + (peak − floor) · (1 + cos π s) / 2,  s = (t − warmup) / (total − warmup)
    WSD:      peak, then over the last `decay` steps down to floor
    inverse square root:  peak · √(warmup / (t + 1)),  after a warm-up of peak · (t + 1) / warmup

Cosine: Loshchilov & Hutter 2016, arXiv:1608.03983, as nanoGPT uses it.
WSD (warm-up, stable, decay): Hu et al. 2024, arXiv:2404.06395; the end need not be known before.
Inverse square root: Vaswani et al. 2017, arXiv:1706.03762, §5.3, where peak = 1 / √(C · warmup).
Use: `for group in optimizer.param_groups: group["lr"] = cosine_with_warmup(t, ...)`.
"""

from __future__ import annotations

import math

__all__ = ["cosine_with_warmup", "inverse_sqrt", "warmup_stable_decay"]


def _warmup(step: int, peak: float, warmup: int) -> float:
    return peak * (step + 1) / (warmup + 1)


def cosine_with_warmup(
    step: int, *, peak: float, total: int, warmup: int = 0, floor: float = 0.0
) -> float:
    """Rise linearly to `peak` over `warmup` steps, fall as half a cosine to `floor` at `total`."""
    if step < warmup:
        return _warmup(step, peak, warmup)
    if step >= total:
        return floor
    done = (step - warmup) / (total - warmup)  # 0 … 1
    return floor + (peak - floor) * 0.5 * (1 + math.cos(math.pi * done))


def warmup_stable_decay(
    step: int,
    *,
    peak: float,
    total: int,
    warmup: int = 0,
    decay: int = 0,
    floor: float = 0.0,
    shape: str = "linear",
) -> float:
    """Rise over `warmup` steps, stay at `peak`, fall over the last `decay` of `total` steps.

    Args:
        shape: of the fall: "linear", or "sqrt" for 1 − √done (Hägele et al. 2024,
            arXiv:2405.18392).

    Raises:
        ValueError: for another shape, or when warm-up and decay do not fit into `total`.
    """
    if shape not in ("linear", "sqrt"):
        raise ValueError(f"shape must be 'linear' or 'sqrt', got {shape!r}")
    if warmup + decay > total:
        raise ValueError(f"warmup ({warmup}) + decay ({decay}) exceed total ({total}) steps")
    if step < warmup:
        return _warmup(step, peak, warmup)
    if step >= total:
        return floor if decay else peak
    done = max(0.0, (step - (total - decay)) / decay) if decay else 0.0  # 0 … 1
    return floor + (peak - floor) * (1 - (math.sqrt(done) if shape == "sqrt" else done))


def inverse_sqrt(step: int, *, peak: float, warmup: int) -> float:
    """Rise linearly to `peak` over `warmup` steps, then fall with the root of the step."""
    t = step + 1
    warmup = max(warmup, 1)
    return peak * min(t / warmup, math.sqrt(warmup / t))
