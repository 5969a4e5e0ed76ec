"""Linear algebra under the names of `torch.linalg`: products, norms, equations and factors."""

from descent.tensor.arranging import diagonal as _diagonal
from descent.tensor.contractions import linalg_multi_dot as multi_dot
from descent.tensor.factoring import (
    LinAlgError,
    cholesky,
    det,
    inv,
    matrix_norm,
    matrix_power,
    norm,
    slogdet,
    solve,
    svdvals,
    vander,
)
from descent.tensor.measuring import vector_norm
from descent.tensor.products import linalg_cross as cross
from descent.tensor.products import linalg_vecdot as vecdot
from descent.tensor.products import matmul

__all__ = [
    "LinAlgError", "cholesky", "cross", "det", "diagonal", "inv", "matmul", "matrix_norm",
    "matrix_power", "multi_dot", "norm", "slogdet", "solve", "svdvals", "vander", "vecdot",
    "vector_norm",
]  # fmt: skip


def diagonal(A, *, offset=0, dim1=-2, dim2=-1):
    """Diagonals of matrices."""
    return _diagonal(A, offset, dim1, dim2)
