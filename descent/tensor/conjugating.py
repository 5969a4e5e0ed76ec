"""What PyTorch offers for complex numbers, on the real ones: most of it changes nothing."""

from __future__ import annotations

from typing import Any

import numpy as np

from descent.autograd import wrap
from descent.ops import arithmetic
from descent.tensor.calling import need_tensor, unary

__all__ = [
    "angle", "conj", "conj_physical", "is_complex", "isreal", "positive",
    "real", "resolve_conj", "resolve_neg",
]  # fmt: skip

angle = unary(arithmetic.angle, floating=True)


def real(input: Any) -> Any:
    """The real part: the tensor itself."""
    return need_tensor(input, "real")


conj = conj_physical = resolve_conj = resolve_neg = real


def positive(input: Any) -> Any:
    """+input: the tensor itself."""
    if need_tensor(input, "positive").array.dtype.kind == "b":
        raise RuntimeError("The `+` operator, on a bool tensor is not supported.")
    return input


def is_complex(input: Any) -> bool:
    """False: complex numbers are left out."""
    need_tensor(input, "is_complex")
    return False


def isreal(input: Any) -> Any:
    """True everywhere."""
    return wrap(np.ones(need_tensor(input, "isreal").array.shape, bool))


def never(input: Any) -> bool:
    """False: there is no lazily conjugated or negated tensor."""
    need_tensor(input, "is_conj")
    return False


class ConjugatingMethods:
    """The methods of `Tensor` that this family gives."""

    __slots__ = ()

    conj = conj_physical = conj_physical_ = resolve_conj = resolve_neg = real
    real = property(real)
    positive, angle, isreal, is_complex = positive, angle, isreal, is_complex
    is_conj = is_neg = never
    __pos__ = positive
