"""Parameters that live in an array: a Value that is a window on one element of it.

    p.data  reads  array[k]        p.data = x  writes it        (the same for grad)

Between `opened` and `closed` nothing has to be copied between the Values and the compiled loops.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from descent.scalar import Value

__all__ = ["closed", "opened"]

_DATA, _GRAD = Value.__dict__["data"], Value.__dict__["grad"]  # the slots themselves


class Window(Value):
    """A Value whose slots hold (array, place) instead of the number."""

    __slots__ = ()

    @property
    def data(self) -> float:  # type: ignore[override]
        array, k = _DATA.__get__(self)
        return array.item(k)

    @data.setter
    def data(self, x: Any) -> None:
        array, k = _DATA.__get__(self)
        array[k] = x

    @property
    def grad(self) -> float:  # type: ignore[override]
        array, k = _GRAD.__get__(self)
        return array.item(k)

    @grad.setter
    def grad(self, x: Any) -> None:
        array, k = _GRAD.__get__(self)
        array[k] = x


def opened(parameters: Sequence[Value], data: np.ndarray, grad: np.ndarray) -> None:
    """Turn the parameters, whose numbers the arrays hold, into windows."""
    for k, p in enumerate(parameters):
        p.data, p.grad = (data, k), (grad, k)  # type: ignore[assignment]
        p.__class__ = Window


def closed(parameters: Sequence[Value]) -> None:
    """Turn windows back into plain Values with the numbers they show."""
    for p in parameters:
        data, grad = p.data, p.grad
        p.__class__ = Value
        p.data, p.grad = data, grad
