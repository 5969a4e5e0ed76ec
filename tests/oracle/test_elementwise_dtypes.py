"""Elementwise functions and operators on every pair of dtypes: PyTorch's result type and values."""

import itertools
import operator
import warnings

import numpy as np
import pytest

import descent

pytestmark = pytest.mark.oracle

VALUES = {
    "bool": [True, False, True],
    "uint8": [1, 2, 5],
    "int32": [-2, 1, 3],
    "int64": [3, -1, 2],
    "float32": [-1.5, 0.5, 2.0],
    "float64": [0.3, -0.7, 2.5],
}
UNARY = """abs neg square exp exp2 expm1 log log2 log10 log1p sqrt rsqrt reciprocal sin cos tan asin
acos atan sinh cosh tanh asinh acosh atanh sigmoid logit erf erfc sign sgn floor ceil trunc frac
round deg2rad rad2deg sinc nan_to_num signbit isnan isinf isfinite isposinf isneginf isreal
logical_not real angle relu bitwise_not erfinv lgamma digamma i0""".split()
BINARY = """add sub mul div floor_divide remainder fmod pow float_power maximum minimum fmax fmin
atan2 copysign xlogy eq ne lt le gt ge logical_and logical_or logical_xor bitwise_and bitwise_or
bitwise_xor bitwise_left_shift bitwise_right_shift gcd lcm rsub""".split()
OPERATORS = """add sub mul truediv floordiv mod pow eq ne lt le gt ge and_ or_ xor lshift
rshift""".split()
NUMBERS = (2, -1, 0.5)


def outcome(call):
    """The array, or the kind of error."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            y = call()
    except (RuntimeError, TypeError) as error:
        return "refused" if isinstance(error, RuntimeError) else "TypeError"
    return np.asarray(y.numpy())


def same(ours, theirs, what):
    if isinstance(theirs, str) or isinstance(ours, str):
        assert isinstance(ours, str), f"{what}: PyTorch refuses, we answer {ours}"
        assert isinstance(theirs, str), f"{what}: we refuse, PyTorch answers {theirs}"
        return
    assert ours.dtype == theirs.dtype, what
    np.testing.assert_allclose(
        ours.astype(float), theirs.astype(float), rtol=2e-6, atol=1e-6, err_msg=what
    )


def both(build):
    """`build(library)` with ours and with PyTorch."""
    import torch

    return outcome(lambda: build(descent)), outcome(lambda: build(torch))


def made(library, name):
    return library.tensor(VALUES[name], dtype=getattr(library, name))


@pytest.mark.parametrize("name", UNARY)
def test_unary(name):
    for d in VALUES:
        same(*both(lambda lib, d=d: getattr(lib, name)(made(lib, d))), f"{name}({d})")


@pytest.mark.parametrize("name", BINARY)
def test_binary(name):
    for a, b in itertools.product(VALUES, VALUES):
        ours, theirs = both(lambda lib, a=a, b=b: getattr(lib, name)(made(lib, a), made(lib, b)))
        same(ours, theirs, f"{name}({a}, {b})")


@pytest.mark.parametrize("name", OPERATORS)
def test_operators_with_numbers(name):
    f = getattr(operator, name)
    for d, n in itertools.product(VALUES, NUMBERS):
        same(*both(lambda lib, d=d, n=n: f(made(lib, d), n)), f"{name}({d}, {n})")
        same(*both(lambda lib, d=d, n=n: f(n, made(lib, d))), f"{name}({n}, {d})")
