"""Rotary positions: the angle by which each pair of a query's or key's numbers is turned.

    angle[t, i] = t · f_i,    f_i = base^(−2i/D),    i = 0 … D/2 − 1

Su et al. 2021, RoFormer, arXiv:2104.09864, §3.4.2. Longer contexts than the one trained on are had
by turning slower (`scaling`, with the names of Hugging Face's config.json):

    linear    f_i / factor                                          (Chen et al., arXiv:2306.15595)
    dynamic   the base grows with the length beyond the trained context     (NTK-aware, at run time)
    llama3    waves longer than the context are slowed, shorter ones not, a ramp in between
                                                                    (Llama 3, arXiv:2407.21783)
    yarn      the same idea with a ramp over i, scores sharpened   (Peng et al., arXiv:2309.00071)

Angles are float32 products of float32 numbers, as in the programs the published models were trained
with: the rounding is part of the model. Left out: longrope, rotating a part of the head only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["SCALINGS", "angles", "check_scaling", "frequencies"]

Scaling = Mapping[str, Any]

SCALINGS: dict[str, tuple[set[str], set[str]]] = {  # name: (what it needs, what it may have)
    "default": (set(), set()),
    "linear": ({"factor"}, set()),
    "dynamic": ({"factor"}, {"original_max_position_embeddings"}),
    "llama3": (
        {"factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"},
        set(),
    ),
    "yarn": (
        {"factor", "original_max_position_embeddings"},
        {"attention_factor", "beta_fast", "beta_slow", "mscale", "mscale_all_dim", "truncate"},
    ),
}


def check_scaling(scaling: Scaling | None) -> None:
    """Raises:
    ValueError: an unknown kind of scaling, a missing or an unknown setting, naming it.
    """
    if scaling is None:
        return
    kind = scaling.get("rope_type")
    if kind not in SCALINGS:
        raise ValueError(f"unknown rotary scaling rope_type={kind!r}; known: {', '.join(SCALINGS)}")
    needs, may = SCALINGS[kind]
    given = {name for name, value in scaling.items() if value is not None} - {"rope_type"}
    if missing := needs - given:
        raise ValueError(f"rotary scaling {kind!r} needs {', '.join(sorted(missing))}")
    if extra := given - needs - may:
        raise ValueError(f"rotary scaling {kind!r} has no setting {', '.join(sorted(extra))}")
    for name in given - {"truncate"}:
        value = scaling[name]
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValueError(f"rotary scaling {kind!r}: {name} must be a number: {value!r}")
        if name in needs and not value > 0:
            raise ValueError(f"rotary scaling {kind!r}: {name} must be positive: {scaling[name]}")


def frequencies(
    head_dim: int, base: float, scaling: Scaling | None, context: int, length: int = 0
) -> tuple[np.ndarray, float]:
    """How fast each pair turns, in radians per token.

    Args:
        context: the context trained on, for "dynamic" where the scaling does not name it.
        length: tokens of the sequence at hand; only "dynamic" looks at it.

    Returns:
        float32 [D/2], and the factor on cos and sin (1 but for "yarn").
    """
    s = scaling or {}
    kind = s.get("rope_type", "default")
    if kind == "dynamic":
        context = s.get("original_max_position_embeddings") or context
        stretch = s["factor"] * max(length, context) / context - (s["factor"] - 1)
        base = base * stretch ** (head_dim / (head_dim - 2))
    wave = np.float32(base) ** (np.arange(0, head_dim, 2, dtype=np.float32) / np.float32(head_dim))
    f = np.float32(1) / wave
    if kind == "linear":
        return f / np.float32(s["factor"]), 1.0
    if kind == "llama3":
        return _llama3(f, s), 1.0
    if kind == "yarn":
        return _yarn(wave, base, head_dim, s)
    return f, 1.0


def _llama3(f: np.ndarray, s: Scaling) -> np.ndarray:
    """f where a wave is short beside the trained context, f / factor where it is long."""
    waves = s["original_max_position_embeddings"] * f / (2 * math.pi)  # in one context
    low, high = s["low_freq_factor"], s["high_freq_factor"]
    kept = np.clip((waves - low) / (high - low), 0, 1)  # share of the unscaled frequency
    return ((1 - kept) * f / s["factor"] + kept * f).astype(np.float32)


def _yarn(wave: np.ndarray, base: float, d: int, s: Scaling) -> tuple[np.ndarray, float]:
    """Pairs that turn often in the trained context keep their speed, the slowest are scaled."""
    factor, context = s["factor"], s["original_max_position_embeddings"]

    def pair_that_turns(times: float) -> float:
        """The (fractional) pair that makes so many turns in the trained context."""
        return d * math.log(context / (times * 2 * math.pi)) / (2 * math.log(base))

    first, last = (
        pair_that_turns(s.get("beta_fast") or 32),
        pair_that_turns(s.get("beta_slow") or 1),
    )
    if s.get("truncate", True):
        first, last = math.floor(first), math.ceil(last)
    first, last = max(first, 0), min(last, d - 1)
    last += 0.001 if first == last else 0
    scaled = np.clip((np.arange(d // 2, dtype=np.float32) - first) / (last - first), 0, 1)
    f = scaled / (factor * wave) + (1 - scaled) / wave
    return f.astype(np.float32), _sharpening(s)


def _sharpening(s: Scaling) -> float:
    """YaRN's factor on queries and keys: 0.1 ln factor + 1 unless the config says otherwise."""
    if s.get("attention_factor") is not None:
        return float(s["attention_factor"])

    def of(weight: float) -> float:
        return 1.0 if s["factor"] <= 1 else 0.1 * weight * math.log(s["factor"]) + 1.0

    if s.get("mscale") and s.get("mscale_all_dim"):
        return of(s["mscale"]) / of(s["mscale_all_dim"])
    return of(1.0)


def angles(
    positions: np.ndarray, head_dim: int, base: float, scaling: Scaling | None, context: int
) -> tuple[np.ndarray, np.ndarray]:
    """cos and sin for tokens at `positions`, each float32 [T, D/2]."""
    length = int(positions.max(initial=-1)) + 1
    f, factor = frequencies(head_dim, base, scaling, context, length)
    turned = positions.astype(np.float32)[:, None] * f  # T D/2
    scale = np.float32(factor)
    return np.cos(turned) * scale, np.sin(turned) * scale
