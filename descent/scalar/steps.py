"""Functions of a `Value` that jump or take two arguments: steps, remainders, angles, inverses.

    a mod b = a − b ⌊a/b⌋ (sign of b)     fmod(a, b) = a − b trunc(a/b) (sign of a)

A step is flat where it is smooth, so its derivative is 0, also at the jump (PyTorch's convention).
NumPy finds these methods on object arrays: `np.floor(x)` calls `__floor__`, `a % b` `__mod__`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from descent.scalar import ieee

if TYPE_CHECKING:
    from descent.scalar.value import Value

__all__ = ["Steps"]


class Steps:
    """Mixed into `Value`, which supplies `data`, `_unary(op, y, dy)` and `_binary(op, b, f)`."""

    __slots__ = ()

    if TYPE_CHECKING:
        data: float

        def _unary(self, op: str, y: float, dy: float) -> Value: ...
        def _binary(self, op: str, other: object, function: object) -> Value: ...

    # --- steps

    def __floor__(self) -> Value:
        """⌊x⌋;  derivative 0."""
        return self._unary("floor", _whole(math.floor, self.data), 0.0)

    def __ceil__(self) -> Value:
        """⌈x⌉;  derivative 0."""
        return self._unary("ceil", _whole(math.ceil, self.data), 0.0)

    def __trunc__(self) -> Value:
        """x without its fraction;  derivative 0."""
        return self._unary("trunc", _whole(math.trunc, self.data), 0.0)

    def rint(self) -> Value:
        """The nearest whole number, half to even;  derivative 0."""
        return self._unary("rint", _whole(round, self.data), 0.0)

    # --- remainders

    def __mod__(self, other: Any) -> Value:
        """Remainder with the sign of the divisor;  derivatives 1 and −⌊a/b⌋."""
        return self._binary("%", other, _mod)

    def __floordiv__(self, other: Any) -> Value:
        """⌊a/b⌋;  derivatives 0."""
        return self._binary("//", other, _floordiv)

    def fmod(self, other: Any) -> Value:
        """Remainder with the sign of the dividend;  derivatives 1 and −trunc(a/b)."""
        return self._binary("fmod", other, _fmod)

    # --- angles and lengths

    def arctan2(self, other: Any) -> Value:
        """The angle of the point (b, a);  derivatives b/(a² + b²) and −a/(a² + b²)."""
        return self._binary("arctan2", other, _arctan2)

    def hypot(self, other: Any) -> Value:
        """√(a² + b²);  derivatives a/y and b/y."""
        return self._binary("hypot", other, _hypot)

    # --- inverses of the hyperbolic functions

    def arcsinh(self) -> Value:
        """ln(x + √(x² + 1));  derivative 1/√(x² + 1)."""
        x = self.data
        return self._unary("arcsinh", math.asinh(x), 1.0 / math.sqrt(x * x + 1.0))

    def arccosh(self) -> Value:
        """ln(x + √(x² − 1)), nan below 1;  derivative 1/√(x² − 1)."""
        x = self.data
        y = math.acosh(x) if x >= 1 else math.nan
        return self._unary("arccosh", y, ieee.divide(1.0, ieee.sqrt(x * x - 1.0)))

    def arctanh(self) -> Value:
        """½ ln((1 + x)/(1 − x)), ±inf at ±1, nan beyond;  derivative 1/(1 − x²)."""
        x = self.data
        if abs(x) < 1:
            y = math.atanh(x)
        else:
            y = math.copysign(math.inf, x) if abs(x) == 1 else math.nan
        return self._unary("arctanh", y, ieee.divide(1.0, 1.0 - x * x))


def _whole(step: Any, x: float) -> float:
    """A step of a float as a float (nan and ±inf stay, and so does the sign of −0.0)."""
    return math.copysign(float(step(x)), x) if math.isfinite(x) else x


def _mod(a: float, b: float) -> tuple[float, float, float]:
    if b == 0 or not math.isfinite(a) or b != b:
        return math.nan, 1.0, math.nan
    r = math.fmod(a, b)
    if r and (r < 0) != (b < 0):
        r += b
    return r, 1.0, -_floordiv(a, b)[0]


def _floordiv(a: float, b: float) -> tuple[float, float, float]:
    return (ieee.divide(a, b) if b == 0 else float(a // b)), 0.0, 0.0


def _fmod(a: float, b: float) -> tuple[float, float, float]:
    if b == 0 or not math.isfinite(a) or b != b:
        return math.nan, 1.0, math.nan
    return math.fmod(a, b), 1.0, -_whole(math.trunc, ieee.divide(a, b))


def _arctan2(a: float, b: float) -> tuple[float, float, float]:
    square = a * a + b * b
    slopes = (b / square, -a / square) if square else (0.0, 0.0)
    return (math.atan2(a, b), *slopes)


def _hypot(a: float, b: float) -> tuple[float, float, float]:
    y = math.hypot(a, b)
    return y, ieee.divide(a, y), ieee.divide(b, y)
