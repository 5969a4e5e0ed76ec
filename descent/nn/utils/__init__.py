"""Helpers over lists of parameters: clipping of gradients, one vector from all of them."""

from descent.nn.utils.clipping import clip_grad_norm_, clip_grad_value_, get_total_norm
from descent.nn.utils.vectors import parameters_to_vector, vector_to_parameters

__all__ = [
    "clip_grad_norm_", "clip_grad_value_", "get_total_norm", "parameters_to_vector",
    "vector_to_parameters",
]  # fmt: skip
