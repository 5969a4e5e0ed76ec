"""Elementary functions on plain numbers with IEEE 754 results where Python's own would raise.

    1/0 = inf    0/0 = nan    log 0 = -inf    log(-1) = nan    exp 1000 = inf    (-8)^(1/3) = nan

A compiled kernel never stops in the middle of a loop: it writes inf or nan and goes on. A `Value`
must give the numbers the compiled kernel gives, so it computes with these.
Reference: IEEE 754-2019, sections 7.2-7.4 and 9.2.1. Left out: the warning flags; signalling NaN.
"""

import math

__all__ = [
    "bounded",
    "cosh",
    "divide",
    "exp",
    "expm1",
    "log",
    "log1p",
    "periodic",
    "power",
    "power_slope",
    "power_slope_of_exponent",
    "sigmoid",
    "sinh",
    "sqrt",
]

_EXACT = 2**53  # whole numbers up to here are exact as float64
_INF, _NAN = math.inf, math.nan


def bounded(n: int) -> int | float:
    """Keep an int while float64 holds it exactly; beyond, become a float (±inf at the far end).

    Python's ints grow without end: squaring one forty times would not return in this life.
    """
    if -_EXACT <= n <= _EXACT:
        return n
    try:
        return float(n)
    except OverflowError:
        return _INF if n > 0 else -_INF


def divide(a: float, b: float) -> float:
    """a / b;  ±inf for a/0, nan for 0/0."""
    try:
        return a / b
    except ZeroDivisionError:
        if a == 0 or a != a:
            return _NAN
        return math.copysign(_INF, a) * math.copysign(1.0, b)


def sqrt(x: float) -> float:
    """√x;  nan below zero."""
    return math.sqrt(x) if x >= 0 else _NAN


def exp(x: float) -> float:
    """eˣ;  inf above 709.78."""
    try:
        return math.exp(x)
    except OverflowError:
        return _INF


def expm1(x: float) -> float:
    """eˣ - 1 without cancellation near 0;  inf above 709.78."""
    try:
        return math.expm1(x)
    except OverflowError:
        return _INF


def log(x: float) -> float:
    """ln x;  -inf at zero, nan below."""
    if x > 0:
        return math.log(x)
    return -_INF if x == 0 else _NAN


def log1p(x: float) -> float:
    """ln(1 + x) without cancellation near 0;  -inf at -1, nan below."""
    if x > -1:
        return math.log1p(x)
    return -_INF if x == -1 else _NAN


def sinh(x: float) -> float:
    """(eˣ - e⁻ˣ) / 2;  ±inf on overflow."""
    try:
        return math.sinh(x)
    except OverflowError:
        return math.copysign(_INF, x)


def cosh(x: float) -> float:
    """(eˣ + e⁻ˣ) / 2;  inf on overflow."""
    try:
        return math.cosh(x)
    except OverflowError:
        return _INF


def periodic(function, x: float) -> float:
    """sin, cos or tan of x;  nan for ±inf, which has no phase."""
    return function(x) if math.isfinite(x) else _NAN


def sigmoid(x: float) -> float:
    """1 / (1 + e⁻ˣ), written so that neither branch overflows."""
    if x >= 0:
        return 1.0 / (1.0 + math.exp(-x))
    e = math.exp(x)  # nan also comes this way, and stays nan
    return e / (1.0 + e)


def power(x: float, n: float) -> float:
    """xⁿ;  0⁻ⁿ = inf, (-8)^(1/3) = nan (Python's `**` would turn complex), overflow = ±inf."""
    odd = n % 2 == 1  # -1 % 2 is 1 in Python: negative odd exponents count too
    try:
        y = math.pow(x, n)
    except OverflowError:
        return -_INF if x < 0 and odd else _INF
    except ValueError:
        if x != 0:
            return _NAN
        return math.copysign(_INF, x) if odd else _INF
    if type(x) is int and type(n) is int and n >= 0 and abs(y) <= _EXACT:
        return x**n  # whole numbers stay whole
    return y


def power_slope(x: float, n: float) -> float:
    """∂xⁿ/∂x = n xⁿ⁻¹;  0 for n = 0, also where x⁻¹ is inf."""
    return n * power(x, n - 1) if n != 0 else 0


def power_slope_of_exponent(x: float, n: float, y: float) -> float:
    """∂xⁿ/∂n = y ln x, with y = xⁿ;  0 at x = 0 for n ≥ 0, where 0 · ln 0 would be nan."""
    return 0.0 if x == 0 and n >= 0 else y * log(x)
