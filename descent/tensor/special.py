"""Special functions of tensors: error functions, the normal distribution, gamma, Bessel."""

from __future__ import annotations

import math
from typing import Any

from descent.autograd import apply
from descent.ops import bessel, exponentials, gammas, normal
from descent.ops import special as errors
from descent.tensor.calling import binary, in_place, need_tensor, unary
from descent.tensor.common import operands
from descent.tensor.pointwise import add, sub

__all__ = ["digamma", "erf", "erfc", "erfinv", "i0", "lgamma", "mvlgamma", "polygamma"]

erf, erfc = unary(errors.erf, floating=True), unary(errors.erfc, floating=True)
erfinv, erfcx = unary(normal.erfinv, floating=True), unary(normal.erfcx, floating=True)
ndtr, ndtri = unary(normal.ndtr, floating=True), unary(normal.ndtri, floating=True)
log_ndtr, entr = unary(normal.log_ndtr, floating=True), unary(normal.entr, floating=True)
xlog1py = binary(exponentials.xlog1py, floating=True)
lgamma, digamma = unary(gammas.lgamma, floating=True), unary(gammas.digamma, floating=True)
zeta = binary(gammas.zeta, floating=True)
i0, i0e = unary(bessel.i0, floating=True), unary(bessel.i0e, floating=True)
i1, i1e = unary(bessel.i1, floating=True), unary(bessel.i1e, floating=True)


def polygamma(n: int, input: Any) -> Any:
    """The n-th derivative of digamma."""
    if n < 0:
        raise RuntimeError(f"polygamma(n, x) does not support negative n, got {n}")
    (x,) = operands(need_tensor(input, "polygamma"), floating=True)
    return apply(gammas.polygamma, x, n=int(n))


def mvlgamma(input: Any, p: int) -> Any:
    """ln Γₚ(x) = ¼ p (p − 1) ln π + Σ_j ln Γ(x − ½ j), j = 0 … p − 1: the multivariate gamma."""
    if p < 1:
        raise RuntimeError(f"p has to be greater than or equal to 1, got {p}")
    total = lgamma(input)
    for j in range(1, p):
        total = add(total, lgamma(sub(input, 0.5 * j)))
    return add(total, 0.25 * p * (p - 1) * math.log(math.pi))


class SpecialMethods:
    """The methods of `Tensor` that this family gives."""

    __slots__ = ()

    erf, erfc, erfinv, lgamma, digamma, i0 = erf, erfc, erfinv, lgamma, digamma, i0
    erf_, erfc_, erfinv_, lgamma_, digamma_ = map(in_place, (erf, erfc, erfinv, lgamma, digamma))
    mvlgamma, mvlgamma_, i0_ = mvlgamma, in_place(mvlgamma), in_place(i0)

    def polygamma(self, n: int) -> Any:
        """The n-th derivative of digamma."""
        return polygamma(n, self)
