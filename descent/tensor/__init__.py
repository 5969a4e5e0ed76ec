"""Tensors under PyTorch's names."""

from descent.tensor.core import Tensor
from descent.tensor.size import Size, device

__all__ = ["Size", "Tensor", "device"]
