"""Special functions under the names of `torch.special`."""

from descent.tensor.pointwise import exp2, expm1, log1p, logit, sigmoid, sinc, xlogy
from descent.tensor.rounding import round
from descent.tensor.special import (
    digamma,
    entr,
    erf,
    erfc,
    erfcx,
    erfinv,
    i0,
    i0e,
    i1,
    i1e,
    lgamma,
    log_ndtr,
    mvlgamma,
    ndtr,
    ndtri,
    polygamma,
    xlog1py,
    zeta,
)

expit, psi, gammaln, multigammaln = sigmoid, digamma, lgamma, mvlgamma

__all__ = [
    "digamma", "entr", "erf", "erfc", "erfcx", "erfinv", "exp2", "expit", "expm1", "gammaln", "i0",
    "i0e", "i1", "i1e", "log1p", "log_ndtr", "logit", "multigammaln", "ndtr", "ndtri", "polygamma",
    "psi", "round", "sinc", "xlog1py", "xlogy", "zeta",
]  # fmt: skip
