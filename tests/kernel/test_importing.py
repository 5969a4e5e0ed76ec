"""Numba is loaded without SciPy, and calls BLAS all the same when asked to."""

import subprocess
import sys

import pytest

PROGRAM = """
import sys
import numpy as np
from descent.kernel.importing import numba_alone
numba = numba_alone()
import numba.np.arraymath
assert "scipy.linalg" not in sys.modules
@numba.njit
def covariance(a):
    return np.cov(a) + np.dot(a, a)
a = np.arange(9.0).reshape(3, 3) ** 1.5
assert np.allclose(covariance(a), np.cov(a) + a @ a)
assert "scipy.linalg" in sys.modules
"""


def test_scipy_is_imported_by_those_who_use_it_only():
    pytest.importorskip("scipy")
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
