import numpy as np
import pytest

from descent.ops.masses import BLOCK, masses


@pytest.mark.parametrize("n", [1, 255, 256, 1000, 50_257])
@pytest.mark.parametrize("temperature", [0.1, 1.0, 3.0])
def test_masses_and_their_block_sums(n, temperature):
    rng = np.random.default_rng(n)
    logits = (4 * rng.standard_normal(n)).astype(np.float32)
    logits[rng.random(n) < 0.2] = -np.inf
    logits[n // 2] = 1.0
    mass, sums = np.empty_like(logits), np.empty(-(-n // BLOCK), np.float32)
    masses(logits, logits.max(), np.float32(1 / temperature), mass, sums)
    with np.errstate(invalid="ignore"):
        wanted = np.exp((logits.astype(float) - logits.max()) / temperature)
    np.testing.assert_allclose(mass, wanted, rtol=1e-4, atol=1e-9)
    by_block = np.add.reduceat(wanted, np.arange(0, n, BLOCK))
    np.testing.assert_allclose(sums, by_block, rtol=1e-4, atol=1e-9)
