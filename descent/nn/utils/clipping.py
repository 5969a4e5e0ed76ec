"""Gradient clipping: keep one bad batch from throwing the weights away.

    g ← g · min(1, max_norm / (‖g‖ + 10⁻⁶)),  ‖g‖ over all parameters together

Pascanu, Mikolov & Bengio 2013, arXiv:1211.5063.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from descent.autograd import TensorBase, capturing, no_grad
from descent.tensor import Tensor
from descent.tensor.creating import zeros
from descent.tensor.joining import stack

__all__ = ["clip_grad_norm_", "clip_grad_value_", "get_total_norm"]


def _gradient_tensors(parameters: Any) -> list[Any]:
    if isinstance(parameters, TensorBase):
        parameters = [parameters]
    return [p.grad for p in parameters if p.grad is not None]


def _gradients(parameters: Any) -> list[np.ndarray]:
    return [g.array for g in _gradient_tensors(parameters)]


def _norm(arrays: list[np.ndarray], norm_type: float) -> Any:
    """The norm of the per-tensor norms, in the gradients' dtype, as PyTorch rounds it."""
    if not arrays:
        return np.float32(0)
    kind = arrays[0].dtype.type
    with np.errstate(all="ignore"):
        if norm_type == math.inf:
            return kind(max(np.abs(a).max(initial=0) for a in arrays))
        if norm_type == 2:
            total = sum(float(np.dot(a.ravel(), a.ravel())) for a in arrays)
            return kind(math.sqrt(total)) if total >= 0 else kind(math.nan)
        total = sum(float((np.abs(a) ** norm_type).sum(dtype=np.float64)) for a in arrays)
        return kind(np.float64(total) ** (1.0 / norm_type))


def _not_finite(norm_type: float, norm: Any) -> str:
    return (
        f"The total norm of order {norm_type} for gradients from `parameters` is non-finite "
        f"({norm}), so it cannot be clipped. To disable this error and scale the gradients by "
        "the non-finite norm anyway, set `error_if_nonfinite=False`"
    )


def get_total_norm(
    tensors: Any, norm_type: float = 2.0, error_if_nonfinite: bool = False, foreach: Any = None
) -> Tensor:
    """The norm of all these tensors as if they were one vector.

    Raises:
        RuntimeError: when it is NaN or infinite and `error_if_nonfinite`.
    """
    if isinstance(tensors, TensorBase):
        tensors = [tensors]
    norm = _norm([t.array for t in tensors], float(norm_type))
    if error_if_nonfinite and not np.isfinite(norm):
        raise RuntimeError(_not_finite(norm_type, norm))
    return Tensor(np.asarray(norm))


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: Any = None,
) -> Tensor:
    """Scale the gradients, in place, so that their common norm is at most `max_norm`.

    Returns:
        The norm before clipping (a 0-d tensor).
    """
    if not isinstance(parameters, TensorBase):
        parameters = list(parameters)
    if capturing() is not None:
        return _clip_in_ops(parameters, float(max_norm), float(norm_type), error_if_nonfinite)
    grads = _gradients(parameters)
    norm = get_total_norm([Tensor(g) for g in grads], norm_type, error_if_nonfinite)
    scale = float(max_norm) / (float(norm.array) + 1e-6)
    if not scale >= 1:  # also for NaN, which spreads as in PyTorch
        with np.errstate(invalid="ignore"):  # inf · 0
            for g in grads:
                g *= scale
    return norm


def _clip_in_ops(parameters: Any, max_norm: float, norm_type: float, finite: bool) -> Any:
    """The same out of tensor ops alone, with no branch on a number, so that a capture sees it."""
    grads = _gradient_tensors(parameters)
    with no_grad():
        if not grads:
            return zeros(())
        if norm_type == math.inf:
            norm = stack([g.abs().max() for g in grads]).max()
        elif norm_type == 2:
            norm = stack([(g * g).sum() for g in grads]).sum().sqrt()
        else:
            norm = stack([(g.abs() ** norm_type).sum() for g in grads]).sum() ** (1.0 / norm_type)
        if finite and not norm.isfinite():
            raise RuntimeError(_not_finite(norm_type, norm.item()))
        scale = (max_norm / (norm + 1e-6)).clamp(max=1.0)
        for g in grads:
            g.mul_(scale)
    return norm


def clip_grad_value_(
    parameters: Tensor | Iterable[Tensor], clip_value: float, foreach: Any = None
) -> None:
    """Clamp every element of the gradients, in place, to ±clip_value."""
    limit = float(clip_value)
    if capturing() is not None:
        with no_grad():
            for g in _gradient_tensors(parameters):
                g.clamp_(-limit, limit)
        return
    for g in _gradients(parameters):
        np.clip(g, -limit, limit, out=g)
