"""One source, two forms: compiled and plain Python agree; the cache survives a new process."""

import os
import subprocess
import sys

import numpy as np
import pytest

from descent.kernel import Kernel, kernel, prange, vectorized


@kernel
def double_of(v):
    return 2 * v


@kernel(parallel=True)
def row_sums(x, y):
    for r in prange(x.shape[0]):
        total = 0 * x[r, 0]
        for c in range(x.shape[1]):
            total += double_of(x[r, c])
        y[r] = total


def test_compiled_equals_python_and_calls_other_kernels() -> None:
    x = np.random.default_rng(0).standard_normal((5, 7))
    fast, slow = np.empty(5), np.empty(5)
    row_sums(x, fast)
    assert isinstance(double_of, Kernel)
    for r in range(5):
        slow[r] = sum(double_of.py(v) for v in x[r])
    np.testing.assert_allclose(fast, slow, rtol=1e-13)


def test_source_is_the_text_that_runs() -> None:
    assert "total += double_of(x[r, c])" in row_sums.source()


def test_vectorized_broadcasts() -> None:
    f = vectorized(lambda a, b: a + 2 * b)
    np.testing.assert_array_equal(
        f(np.ones((3, 1)), np.arange(4.0)), 1 + 2 * np.arange(4.0) + np.zeros((3, 1))
    )


SCRIPT = """
import numpy as np, sys
from descent.ops.probability import softmax
y = np.empty((2, 3)); softmax.ladder.loops(np.ones((2, 3)), y)
d = softmax.ladder.loops.compiled
print(sum(d.stats.cache_hits.values()), round(y.sum(), 9))
"""


@pytest.mark.slow
def test_the_cache_survives_a_new_process(tmp_path) -> None:
    env = {**os.environ, "DESCENT_CACHE": str(tmp_path)}
    runs = [
        subprocess.run([sys.executable, "-c", SCRIPT], env=env, capture_output=True, text=True)
        for _ in range(2)
    ]
    assert [r.stdout.split()[0] for r in runs] == ["0", "1"], runs[1].stderr
    env["DESCENT_COMPILE"] = "0"
    plain = subprocess.run(
        [sys.executable, "-c", SCRIPT.rsplit("d =", 1)[0] + "print(round(y.sum(), 9), 'numba' in sys.modules)"],
        env=env, capture_output=True, text=True,
    )  # fmt: skip
    assert plain.stdout.split() == ["2.0", "False"], plain.stderr


def test_import_stays_light() -> None:
    code = "import sys, descent; print([m for m in ('numba', 'torch', 'fastapi', 'rich') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert out.stdout.strip() == "[]", out.stdout + out.stderr
