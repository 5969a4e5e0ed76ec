"""Multinomial: draw category numbers with given, not necessarily normalised, probabilities.

    without replacement, or one sample:  the largest p_c / q_c, with q_c ~ Exp(1) for every category
    with replacement:                    the first c whose cumulative probability is ≥ u

The exponential race: its winner is c with probability p_c / Σ p (the Gumbel-max trick,
exponentiated: https://github.com/pytorch/pytorch/issues/11931). PyTorch 2.13,
ATen/native/Distributions.cpp: indices are equal, but for one case: more samples without replacement
than there are nonzero probabilities. PyTorch then fills up with impossible categories in the order
its sort leaves them; ours go by number.
"""

import math
import operator
from typing import Any

import numpy as np

from descent.random.engine import Generator, as_float_dtype, draw, resolve
from descent.random.uniforms import exponential, unit

__all__ = ["multinomial"]

_MOST_CATEGORIES = 1 << 24


@draw
def multinomial(
    probs: Any,
    num_samples: int,
    replacement: bool = False,
    generator: Generator | None = None,
) -> np.ndarray:
    """Category numbers, int64: probs [V] gives [num_samples], probs [N, V] gives [N, num_samples].

    probs is float32 or float64 (its dtype decides the rounding). Raises RuntimeError for a
    negative, infinite or NaN probability, for a row that sums to 0, and for more samples than
    categories when drawing without replacement.
    """
    probs = np.asarray(probs)
    count = operator.index(num_samples)
    _check_arguments(probs, count, replacement)
    rows = probs.reshape(-1, probs.shape[-1])  # [N, V]
    if rows.shape[0] == 0:
        return np.empty((0, count), np.int64)
    _check_probabilities(rows)
    source = resolve(generator)
    if replacement and count > 1:
        result = _by_cumulative(rows, count, source)  # [N, num_samples]
    else:
        result = _by_race(rows, count, source)  # [N, num_samples]
    return result.reshape(*probs.shape[:-1], count)


def _by_race(rows: np.ndarray, count: int, source: Generator) -> np.ndarray:
    arrivals = exponential(rows.shape, dtype=rows.dtype, generator=source)  # [N, V]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):  # an arrival of 0 wins
        speed = rows / arrivals
    if count == 1:
        return speed.argmax(-1, keepdims=True)
    return np.argsort(-speed, axis=-1, kind="stable")[:, :count]


def _by_cumulative(rows: np.ndarray, count: int, source: Generator) -> np.ndarray:
    u = unit(source, rows.shape[0] * count, np.dtype(np.float64)).reshape(-1, count)
    cumulative = np.cumsum(rows, axis=-1, dtype=rows.dtype)  # in order, as PyTorch adds
    cumulative /= cumulative[:, -1:].copy()
    cumulative[:, -1] = 1  # rounding must not leave a gap at the end
    found = [np.searchsorted(c.astype(np.float64), x) for c, x in zip(cumulative, u)]
    return np.stack(found).astype(np.int64)


def _check_arguments(probs: np.ndarray, count: int, replacement: bool) -> None:
    if probs.ndim not in (1, 2):
        raise RuntimeError(f"prob_dist must be 1 or 2 dim, but has shape {probs.shape}")
    as_float_dtype(probs.dtype, "multinomial")
    if count <= 0:
        raise RuntimeError(f"cannot sample n_sample <= 0 samples, but got {count}")
    categories = probs.shape[-1]
    if not replacement and count > categories:
        raise RuntimeError(
            "cannot sample n_sample > prob_dist.size(-1) samples without replacement: "
            f"{count} samples, {categories} categories"
        )
    if categories > _MOST_CATEGORIES:
        raise RuntimeError(f"number of categories cannot exceed 2^24, but is {categories}")
    if categories == 0 and math.prod(probs.shape[:-1]):
        raise RuntimeError(f"multinomial needs at least one category, but shape is {probs.shape}")


def _check_probabilities(rows: np.ndarray) -> None:
    wrong = np.argwhere(~((rows >= 0) & (rows < np.inf)))
    if len(wrong):
        row, column = wrong[0].tolist()
        raise RuntimeError(
            "probability tensor contains either `inf`, `nan` or element < 0: "
            f"{rows[row, column]} at row {row}, category {column}"
        )
    empty = np.flatnonzero(~rows.any(-1))
    if len(empty):
        raise RuntimeError(
            f"invalid multinomial distribution (sum of probabilities <= 0) in row {empty[0]}"
        )
