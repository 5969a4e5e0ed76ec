"""Cauchy, geometric and log-normal numbers, as PyTorch draws them: in float64, one by one.

    cauchy:      median + σ tan(π (u − ½))
    geometric:   ⌈ln u / ln(1 − p)⌉
    log-normal:  exp(mean + std · n)

Devroye 1986, "Non-Uniform Random Variate Generation", chapters II and X.
"""

import math
from typing import Any

import numpy as np

from descent.random.engine import Generator, Shape, as_shape, draw, resolve
from descent.random.normals import pair_by_pair
from descent.random.uniforms import unit

__all__ = ["cauchy", "geometric", "log_normal"]


@draw
def cauchy(
    shape: Shape,
    median: float = 0.0,
    sigma: float = 1.0,
    dtype: Any = np.float32,
    generator: Generator | None = None,
) -> np.ndarray:
    """Cauchy numbers around a median. Raises RuntimeError for sigma ≤ 0."""
    if not sigma > 0:
        raise RuntimeError(f"cauchy_ expects sigma > 0.0, but found sigma={sigma}")
    dims = as_shape(shape)
    u = unit(resolve(generator), math.prod(dims), np.dtype(np.float64))
    values = [median + sigma * math.tan(math.pi * (v - 0.5)) for v in u.tolist()]
    return np.array(values).astype(dtype).reshape(dims)


@draw
def geometric(
    shape: Shape, p: float, dtype: Any = np.float32, generator: Generator | None = None
) -> np.ndarray:
    """How many trials until the first success. Raises RuntimeError for p outside (0, 1)."""
    if not 0 < p < 1:
        raise RuntimeError(f"geometric_ expects p to be in (0, 1), but got p={p}")
    dims = as_shape(shape)
    u = unit(resolve(generator), math.prod(dims), np.dtype(np.float64))
    with np.errstate(divide="ignore"):
        return np.ceil(np.log(u) / math.log1p(-p)).astype(dtype).reshape(dims)


@draw
def log_normal(
    shape: Shape,
    mean: float = 1.0,
    std: float = 2.0,
    dtype: Any = np.float32,
    generator: Generator | None = None,
) -> np.ndarray:
    """exp of normal numbers with this mean and std. Raises RuntimeError for std ≤ 0."""
    if not std > 0:
        raise RuntimeError(f"log_normal_ expects std > 0.0, but found std={std}")
    dims = as_shape(shape)
    normals = pair_by_pair(math.prod(dims), resolve(generator))
    return np.exp(normals * std + mean).astype(dtype).reshape(dims)
