"""From a row of logits to one token: temperature, top-k, top-p, min-p, typical, one uniform number.

    p_j = exp(l_j / T) / Σ_k exp(l_k / T), then cut to top-k, top-p, min-p, typical; renormalised

Top-k: Fan, Lewis, Dauphin 2018, arXiv:1805.04833. Top-p: Holtzman et al. 2020, arXiv:1904.09751,
§3.1. Min-p: Nguyen et al. 2024, arXiv:2407.01082. Typical: Meister et al. 2022, arXiv:2202.00666.
A row of 50,257 logits is never sorted whole: a cut first finds the few tokens it can concern.
Left out: bias, penalties and bans (`adjusting.py`).
"""

from __future__ import annotations

import numpy as np

from descent.generate.sampling import Sampling
from descent.ops.masses import BLOCK, masses

__all__ = [
    "check_logits",
    "draw",
    "generator",
    "log_softmax",
    "log_sum_exp",
    "probabilities",
    "top_ids",
]

_MANY = 4096  # logits from which a compiled pass is worth its compilation


def generator(seed: int | None, choice: int = 0) -> np.random.Generator:
    """A request's own generator: (seed, choice) gives the same draws whatever else is running."""
    # A negative seed is legal in OpenAI's contract (int64); SeedSequence wants words ≥ 0.
    return np.random.default_rng(None if seed is None else [seed % 2**64, choice])


def check_logits(logits: np.ndarray, vocab_size: int) -> np.ndarray:
    """`logits` [V] as they are, or a ValueError that says what the model returned instead."""
    logits = np.asarray(logits)
    if logits.shape != (vocab_size,):
        raise ValueError(f"the model returned logits of shape {logits.shape}, not ({vocab_size},)")
    top = logits[np.argmax(logits)]  # argmax finds NaN where there is one
    if not np.isfinite(top):  # +inf or all −inf show here too
        raise ValueError(f"the model's logits have the maximum {top}: its weights are not usable")
    return logits


def log_sum_exp(logits: np.ndarray) -> float:
    """log Σ exp l, so that l − log_sum_exp(l) is log p."""
    _, sums = _masses(logits, 1.0)
    return float(logits.max()) + float(np.log(sums.sum(dtype=np.float64)))


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """log p, float64 [V], untempered: what `logprobs` reports."""
    return np.asarray(logits, np.float64) - log_sum_exp(logits)


def top_ids(logits: np.ndarray, n: int) -> np.ndarray:
    """The ids of the n largest logits, largest first; equals by id."""
    n = min(n, logits.size)
    if n == 0:
        return np.empty(0, dtype=np.intp)
    candidates = np.arange(logits.size)
    maxima = logits
    while maxima.size >= 8 * n:  # of pairs, of fours, … : each of another group of ids
        half = maxima.size // 2
        maxima = np.maximum(maxima[:half], maxima[half : 2 * half])
    if maxima is not logits:
        # n groups have a maximum of at least this, so n logits are no smaller.
        candidates = (logits >= _nth_largest(maxima, n)).nonzero()[0]
    if n < candidates.size:
        few = logits[candidates]
        candidates = candidates[few >= _nth_largest(few, n)]  # and everything equal to it
    return candidates[np.argsort(-logits[candidates], kind="stable")][:n]


def _nth_largest(values: np.ndarray, n: int) -> np.floating:
    return np.partition(values, -n)[-n]


def probabilities(logits: np.ndarray, sampling: Sampling) -> np.ndarray:
    """What is drawn from: float64 [V], sums to 1, zero where a token has been cut.

    The cuts follow one another, each on the renormalised rest. At temperature 0 all mass is on the
    largest logit (the lowest id among equals).
    """
    if sampling.temperature == 0.0 or sampling.top_k == 1:
        return np.eye(1, logits.size, int(np.argmax(logits)))[0]
    ids, mass = _candidates(np.asarray(logits, np.float64), sampling)
    p = np.zeros(logits.size)
    p[slice(None) if ids is None else ids] = mass / mass.sum(dtype=np.float64)
    return p


def draw(logits: np.ndarray, sampling: Sampling, rng: np.random.Generator) -> int:
    """One token id by inverting the cumulative distribution: one uniform number per token.

    Args:
        logits: float32 or float64 [V], adjusted; at least one is finite.
    """
    if sampling.temperature == 0.0:
        return int(np.argmax(logits))
    uniform = rng.random()
    if sampling.top_k == 1:
        return int(np.argmax(logits))
    if sampling.top_k == 0 and not (
        sampling.top_p < 1.0 or sampling.min_p > 0.0 or sampling.typical_p < 1.0
    ):
        return _draw_from_all(*_masses(logits, sampling.temperature), uniform)
    ids, mass = _candidates(logits, sampling)
    place, _ = _place(np.cumsum(mass, dtype=np.float64), uniform)
    return place if ids is None else int(ids[place])


def _masses(logits: np.ndarray, temperature: float) -> tuple[np.ndarray, np.ndarray]:
    """exp((l − max) / T) [V], and its sums by blocks of 256."""
    top = logits.max()
    n_blocks = -(-logits.size // BLOCK)
    if logits.size >= _MANY and logits.dtype == np.float32 and temperature > 1e-3:
        mass, sums = np.empty_like(logits), np.empty(n_blocks, np.float32)
        masses(logits, top, np.float32(1.0 / temperature), mass, sums)
        return mass, sums
    mass = logits - top
    with np.errstate(over="ignore"):  # (l − max)/T may leave the range for a tiny T: exp(−inf) = 0
        if temperature != 1.0:
            mass /= temperature
        np.exp(mass, out=mass)
    return mass, np.add.reduceat(mass, np.arange(0, mass.size, BLOCK))


def _draw_from_all(mass: np.ndarray, sums: np.ndarray, uniform: float) -> int:
    """First the block of ids, then the id in it."""
    block, uniform = _place(np.cumsum(sums, dtype=np.float64), uniform)
    inside = np.cumsum(mass[block * BLOCK : (block + 1) * BLOCK], dtype=np.float64)
    return block * BLOCK + _place(inside, uniform)[0]


def _place(cumulative: np.ndarray, uniform: float) -> tuple[int, float]:
    """Where the share `uniform` of the whole falls, and which share of that place lies below it."""
    whole = cumulative[-1]
    target = uniform * whole
    # Rounding may put the target at the very end; the last place with any mass is still right.
    ends = np.where(cumulative < whole, cumulative, np.inf)
    place = int(np.searchsorted(ends, target, side="right"))
    start = cumulative[place - 1] if place else 0.0
    size = cumulative[place] - start
    return place, float((target - start) / size) if size > 0.0 else 0.0


def _candidates(logits: np.ndarray, sampling: Sampling) -> tuple[np.ndarray | None, np.ndarray]:
    """The ids that may be drawn, rising (None: all), and their mass, not normalised."""
    ids: np.ndarray | None = None
    if 0 < sampling.top_k < logits.size:
        ids = np.sort(top_ids(logits, sampling.top_k))
        logits = logits[ids]
    mass, sums = _masses(logits, sampling.temperature)
    if sampling.top_p < 1.0:
        ids, mass = _keep(ids, mass, _nucleus(mass, sums, sampling.top_p))
    if sampling.min_p > 0.0:
        ids, mass = _keep(ids, mass, (mass >= sampling.min_p * mass.max()).nonzero()[0])
    if sampling.typical_p < 1.0:
        ids, mass = _keep(ids, mass, _typical(mass, sampling.typical_p))
    return ids, mass


def _keep(
    ids: np.ndarray | None, mass: np.ndarray, places: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    return (places if ids is None else ids[places]), mass[places]


def _nucleus(mass: np.ndarray, sums: np.ndarray, p: float) -> np.ndarray:
    """Places of the fewest likeliest tokens that hold the share `p`, rising; equals by place."""
    wanted = p * sums.sum(dtype=np.float64)
    for floor in (1e-2, 1e-4, 1e-6):  # most of a vocabulary is far too unlikely to matter
        places = (mass >= floor).nonzero()[0]  # the likeliest has mass 1
        few = mass[places]
        if few.sum(dtype=np.float64) >= wanted:
            return places[_first(few, few, wanted, largest=True)]
    return _first(mass, mass, wanted, largest=True)


def _typical(mass: np.ndarray, p: float) -> np.ndarray:
    """Places of the tokens whose information is nearest the entropy, together the share `p`."""
    share = mass / mass.sum(dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        information = -np.log(share)
        entropy = np.nansum(share * information, dtype=np.float64)
    return _first(np.abs(information - entropy), share, p)


def _first(
    keys: np.ndarray, mass: np.ndarray, wanted: float, *, largest: bool = False
) -> np.ndarray:
    """The places with the smallest (largest) keys ≥ 0 that together hold `wanted`, rising.

    Only where the border falls are the keys sorted: the others are counted by their leading bits,
    which for positive floats follow one another as the numbers do.
    """
    bins = keys.astype(np.float32, copy=False).view(np.int32) >> 17
    bins = bins.max() - bins if largest else bins - bins.min()
    so_far = np.cumsum(np.bincount(bins, weights=mass))
    border = min(int(np.searchsorted(so_far, wanted)), so_far.size - 1)
    below = so_far[border - 1] if border else 0.0
    at_border = (bins == border).nonzero()[0]
    order = -keys[at_border] if largest else keys[at_border]
    at_border = at_border[np.argsort(order, kind="stable")]
    before = np.cumsum(mass[at_border], dtype=np.float64) - mass[at_border] + below
    keep = bins < border
    keep[at_border[before < wanted]] = True
    return keep.nonzero()[0]
