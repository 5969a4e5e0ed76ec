"""Which declared loops have a form that works on some rows, so that threads can share it.

`form_of(ladder, inputs)` gives a function (inputs, outputs, metas, temporary) → nodes, or None: the
loops then run whole, on one thread.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from descent.compiler.graph import Loops, View
from descent.ops import (
    attending,
    headwise,
    likelihood,
    normalization,
    probability,
    rowwise,
    turning,
)

__all__ = ["IN_PLACE", "form_of"]

Views = list[View]
Form = Callable[[Views, Views, list[Any], Any], list[Any]]


def form_of(ladder: Any, inputs: list[Any]) -> Form | None:
    """The form of a ladder's loops for float32 inputs."""
    form = _FORMS.get(id(ladder))
    if form is None or inputs[0].dtype not in (np.float32, np.int64):
        return None
    floats = [a.dtype for a in inputs if a.dtype.kind == "f"]
    return form if all(d == np.float32 for d in floats) else None


def _by_row(
    fn: Any, whole: tuple[int, ...] = (), cost: int = 4, path: tuple[str, str] = ("", "")
) -> Form:
    """All arrays cut by rows, but those inputs at the positions `whole`; `path`: where fn is."""

    def form(ins: Views, outs: Views, metas: list[Any], temporary: Any) -> list[Any]:
        cut = tuple(i not in whole for i in range(len(ins) + len(outs)))
        rows = next(v.shape[0] for v, c in zip([*ins, *outs], cut) if c)
        size = max(v.size for v in ins)
        work = cost * size
        return [Loops(fn, ins, outs, metas, path, rows=rows, by_row=cut, operations=work)]

    return form


def _layer_norm(ins: Views, outs: Views, metas: list[Any], temporary: Any) -> list[Any]:
    metas = [np.float32(metas[0])]
    return _by_row(normalization.layer_norm_rows, (1, 2))(ins, outs, metas, temporary)


def _layer_norm_grad(ins: Views, outs: Views, metas: list[Any], temporary: Any) -> list[Any]:
    x, _, mean, rstd, dy = ins
    dx, dw, db = outs
    back = _by_row(rowwise.layer_norm_dx, (1,), 8)(ins, [dx], [], temporary)
    columns = Loops(
        rowwise.layer_norm_columns, [x, mean, rstd, dy], [dw, db], [], rows=dw.size, columns=True,
        operations=6 * x.size,
    )  # fmt: skip
    return [*back, columns]


def _rms_norm(ins: Views, outs: Views, metas: list[Any], temporary: Any) -> list[Any]:
    return _by_row(rowwise.rms_norm, (1,))(ins, outs, [np.float32(metas[0])], temporary)


def _rms_norm_grad(ins: Views, outs: Views, metas: list[Any], temporary: Any) -> list[Any]:
    x, _, rstd, dy = ins
    dx, dw = outs
    columns = Loops(
        rowwise.rms_norm_columns, [x, rstd, dy], [dw], [], rows=dw.size, columns=True,
        operations=4 * x.size,
    )  # fmt: skip
    return [*_by_row(rowwise.rms_norm_dx, (1,), 8)(ins, [dx], [], temporary), columns]


def _entries(fn: Any, ins: Views, outs: Views, scale: float, products: int) -> list[Any]:
    (b, t, d), s, e = ins[0].shape, ins[1].shape[1], ins[2].shape[2]
    cut = [i != 3 for i in range(len(ins) + len(outs))]
    work = products * b * t * s * (d + e)
    metas = [t, s, d, e, np.float32(scale)]
    return [Loops(fn, ins, outs, metas, rows=b, by_row=tuple(cut), columns=True, operations=work)]


def _attention(ins: Views, outs: Views, metas: list[Any], temporary: Any) -> list[Any]:
    return _entries(headwise.attend, ins, outs, metas[0], 2)


def _attention_grad(ins: Views, outs: Views, metas: list[Any], temporary: Any) -> list[Any]:
    return _entries(headwise.attend_grad, ins, outs, metas[0], 5)


_FORMS: dict[int, Form] = {
    id(probability.softmax.ladder): _by_row(rowwise.softmax, (), 8),
    id(probability.softmax.grads[0]): _by_row(rowwise.softmax_grad),
    id(probability.log_softmax.ladder): _by_row(rowwise.log_softmax, (), 8),
    id(probability.log_softmax.grads[0]): _by_row(rowwise.log_softmax_grad, (), 8),
    id(likelihood.cross_entropy.ladder): _by_row(rowwise.cross_entropy, (), 8),
    id(likelihood.cross_entropy.grads[0]): _by_row(rowwise.cross_entropy_grad),
    id(normalization.layer_norm.ladder): _layer_norm,
    id(normalization.layer_norm.grads[0]): _layer_norm_grad,
    id(normalization.rms_norm.ladder): _rms_norm,
    id(normalization.rms_norm.grads[0]): _rms_norm_grad,
    id(turning.rotary.ladder): _by_row(
        turning.rotary.ladder.loops, (1, 2), path=(turning.__name__, "rotary.ladder.loops")
    ),
    id(turning.rotary.grads[0]): _by_row(
        turning.rotary_grad.loops, (0, 1), path=(turning.__name__, "rotary_grad.loops")
    ),
    id(attending.attention.ladder): _attention,
    id(attending.attention.grads[0]): _attention_grad,
}

# Kernels that can write an output over an input: the twin that does, and the numbers of the two.
IN_PLACE = {
    id(rowwise.cross_entropy): (rowwise.cross_entropy_in_place, 0, 1),
    id(rowwise.cross_entropy_grad): (rowwise.cross_entropy_grad_in_place, 1, 0),
}
