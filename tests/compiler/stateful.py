"""Steps with state: tables, indices, gradients that add up, closures, aliases, two steps at once."""

from __future__ import annotations

import descent as dc
from descent import nn

__all__ = ["PROGRAMS"]

PROGRAMS = {}
R = dc.randn


def program(fn=None, **options):
    """Register a builder: step → (call, state)."""
    if fn is None:
        return lambda f: program(f, **options)
    PROGRAMS[fn.__name__] = (fn, options)
    return fn


@program
def same_arg_twice(step):
    w = R(4).requires_grad_()

    @step
    def run(a, b):
        w.grad = None
        l = (a * w + b.exp()).sum()
        l.backward()
        return l, a - b

    def call(i):
        a, b = R(4), R(4)
        return run(a, a if i % 2 == 0 else b)

    return call, [w]


@program
def same_arg_twice2(step):
    @step
    def run(a, b):
        return a - 2 * b

    def call(i):
        a, b = R(4), R(4)
        return run(a, a if i % 2 == 1 else b)

    return call, []


@program
def noncontig_arg(step):
    @step
    def run(a, b):
        return a @ b + a.sum(), a.T * 1

    return (lambda i: run(R(4, 3).T, R(8, 5)[::2])), []


@program
def floats(step):
    @step
    def run(a, s, flag=False, n=1):
        return a * s if not flag else a / s + n

    def call(i):
        a = dc.arange(4)
        return run(a, [1, 1.0, True, 2, -0.0][i], flag=[False, False, False, True, 1][i])

    return call, []


PROGRAMS["floats"] = (floats, {"calls": 5})


@program
def closure_scale(step):
    cfg = {"s": 1.0, "l": [1, 2]}
    scale = 1.0

    @step
    def run(a):
        return a * scale + cfg["s"] * cfg["l"][1]

    def call(i):
        nonlocal scale
        scale = 1.0 + i
        cfg["s"] = 2.0 * i
        if i == 2:
            cfg["l"][1] = 7
        return run(dc.ones(3))

    return call, []


class Holder:
    pass


@program
def attr_scale(step):
    h = Holder()
    h.s = 1.0
    h.t = dc.ones(3)
    h.other = 0

    @step
    def run(a):
        return a * h.s + h.t

    def call(i):
        h.s = 1.0 + (i > 1)
        h.other += 1
        if i == 2:
            h.t = dc.ones(3) * 5
        return run(dc.ones(3))

    return call, []


GLOBAL = 1.0


class UsesGlobal(nn.Module):
    def forward(self, x):
        return x * GLOBAL


@program
def module_global(step):
    m = UsesGlobal()
    run = step(lambda x: m(x))

    def call(i):
        global GLOBAL
        GLOBAL = float(i)
        return run(dc.ones(2))

    return call, []


@program(refused=True)
def outer_history(step):
    w = R(4).requires_grad_()
    h = R(4)

    @step
    def run(x):
        h.mul_(w)
        return h * 1

    return (
        lambda i: (run(R(4)), setattr(h, "node", None), setattr(h, "requires_grad", False))[0]
    ), [w, h]


@program(refused=True)
def self_state(step):
    o = Holder()
    o.h = R(2, 4)
    w = R(4, 4)

    @step
    def run(x):
        o.h = (o.h @ w + x).tanh()
        return o.h * 1

    return (lambda i: run(R(2, 4))), [w]


@program
def nested(step):
    w = R(4).requires_grad_()

    @step
    def inner(x):
        return (w * x).tanh()

    @step
    def outer(x):
        w.grad = None
        l = inner(x).sum()
        l.backward()
        return l

    def call(i):
        if i == 1:
            with dc.no_grad():
                inner(R(4))
        return outer(R(4))

    return call, [w]


@program
def alias_arg(step):
    w = R(4)

    @step
    def run(x):
        w.add_(1.0)
        return x * 2 + w

    return (lambda i: run(w.detach() if i else R(4))), [w]


PROGRAMS["alias_arg"] = (alias_arg, {"refused": None})


@program
def nograd_mode(step):
    w = R(4).requires_grad_()

    @step
    def run(x):
        y = w * x
        return y.sum() if not y.requires_grad else y.sum() * 2

    def call(i):
        if i == 1:
            with dc.no_grad():
                return run(R(4))
        return run(R(4))

    return call, []


@program
def int64_args(step):
    @step
    def run(a, b, c):
        return (
            a + b,
            a // 3,
            a * c,
            (a > 1) & c,
            a.sum(),
            a.float().mean(),
            a.max(),
            a - 20000001,
            a == 16777217,
        )

    return (
        lambda i: run(
            dc.tensor([1, 2, 16777217 + i]), dc.tensor([3, 4, 5]), dc.tensor([True, False, True])
        )
    ), []
