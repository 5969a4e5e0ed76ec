"""Scalar functions that capture uses beside the declared ops: NumPy's, under their names."""

from __future__ import annotations

import math

import numpy as np

__all__ = ["ONE_TIMES", "UFUNCS", "add", "same", "where"]


def same(x):
    return x


def ONE_TIMES(dy):
    return dy


def where(condition, a, b):
    return a if condition else b


def add(a, b):
    return a + b


def subtract(a, b):
    return a - b


def multiply(a, b):
    return a * b


def divide(a, b):
    return a / b


def negative(x):
    return -x


def square(x):
    return x * x


def absolute(x):
    return abs(x)


def reciprocal(x):
    return 1 / x


def maximum(a, b):
    return np.maximum(a, b)


def minimum(a, b):
    return np.minimum(a, b)


def exp(x):
    return np.exp(x)


def log(x):
    return np.log(x)


def tanh(x):
    return np.tanh(x)


def sqrt(x):
    return np.sqrt(x)


def sin(x):
    return np.sin(x)


def cos(x):
    return np.cos(x)


def floor(x):
    return np.floor(x)


def ceil(x):
    return np.ceil(x)


def sign(x):
    return np.sign(x)


def power(a, b):
    return a**b


def greater(a, b):
    return a > b


def greater_equal(a, b):
    return a >= b


def less(a, b):
    return a < b


def less_equal(a, b):
    return a <= b


def equal(a, b):
    return a == b


def not_equal(a, b):
    return a != b


def logical_and(a, b):
    return a and b


def logical_or(a, b):
    return a or b


def logical_not(x):
    return not x


def isfinite(x):
    return math.isfinite(x)


UFUNCS = {
    getattr(np, fn.__name__): fn
    for fn in (
        add, subtract, multiply, divide, negative, square, absolute, reciprocal, maximum, minimum,
        exp, log, tanh, sqrt, sin, cos, floor, ceil, sign, power, greater, greater_equal, less,
        less_equal, equal, not_equal, logical_and, logical_or, logical_not, isfinite,
    )
}  # fmt: skip
