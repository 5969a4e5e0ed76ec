"""The vectorisable exp and tanh: error bounds over the whole float32 range, and the edges."""

import numpy as np
import pytest

from descent.kernel import kernel
from descent.ops.vectormath import exp32, tanh32


@kernel
def exp_loop(x, y):
    for i in range(x.size):
        y[i] = exp32(x[i])


@kernel
def tanh_loop(x, y):
    for i in range(x.size):
        y[i] = tanh32(x[i])


def run(loop, x: np.ndarray) -> np.ndarray:
    y = np.empty_like(x)
    loop(x, y)
    return y


def every_nth_float(n: int, low: float, high: float) -> np.ndarray:
    """Floats spread evenly over their bit patterns, both signs."""
    bits = np.arange(0, np.float32(high).view(np.int32), n, dtype=np.int32).view(np.float32)
    x = np.concatenate([-bits[::-1], bits])
    return x[(x >= low) & (x <= high)]


def test_exp_is_within_one_ulp_where_the_result_is_a_normal_number() -> None:
    x = every_nth_float(997, -87.33, 88.72)
    true = np.exp(x.astype(np.float64))
    ulp = np.spacing(true.astype(np.float32)).astype(np.float64)
    assert np.max(np.abs(run(exp_loop, x) - true) / ulp) <= 1.0


def test_exp_underflows_gradually_and_knows_the_edges() -> None:
    x = np.linspace(-103.9, -87.4, 5000, dtype=np.float32)
    true = np.exp(x.astype(np.float64))
    assert np.max(np.abs(run(exp_loop, x) - true)) <= 2 * np.finfo(np.float32).smallest_subnormal
    edges = np.array([-np.inf, -1e30, -105, 0, 88.8, 1e30, np.inf, np.nan], np.float32)
    np.testing.assert_array_equal(
        run(exp_loop, edges), np.array([0, 0, 0, 1, np.inf, np.inf, np.inf, np.nan], np.float32)
    )


def test_tanh_error() -> None:
    x = every_nth_float(9973, -np.float32(3e38), 3e38)
    np.testing.assert_allclose(run(tanh_loop, x), np.tanh(x.astype(np.float64)), atol=2e-7)


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
