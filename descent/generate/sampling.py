"""From logits to one token: greedy, temperature, top-k, top-p, min-p, bias and penalties.

    l'_j = l_j + bias_j − c_j·frequency − [c_j > 0]·presence          c_j: times j was generated
    p_j  = exp(l'_j / T) / Σ_k exp(l'_k / T), then cut to top-k, top-p, min-p and renormalised

Top-k: Fan, Lewis, Dauphin 2018, arXiv:1805.04833. Top-p: Holtzman et al. 2020, arXiv:1904.09751,
§3.1.
Min-p: Nguyen et al. 2024, arXiv:2407.01082. Penalties and bias as OpenAI documents them.
Left out: beam search, typical and contrastive sampling, grammars.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

__all__ = [
    "Sampling",
    "adjust",
    "check_logits",
    "generator",
    "log_softmax",
    "probabilities",
    "sample",
    "top_ids",
]


@dataclass(frozen=True)
class Sampling:
    """How to continue one prompt. The defaults are those of OpenAI's `/v1/completions`.

    `temperature` 0 is greedy. `top_k` 0, `top_p` 1 and `min_p` 0 cut nothing. `logprobs` None
    records none; n records the chosen token's and the n likeliest ones'.
    """

    max_tokens: int = 16
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    stop: tuple[str, ...] = ()
    seed: int | None = None
    logprobs: int | None = None

    def __post_init__(self) -> None:
        _within("max_tokens", self.max_tokens, 0, math.inf)
        _within("temperature", self.temperature, 0.0, math.inf)
        _within("top_k", self.top_k, 0, math.inf)
        _within("top_p", self.top_p, 0.0, 1.0)
        _within("min_p", self.min_p, 0.0, 1.0)
        _within("presence_penalty", self.presence_penalty, -2.0, 2.0)
        _within("frequency_penalty", self.frequency_penalty, -2.0, 2.0)
        if self.top_p == 0.0:
            raise ValueError("top_p is 0, which leaves no token; it must be above 0 and at most 1")
        if any(stop == "" for stop in self.stop):
            raise ValueError("stop holds an empty string, which would stop before the first token")


def _within(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:  # also false for NaN
        bound = f"at least {low:g}" if high == math.inf else f"from {low:g} to {high:g}"
        raise ValueError(f"{name} is {value}; it must be {bound}")


def generator(seed: int | None, choice: int = 0) -> np.random.Generator:
    """A request's own generator: (seed, choice) gives the same draws whatever else is running."""
    # A negative seed is legal in OpenAI's contract (int64); SeedSequence wants words ≥ 0.
    return np.random.default_rng(None if seed is None else [seed % 2**64, choice])


def check_logits(logits: np.ndarray, vocab_size: int) -> np.ndarray:
    """`logits` as float64 [V], or a ValueError that says what the model returned instead."""
    wide = np.asarray(logits, dtype=np.float64)
    if wide.shape != (vocab_size,):
        raise ValueError(f"the model returned logits of shape {wide.shape}, not ({vocab_size},)")
    top = wide.max()
    if not np.isfinite(top):  # max is NaN if any is; +inf or all −inf show here too
        raise ValueError(f"the model's logits have the maximum {top}: its weights are not usable")
    return wide


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """log p, float64 [V], untempered: what `logprobs` reports."""
    shifted = logits - logits.max()
    return shifted - np.log(np.exp(shifted).sum())


def top_ids(logits: np.ndarray, n: int) -> np.ndarray:
    """The ids of the n largest logits, largest first; equals by id."""
    n = min(n, logits.size)
    if n == 0:
        return np.empty(0, dtype=np.intp)
    if n < logits.size:
        border = np.partition(logits, -n)[-n]  # everything equal to the border stays in the running
        candidates = np.flatnonzero(logits >= border)
    else:
        candidates = np.arange(logits.size)
    return candidates[np.argsort(-logits[candidates], kind="stable")][:n]


def adjust(logits: np.ndarray, sampling: Sampling, counts: Mapping[int, int]) -> np.ndarray:
    """Add the bias, subtract the penalties for tokens already generated `counts` times."""
    penalised = counts and (sampling.presence_penalty or sampling.frequency_penalty)
    if not penalised and not sampling.logit_bias:
        return logits
    logits = logits.copy()
    for id, bias in sampling.logit_bias.items():
        logits[id] += bias
    if penalised:
        for id, count in counts.items():
            logits[id] -= sampling.presence_penalty + count * sampling.frequency_penalty
    return logits


def probabilities(logits: np.ndarray, sampling: Sampling) -> np.ndarray:
    """What is drawn from: float64 [V], sums to 1, zero where a token has been cut.

    The cuts follow one another, each on the renormalised rest. At temperature 0 all mass is on the
    largest logit (the lowest id among equals).
    """
    if sampling.temperature == 0.0 or sampling.top_k == 1:
        return np.eye(1, logits.size, int(np.argmax(logits)))[0]
    with np.errstate(over="ignore"):  # (l − max)/T may leave the range for a tiny T: exp(−inf) = 0
        p = np.exp((logits - logits.max()) / sampling.temperature)
    if 0 < sampling.top_k < p.size:
        keep = top_ids(logits, sampling.top_k)
        p = _only(p, keep)
    p /= p.sum()
    if sampling.top_p < 1.0:
        order = np.argsort(-p, kind="stable")
        before = np.cumsum(p[order]) - p[order]  # mass of everything likelier
        p = _only(p, order[before < sampling.top_p])
        p /= p.sum()
    if sampling.min_p > 0.0:
        p = np.where(p >= sampling.min_p * p.max(), p, 0.0)
        p /= p.sum()
    return p


def _only(p: np.ndarray, keep: np.ndarray) -> np.ndarray:
    cut = np.zeros_like(p)
    cut[keep] = p[keep]
    return cut


def sample(
    logits: np.ndarray, sampling: Sampling, rng: np.random.Generator, counts: Mapping[int, int]
) -> int:
    """Draw one token id by inverting the cumulative distribution: one uniform number per token."""
    logits = adjust(logits, sampling, counts)
    p = probabilities(logits, sampling)
    if sampling.temperature == 0.0:
        return int(np.argmax(p))
    cumulative = np.cumsum(p)
    # Scaling by the last entry, not by 1, keeps rounding from drawing an impossible token.
    return int(np.searchsorted(cumulative, rng.random() * cumulative[-1], side="right"))
