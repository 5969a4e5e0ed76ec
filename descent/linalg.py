"""Linear algebra under the names of `torch.linalg`: products and norms."""

from descent.tensor.arranging import linalg_diagonal as diagonal
from descent.tensor.contractions import linalg_multi_dot as multi_dot
from descent.tensor.products import linalg_cross as cross
from descent.tensor.products import linalg_vecdot as vecdot
from descent.tensor.products import matmul

__all__ = ["cross", "diagonal", "matmul", "multi_dot", "vecdot"]
