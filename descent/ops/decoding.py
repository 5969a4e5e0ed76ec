"""What a decoder does to each row between two products, as works: functions of (lo, hi, frame, me).

    LayerNorm   y = (x − mean x) / √(var x + ε) · w + b          arXiv:1607.06450
    RMSNorm     y = x / √(mean x² + ε) · w                       arXiv:1910.07467
    MLP         y = f(x),   or gated:  y = f(x) ⊙ x′             arXiv:2002.05202

A work does units lo … hi of itself; what it reads and writes lies in its frame (see
`descent.kernel.places`): slot 0 the sizes of this step, slot 1 its own constants, then arrays. So
a whole forward pass is a list of works, and threads share each of them (`descent.kernel.crew`).
All sizes are in numbers, all arrays flat. float32.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

import numpy as np

from descent.kernel import Kernel, kernel, places
from descent.ops.activations import gelu32, gelu_tanh32, silu32
from descent.ops.rectifiers import relu32

__all__ = [
    "ACTIVATIONS",
    "GATES",
    "ROWS",
    "WANTED",
    "WIDEST",
    "layer_norm",
    "rms_norm",
    "spot",
    "variant",
]

ROWS, WANTED, WIDEST = 0, 1, 2  # of the sizes: rows, rows whose logits are wanted, table's width
ZERO, ONE = np.float32(0), np.float32(1)


def spot(u, pieces, rows):
    """Row and piece of unit u, where every row has so many pieces: four rows together have piece 0
    done, then piece 1, …, so that a thread finds near what rows of one sequence share."""
    four = u // (4 * pieces)
    together, inside = min(4, rows - 4 * four), u - four * 4 * pieces
    return 4 * four + inside % together, inside // together


@kernel(reorder=True)
def layer_norm(lo, hi, frame, me):
    """Rows lo … hi of y. Frame: sizes, [n], x, y, weight, bias, [ε], x's row for each of y's."""
    shape = places.int64(frame, 1)
    xs, ys = places.float32(frame, 2), places.float32(frame, 3)
    weight, bias = places.float32(frame, 4), places.float32(frame, 5)
    epsilon, picked = places.float32(frame, 6), places.int32(frame, 7)
    n = shape[0]
    for r in range(lo, hi):
        x, y = xs[picked[r] * n : (picked[r] + 1) * n], ys[r * n : (r + 1) * n]
        total, squares = ZERO, ZERO
        for i in range(n):
            total += x[i]
        mean = total / np.float32(n)
        for i in range(n):
            squares += (x[i] - mean) * (x[i] - mean)
        scale = ONE / np.sqrt(squares / np.float32(n) + epsilon[0])
        for i in range(n):
            y[i] = (x[i] - mean) * scale * weight[i] + bias[i]


@kernel(reorder=True)
def rms_norm(lo, hi, frame, me):
    """Rows lo … hi of y. Frame as `layer_norm`'s; the bias is not read."""
    shape = places.int64(frame, 1)
    xs, ys = places.float32(frame, 2), places.float32(frame, 3)
    weight, epsilon = places.float32(frame, 4), places.float32(frame, 6)
    picked = places.int32(frame, 7)
    n = shape[0]
    for r in range(lo, hi):
        x, y = xs[picked[r] * n : (picked[r] + 1) * n], ys[r * n : (r + 1) * n]
        squares = ZERO
        for i in range(n):
            squares += x[i] * x[i]
        scale = ONE / np.sqrt(squares / np.float32(n) + epsilon[0])
        for i in range(n):
            y[i] = x[i] * scale * weight[i]


def f(x: Any) -> Any:
    """Stands for the activation that `variant` puts here."""
    raise NotImplementedError


def activate(lo, hi, frame, me):
    """y = f(x), columns lo·width … hi·width of all rows. Frame: sizes, [width, row], x, y."""
    sizes, shape = places.int64(frame, 0), places.int64(frame, 1)
    xs, ys = places.float32(frame, 2), places.float32(frame, 3)
    first, n, row = lo * shape[0], (hi - lo) * shape[0], shape[1]
    for r in range(sizes[ROWS]):
        x, y = xs[r * row + first :][:n], ys[r * row + first :][:n]
        for i in range(n):
            y[i] = f(x[i])


def gate(lo, hi, frame, me):
    """y = f(a) ⊙ b, units of `width` columns of all rows. Frame: sizes, [width, row], x, y.

    A row of x is twice as long as one of y: `width` numbers of a, as many of b, and so on.
    """
    sizes, shape = places.int64(frame, 0), places.int64(frame, 1)
    xs, ys = places.float32(frame, 2), places.float32(frame, 3)
    n, row = shape[0], shape[1]
    for r in range(sizes[ROWS]):
        for u in range(lo, hi):
            at = 2 * (r * row + u * n)
            a, b, y = xs[at : at + n], xs[at + n :][:n], ys[r * row + u * n :][:n]
            for i in range(n):
                y[i] = f(a[i]) * b[i]


def variant(template: Callable[..., None], **given: Any) -> Kernel:
    """The work with these functions in the place of those it names, under a name of its own: it is
    kept on disk by name."""
    names = {**template.__globals__, **given}
    name = "_".join([template.__name__, *(f.__name__ for f in given.values())])
    work = types.FunctionType(template.__code__, names, name)
    work.__qualname__, work.__doc__ = name, template.__doc__
    return Kernel(work)


ACTIVATIONS = {
    "gelu_tanh": variant(activate, f=gelu_tanh32),
    "gelu": variant(activate, f=gelu32),
    "relu": variant(activate, f=relu32),
}
GATES = {"silu": variant(gate, f=silu32), "gelu_tanh": variant(gate, f=gelu_tanh32)}
