"""What must hold of every op: its forms agree, and its gradient is the derivative of its forward.

For a primitive op on small float64 arrays: the plain loops as Python, the same loops compiled and
every faster rung give the same numbers; the gradient is the central difference; `explain` gives the
forward number, and walking back over the explained scalars gives the gradient.
"""

from __future__ import annotations

import numpy as np

from descent.op import Elementwise, Movement, Op
from descent.op.expand import subscript
from descent.scalar.value import topological_order

__all__ = ["check_elementwise", "check_movement", "check_op"]

CLOSE = {"rtol": 1e-9, "atol": 1e-11}
CLOSE_FLOAT32 = {"rtol": 2e-5, "atol": 2e-6}
NUMERIC = {"rtol": 2e-5, "atol": 1e-7}  # central differences lose digits
STEP = 1e-6


def check_elementwise(op: Elementwise, *arrays: np.ndarray, **meta: object) -> None:
    """All of the above for an elementwise op (inputs broadcast)."""
    (y,), _ = op.forward(arrays, meta)
    metas = [meta.get(m, op.defaults[m]) for m in op.metas]
    python = np.vectorize(op.scalar, otypes=[y.dtype])(*arrays, *metas)
    np.testing.assert_allclose(y, python, err_msg=f"{op.name}: NumPy form ≠ scalar form", **CLOSE)
    np.testing.assert_allclose(
        y, op.run_compiled(arrays, meta), err_msg=f"{op.name}: compiled ≠ NumPy form", **CLOSE
    )
    if op.derivatives:
        _check_derivatives(op, arrays, meta)
        check_gradient(op, arrays, meta)
    check_explained(op, arrays, meta)


def _check_derivatives(op: Elementwise, arrays: tuple, meta: dict) -> None:
    """The scalar derivative, element by element, equals its whole-array form."""
    (y,), ctx = op.forward(arrays, meta, [n in op.derivatives for n in op.inputs])
    dy = _cotangent(y)
    for name, d in op.derivatives.items():
        known = {**dict(zip(op.inputs, arrays)), **ctx.known, "y": y, "dy": dy}
        read = [known[n] for n in d.names]
        one_by_one = np.vectorize(d.scalar, otypes=[float])(*read)
        np.testing.assert_allclose(
            d.arrays(*read), one_by_one, err_msg=f"{op.name}: forms of d{name} differ", **CLOSE
        )


def check_op(op: Op, *arrays: np.ndarray, **meta: object) -> None:
    """All of the above for an op declared by loops; every output and every rung is compared."""
    lowered, _ = op.lower.down(op, arrays, meta)
    metas = [meta[m] for m in op.metas]
    outs = _check_ladder(op.name, op.ladder, lowered, metas, lambda: op.allocate(lowered))
    if op.grads:
        y = outs[0]
        known = dict(zip(op.inputs, lowered)) | dict(zip(op.outputs, outs))
        known[f"d{op.outputs[0]}"] = _cotangent(y)
        for ladder in op.grads:
            targets = [lowered[op.inputs.index(n[1:])] for n in ladder.outputs]
            _check_ladder(
                ladder.loops.__name__,
                ladder,
                [known[n] for n in ladder.inputs],
                [meta[m] for m in ladder.metas],
                lambda targets=targets: [np.empty(t.shape, t.dtype) for t in targets],
            )
        check_gradient(op, arrays, meta)
    check_explained(op, arrays, meta)


def _check_ladder(name, ladder, arrays, metas, like):
    """Every rung gives what the plain loops give as Python; returns that."""
    python = ladder.run_rung("python", arrays, metas, like)
    for rung in ["loops", *(r.name for r in ladder.rungs)]:
        given, close = arrays, CLOSE
        if rung == "tuned":  # a float32 rung
            given = [a.astype(np.float32) if a.dtype.kind == "f" else a for a in arrays]
            close = CLOSE_FLOAT32
        got = ladder.run_rung(rung, given, metas, like)
        for out, a, b in zip(ladder.outputs, got, python):
            np.testing.assert_allclose(
                a, b, err_msg=f"{name}: {out} of rung {rung!r} ≠ Python loops", **close
            )
    return python


def check_movement(op: Movement, *arrays: np.ndarray, **meta: object) -> None:
    """The gradient is the central difference, and every element knows where it came from."""
    check_gradient(op, arrays, meta)
    check_explained(op, arrays, meta)


def _cotangent(y: np.ndarray) -> np.ndarray:
    return np.random.default_rng(5).uniform(0.5, 1.5, y.shape).astype(y.dtype)


def _differentiable(op, arrays) -> list[bool]:
    if isinstance(op, Elementwise):
        return [n in op.derivatives and a.dtype.kind == "f" for n, a in zip(op.inputs, arrays)]
    if isinstance(op, Op):
        given = {n[1:] for g in op.grads for n in g.outputs}
        return [n in given for n in op.inputs]
    return [a.dtype.kind == "f" for a in arrays]


def check_gradient(op, arrays, meta) -> None:
    """`backward` equals the central difference of Σ dy · y, for every element of every input."""
    needs = _differentiable(op, arrays)
    outs, ctx = op.forward(arrays, meta, needs)
    dy = _cotangent(outs[0])
    grads = op.backward(ctx, dy, needs)
    for i, (need, got) in enumerate(zip(needs, grads)):
        if not need:
            continue
        numeric = np.empty(arrays[i].shape)
        for at in np.ndindex(arrays[i].shape):
            ends = []
            for step in (STEP, -STEP):
                moved = [a.copy() for a in arrays]
                moved[i][at] += step
                ends.append(op.forward(moved, meta)[0][0])
            numeric[at] = (dy * (ends[0] - ends[1])).sum() / (2 * STEP)
        np.testing.assert_allclose(
            got, numeric, err_msg=f"{op.name}: gradient {i} ≠ central difference", **NUMERIC
        )


def check_explained(op, arrays, meta) -> None:
    """A few elements: explained value = forward, and its chain rule = the gradient kernel."""
    if isinstance(op, Elementwise) and op.opaque:
        return  # it looks at the bits of its numbers: there is no chain rule to draw
    needs = _differentiable(op, arrays)
    outs, ctx = op.forward(arrays, meta, needs if any(needs) else None)
    places = list(np.ndindex(outs[0].shape))
    names = [f"{op.inputs[0]}{i}" for i in range(len(arrays))] if _many(op) else op.inputs
    for at in places[:: max(1, len(places) // 3)]:
        root = op.explain(arrays, at, meta)
        np.testing.assert_allclose(
            root.data, outs[0][at], err_msg=f"{op.name}: explain{at} ≠ forward", **CLOSE
        )
        if not any(needs) or getattr(op, "opaque", False):
            continue  # nothing to walk
        root.backward()
        found: dict[str, float] = {}
        for v in topological_order(root):
            if v.label and not v.parents:
                found[v.label] = found.get(v.label, 0.0) + v.grad
        dy = np.zeros(outs[0].shape)
        dy[at] = 1
        for name, a, g in zip(names, arrays, op.backward(ctx, dy, needs)):
            if g is None:
                continue
            walked = [found.get(subscript(name, i, a.shape), 0.0) for i in range(a.size)]
            np.testing.assert_allclose(
                np.reshape(walked, a.shape),
                g,
                err_msg=f"{op.name}: chain rule of {name} at {at} ≠ gradient",
                rtol=1e-7,
                atol=1e-10,
            )


def _many(op) -> bool:
    return isinstance(op, Movement) and op.many
