"""The vectorisable functions: error bounds over the whole float32 range, and the edges."""

import numpy as np
import pytest

from descent.kernel import kernel
from descent.ops.special import erf_arrays, erfc_arrays
from descent.ops.vectormath import (
    FLOAT32,
    cos32,
    erf32,
    exp2_32,
    exp32,
    expm1_32,
    log1p32,
    log2_32,
    log10_32,
    log32,
    ndtr32,
    pow32,
    sigmoid32,
    sin32,
    tanh32,
)


@kernel
def exp_loop(x, y):
    for i in range(x.size):
        y[i] = exp32(x[i])


@kernel
def exp2_loop(x, y):
    for i in range(x.size):
        y[i] = exp2_32(x[i])


@kernel
def expm1_loop(x, y):
    for i in range(x.size):
        y[i] = expm1_32(x[i])


@kernel
def tanh_loop(x, y):
    for i in range(x.size):
        y[i] = tanh32(x[i])


@kernel
def sigmoid_loop(x, y):
    for i in range(x.size):
        y[i] = sigmoid32(x[i])


@kernel
def erf_loop(x, y):
    for i in range(x.size):
        y[i] = erf32(x[i])


@kernel
def ndtr_loop(x, y):
    for i in range(x.size):
        y[i] = ndtr32(x[i])


@kernel
def log_loop(x, y):
    for i in range(x.size):
        y[i] = log32(x[i])


@kernel
def log2_loop(x, y):
    for i in range(x.size):
        y[i] = log2_32(x[i])


@kernel
def log10_loop(x, y):
    for i in range(x.size):
        y[i] = log10_32(x[i])


@kernel
def log1p_loop(x, y):
    for i in range(x.size):
        y[i] = log1p32(x[i])


@kernel
def sin_loop(x, y):
    for i in range(x.size):
        y[i] = sin32(x[i])


@kernel
def cos_loop(x, y):
    for i in range(x.size):
        y[i] = cos32(x[i])


@kernel
def pow_loop(a, b, y):
    for i in range(a.size):
        y[i] = pow32(a[i], b[i])


def true_sigmoid(x: np.ndarray) -> np.ndarray:
    e = np.exp(-abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)


# name: (loop, the truth in float64, greatest error in units in the last place: see the docstrings)
FUNCTIONS = {
    "exp": (exp_loop, np.exp, 1.0),
    "exp2": (exp2_loop, np.exp2, 1.2),
    "expm1": (expm1_loop, np.expm1, 1.6),
    "tanh": (tanh_loop, np.tanh, 1.3),
    "sigmoid": (sigmoid_loop, true_sigmoid, 2.2),
    "erf": (erf_loop, erf_arrays, 1.3),
    "log": (log_loop, np.log, 0.9),
    "log2": (log2_loop, np.log2, 1.7),
    "log10": (log10_loop, np.log10, 1.9),
    "log1p": (log1p_loop, np.log1p, 1.2),
    "sin": (sin_loop, np.sin, 0.51),
    "cos": (cos_loop, np.cos, 0.51),
}
POWERS_OF_TWO = np.ldexp(np.float32(1), np.arange(-149, 128)).astype(np.float32)
EDGES = np.concatenate(
    [
        np.float32([0, np.inf, np.nan, 88.72, 88.73, 87.33, 103.9, 104.1, 0.625, 0.9, 4, 2**24]),
        np.nextafter(POWERS_OF_TWO, np.float32(0)),
        POWERS_OF_TWO,
        np.nextafter(POWERS_OF_TWO, np.float32(np.inf)),
    ]
)
EDGES = np.concatenate([EDGES, -EDGES])


def every_nth_float(n: int, seed: int = 0) -> np.ndarray:
    """Every n-th of all 2³² bit patterns, from a seeded start: NaNs, subnormals, both signs."""
    start = int(np.random.default_rng(seed).integers(n))
    return np.arange(start, 2**32, n, dtype=np.uint64).astype(np.uint32).view(np.float32)


def worst_ulp(y: np.ndarray, true: np.ndarray) -> float:
    """The greatest error in units in the last place; checks everything that is not finite."""
    expected = true.astype(np.float32)
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(y[~finite], expected[~finite])
    zero = expected == 0
    np.testing.assert_array_equal(
        np.signbit(y[zero & (y == 0)]), np.signbit(expected[zero & (y == 0)])
    )
    ulp = np.spacing(abs(expected[finite])).astype(np.float64)
    return float(np.max(abs(y[finite] - true[finite]) / ulp))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_error_bound_over_all_float32_numbers(name) -> None:
    loop, truth, bound = FUNCTIONS[name]
    x = np.concatenate([every_nth_float(4793), EDGES])
    y = np.empty_like(x)
    loop(x, y)
    with np.errstate(all="ignore"):
        assert worst_ulp(y, truth(x.astype(np.float64))) <= bound
        # The same source uncompiled, number by number: no more than a fused product apart.
        some = np.concatenate([x[::1801], EDGES[::7]])
        alone = np.array([FLOAT32[name](v) for v in some], np.float32)
        assert worst_ulp(alone, truth(some.astype(np.float64))) <= bound


def test_every_function_is_tested() -> None:
    assert set(FLOAT32) == {*FUNCTIONS, "power", "ndtr"}


def test_normal_distribution() -> None:
    x = np.concatenate([np.linspace(-20, 20, 100_001), EDGES]).astype(np.float32)
    y = np.empty_like(x)
    ndtr_loop(x, y)
    with np.errstate(all="ignore"):
        true = 0.5 * erfc_arrays(-np.sqrt(0.5) * x.astype(np.float64))
    np.testing.assert_allclose(y, true, rtol=0, atol=1.2e-7)
    assert np.isnan(y[np.isnan(x)]).all()
    deep = (x < 0) & (x > -5)
    np.testing.assert_allclose(y[deep], true[deep], rtol=0.05)  # and no cancellation in the tail


def test_whole_results_are_exact() -> None:
    n = np.arange(-149, 128).astype(np.float32)
    y = np.empty_like(n)
    exp2_loop(n, y)
    np.testing.assert_array_equal(y, POWERS_OF_TWO)
    log2_loop(POWERS_OF_TWO, y)
    np.testing.assert_array_equal(y, n)


@np.errstate(all="ignore")
def test_power() -> None:
    rng = np.random.default_rng(1)
    patterns = every_nth_float(40009)
    a = np.r_[rng.permutation(patterns), rng.lognormal(0, 2, 100_000).astype(np.float32)]
    b = np.r_[rng.permutation(patterns), rng.normal(0, 9, 100_000).astype(np.float32)]
    a[::3], b[::3] = abs(a[::3]), np.round(b[::3])
    sides = np.concatenate([np.float32([0, 1, 2, 3, 0.5, 1.5, 2**24, np.inf, np.nan]), EDGES[::50]])
    edges = [e.reshape(-1) for e in np.meshgrid(np.r_[sides, -sides], np.r_[sides, -sides])]
    a, b = np.r_[a, edges[0]], np.r_[b, edges[1]]
    y = np.empty_like(a)
    pow_loop(a, b, y)
    assert worst_ulp(y, a.astype(np.float64) ** b.astype(np.float64)) <= 0.51
    alone = np.array([pow32(*pair) for pair in zip(*edges)], np.float32)
    np.testing.assert_array_equal(alone, y[-len(alone) :])


@pytest.mark.parametrize("name", ["gelu_tanh", "layer_norm", "cross_entropy", "attention"])
def test_large_float32_arrays_take_the_compiled_rung_and_agree_with_float64(name) -> None:
    from descent.nn import functional as F
    from descent.tensor import Tensor

    rng = np.random.default_rng(0)
    x = rng.standard_normal((4, 96, 128))
    target = rng.integers(0, 128, 4 * 96)
    calls = {
        "gelu_tanh": lambda t: F.gelu(t, approximate="tanh"),
        "layer_norm": lambda t: F.layer_norm(t, (128,), t[0, 0], t[0, 1]),
        "cross_entropy": lambda t: F.cross_entropy(
            t.view(-1, 128), Tensor(target), reduction="none"
        ),
        "attention": lambda t: F.scaled_dot_product_attention(t, t * 0.5, t + 1, is_causal=True),
    }
    results = []
    for dtype in (np.float32, np.float64):
        t = Tensor(x.astype(dtype)).requires_grad_()
        y = calls[name](t)
        y.backward(Tensor(np.cos(np.arange(y.numel())).reshape(y.shape).astype(dtype)))
        results.append((y.detach().array, t.grad.array))
    for a, b in zip(*results):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-5)


def test_nan_stays_nan_in_the_compiled_rungs() -> None:
    from descent.nn import functional as F
    from descent.tensor import Tensor

    x = np.zeros((4, 96, 128), np.float32)
    x[1, 2, 3] = np.nan
    t = Tensor(x)
    w = Tensor(np.ones(128, np.float32))
    assert np.isnan(F.gelu(t, approximate="tanh").array[1, 2, 3])
    assert np.isnan(F.layer_norm(t, (128,), w, w).array[1, 2]).all()
    losses = F.cross_entropy(
        t.view(-1, 128), Tensor(np.zeros(384, np.int64)), reduction="none"
    ).array
    assert np.isnan(losses).nonzero()[0].tolist() == [98]
    assert np.isnan(F.scaled_dot_product_attention(t, t, t, is_causal=True).array[1, 95]).all()
