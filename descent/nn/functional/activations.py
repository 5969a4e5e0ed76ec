"""Activations under the names of `torch.nn.functional`."""

from __future__ import annotations

from descent.tensor.activating import gelu, leaky_relu, relu, relu_, silu
from descent.tensor.pointwise import sigmoid, tanh

__all__ = ["gelu", "leaky_relu", "relu", "relu_", "sigmoid", "silu", "tanh"]
