"""The functions of one variable a `Value` knows, each beside its derivative.

    y = f(x)   →   record y, and the number f′(x), at the moment of computing

The names are NumPy's: on an object array of Values `np.exp(x)` calls `x.exp()` for each element,
so a kernel written as plain loops over arrays also runs on Values and is differentiated by them.
Derivatives at kinks follow PyTorch: relu′(0) = 0, |x|′(0) = 0, max and min share a tie half-half.
Steps, remainders and functions of two variables are in `steps`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from descent.scalar import ieee

if TYPE_CHECKING:
    from descent.scalar.value import Value

__all__ = ["Functions"]

_LN2, _LN10 = math.log(2.0), math.log(10.0)
_TWO_OVER_SQRT_PI = 2.0 / math.sqrt(math.pi)


class Functions:
    """Mixed into `Value`, which supplies `data`, `_unary(op, y, dy)` and `_choose(...)`."""

    __slots__ = ()

    if TYPE_CHECKING:
        data: float

        def _unary(self, op: str, y: float, dy: float) -> Value: ...
        def _choose(self, op: str, other: object, larger: bool) -> Value: ...

    # --- exponentials and logarithms

    def exp(self) -> Value:
        """eˣ;  derivative eˣ."""
        y = ieee.exp(self.data)
        return self._unary("exp", y, y)

    def exp2(self) -> Value:
        """2ˣ;  derivative 2ˣ ln 2."""
        y = ieee.power(2.0, self.data)
        return self._unary("exp2", y, y * _LN2)

    def expm1(self) -> Value:
        """eˣ - 1;  derivative eˣ."""
        y = ieee.expm1(self.data)
        return self._unary("expm1", y, y + 1.0)

    def log(self) -> Value:
        """ln x;  derivative 1/x."""
        return self._unary("log", ieee.log(self.data), ieee.divide(1.0, self.data))

    def log1p(self) -> Value:
        """ln(1 + x);  derivative 1/(1 + x)."""
        return self._unary("log1p", ieee.log1p(self.data), ieee.divide(1.0, 1.0 + self.data))

    def log2(self) -> Value:
        """log₂ x;  derivative 1/(x ln 2)."""
        x = self.data
        y = math.log2(x) if x > 0 else ieee.log(x)
        return self._unary("log2", y, ieee.divide(1.0, x * _LN2))

    def log10(self) -> Value:
        """log₁₀ x;  derivative 1/(x ln 10)."""
        x = self.data
        y = math.log10(x) if x > 0 else ieee.log(x)
        return self._unary("log10", y, ieee.divide(1.0, x * _LN10))

    def sqrt(self) -> Value:
        """√x;  derivative 1/(2√x), inf at 0."""
        y = ieee.sqrt(self.data)
        return self._unary("sqrt", y, ieee.divide(0.5, y))

    # --- activations

    def relu(self) -> Value:
        """max(x, 0);  derivative 1 where x > 0, else 0."""
        x = self.data
        y = 0 if x < 0 else x  # a nan passes through
        return self._unary("ReLU", y, 1 if y > 0 else 0)

    def sigmoid(self) -> Value:
        """σ(x) = 1/(1 + e⁻ˣ);  derivative σ(1 - σ)."""
        y = ieee.sigmoid(self.data)
        return self._unary("sigmoid", y, y * (1.0 - y))

    def tanh(self) -> Value:
        """(eˣ - e⁻ˣ)/(eˣ + e⁻ˣ);  derivative 1 - tanh²x."""
        y = math.tanh(self.data)
        return self._unary("tanh", y, 1.0 - y * y)

    def erf(self) -> Value:
        """2/√π ∫₀ˣ e^(-t²) dt;  derivative 2/√π e^(-x²)."""
        x = self.data
        return self._unary("erf", math.erf(x), _TWO_OVER_SQRT_PI * math.exp(-x * x))

    # --- circular and hyperbolic

    def sin(self) -> Value:
        """Sine, x in radians;  derivative cos x."""
        x = self.data
        return self._unary("sin", ieee.periodic(math.sin, x), ieee.periodic(math.cos, x))

    def cos(self) -> Value:
        """Cosine, x in radians;  derivative -sin x."""
        x = self.data
        return self._unary("cos", ieee.periodic(math.cos, x), -ieee.periodic(math.sin, x))

    def tan(self) -> Value:
        """Tangent, x in radians;  derivative 1 + tan²x."""
        y = ieee.periodic(math.tan, self.data)
        return self._unary("tan", y, 1.0 + y * y)

    def sinh(self) -> Value:
        """(eˣ - e⁻ˣ)/2;  derivative cosh x."""
        return self._unary("sinh", ieee.sinh(self.data), ieee.cosh(self.data))

    def cosh(self) -> Value:
        """(eˣ + e⁻ˣ)/2;  derivative sinh x."""
        return self._unary("cosh", ieee.cosh(self.data), ieee.sinh(self.data))

    def arctan(self) -> Value:
        """The angle whose tangent is x;  derivative 1/(1 + x²)."""
        x = self.data
        return self._unary("arctan", math.atan(x), 1.0 / (1.0 + x * x))

    def arcsin(self) -> Value:
        """The angle whose sine is x, nan outside [-1, 1];  derivative 1/√(1 - x²)."""
        x = self.data
        y = math.asin(x) if -1 <= x <= 1 else math.nan
        return self._unary("arcsin", y, ieee.divide(1.0, ieee.sqrt(1.0 - x * x)))

    def arccos(self) -> Value:
        """The angle whose cosine is x, nan outside [-1, 1];  derivative -1/√(1 - x²)."""
        x = self.data
        y = math.acos(x) if -1 <= x <= 1 else math.nan
        return self._unary("arccos", y, -ieee.divide(1.0, ieee.sqrt(1.0 - x * x)))

    # --- piecewise

    def abs(self) -> Value:
        """|x|;  derivative the sign of x, 0 at 0."""
        x = self.data
        return self._unary("abs", abs(x), (x > 0) - (x < 0))

    def maximum(self, other: Value | float) -> Value:
        """The larger of two, as a node of its own (the builtin `max` returns one of its operands).

        Derivative 1 for the larger, 0 for the other, ½ each on a tie; a nan wins, as in NumPy.
        """
        return self._choose("max", other, larger=True)

    def minimum(self, other: Value | float) -> Value:
        """The smaller of two;  derivative as for `maximum`."""
        return self._choose("min", other, larger=False)
