"""Products by tiles over threads: right in every layout; a layer takes them where they pay."""

import numpy as np
import pytest

from descent.ops import products, tiled

rng = np.random.default_rng(0)


@pytest.mark.parametrize("shape", [(1, 1, 1), (5, 30, 70), (40, 300, 600)], ids=str)
@pytest.mark.parametrize("layout", ["rows", "columns", "strided"])
def test_layouts(shape, layout):
    m, k, n = shape
    a, c = (rng.standard_normal(s).astype(np.float32) for s in ((m, k), (k, n)))
    bias = rng.standard_normal(n).astype(np.float32)
    view = {
        "rows": lambda x: x,
        "columns": np.asfortranarray,
        "strided": lambda x: np.repeat(x, 2, 1)[:, ::2],
    }[layout]
    exact = a.astype(float) @ c + bias
    bound = (k + 2) * 2.0**-24 * (np.abs(a).astype(float) @ np.abs(c) + np.abs(bias))
    assert (np.abs(tiled.matmul(view(a), view(c), bias) - exact) <= bound).all()


def test_a_layer_with_few_rows():
    x, w, b = (rng.standard_normal(s).astype(np.float32) for s in ((8, 512), (1024, 512), (1024,)))
    assert tiled.few_rows(x, w) or not tiled.processor.has("AVX512F")
    assert not tiled.few_rows(x, w.astype(float))
    for op, arrays in ((products.linear, (x, w)), (products.affine, (x, w, b))):
        y = op.forward(arrays, {})[0][0]
        exact = x.astype(float) @ w.T + (b if len(arrays) == 3 else 0)
        np.testing.assert_allclose(y, exact, rtol=1e-4, atol=1e-4)
        (forced,) = op.ladder.run_rung("tuned", arrays, (), lambda: [])
        np.testing.assert_allclose(forced, exact, rtol=1e-4, atol=1e-4)
