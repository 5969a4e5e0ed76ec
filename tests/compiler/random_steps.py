"""Random steps: chains of elementwise ops, views, sums, products, draws and changes in place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import descent as dc
from descent.nn import functional as F

__all__ = ["Choices", "step_of"]

SHAPES = [(3, 4), (4,), (2, 3, 4), (4, 4), (1, 4), (3, 1), (), (5, 3)]
MOST = 400  # elements of a result

ELEMENTWISE = [
    lambda a: a * 1.5 + 0.25, lambda a: a.tanh(), lambda a: a.relu(), lambda a: a.sigmoid() - 0.5,
    lambda a: -a, lambda a: (a * a + 0.1).sqrt(), lambda a: (a * 0.3).exp().clamp(max=3.0),
    lambda a: (a > 0).float(), lambda a: (a * 4).long().float() * 0.2 + a * 0.1, lambda a: F.gelu(a),
    lambda a: a.detach() * 0.5, lambda a: dc.where(a > 0.1, a, a * 0.1), lambda a: a.clone(),
    lambda a: a / (a.abs() + 1.0), lambda a: a**2 * 0.3, lambda a: a.masked_fill(a > 0.7, -0.2),
    lambda a: dc.rand_like(a) - 0.5 + a, lambda a: F.dropout(a, 0.3, True),
    lambda a: a.softmax(-1) if a.ndim else a,
]  # fmt: skip
VIEWS = [
    lambda a, d, n: a.transpose(0, a.ndim - 1), lambda a, d, n: a.flip(d),
    lambda a, d, n: a.select(d, n // 2), lambda a, d, n: a.narrow(d, n - 1, 1),
    lambda a, d, n: a[(slice(None),) * d + (slice(None, None, 2),)], lambda a, d, n: a.reshape(-1),
    lambda a, d, n: a.unsqueeze(d).expand(*a.shape[:d], 2, *a.shape[d:]),
    lambda a, d, n: dc.cat([a, a * 0.5], d), lambda a, d, n: dc.stack([a, a + 1], d),
    lambda a, d, n: a.split(max(1, n // 2), d)[-1], lambda a, d, n: a.unbind(d)[0],
    lambda a, d, n: a.roll(1, d), lambda a, d, n: a.index_select(d, dc.tensor([n - 1, 0, n - 1])),
    lambda a, d, n: a.movedim(0, -1),
]  # fmt: skip
SUMS = [
    lambda a, d, k: a.sum(d, keepdim=k) * 0.5, lambda a, d, k: a.mean(d, keepdim=k),
    lambda a, d, k: a.amax(d, keepdim=k), lambda a, d, k: a.mean(), lambda a, d, k: a.logsumexp(d),
    lambda a, d, k: a.cumsum(d) * 0.3, lambda a, d, k: a.log_softmax(d).clamp(min=-3.0),
]  # fmt: skip
PAIRS = [
    lambda a, b: a + b, lambda a, b: a * b, lambda a, b: a - b * 0.5, lambda a, b: dc.maximum(a, b),
    lambda a, b: a / (b.abs() + 1), lambda a, b: dc.where(a > b, a, b * 0.5),
]  # fmt: skip
CHANGES = [
    lambda v, x: v.add_(x * 0.1), lambda v, x: v.mul_(0.5), lambda v, x: v.copy_(x),
    lambda v, x: v.sub_(x.clamp(-1, 1)), lambda v, x: v.clamp_(-1, 1), lambda v, x: v.tanh_(),
]  # fmt: skip


class Choices:
    """A small generator of its own: Python's would be noticed, and refused, by the capture."""

    def __init__(self, seed: int) -> None:
        self.state = (seed * 2654435761 + 12345) % 2**32

    def below(self, n: int) -> int:
        self.state = (self.state * 1664525 + 1013904223) % 2**32
        return self.state * n >> 32

    def one_of(self, items: Any) -> Any:
        return items[self.below(len(items))]


def fits(a: Any, b: Any) -> tuple[int, ...] | None:
    try:
        return np.broadcast_shapes(a.shape, b.shape)
    except ValueError:
        return None


def pair(c: Choices, a: Any, b: Any) -> Any:
    shape = fits(a, b)
    if shape is not None and np.prod(shape) < MOST:
        return c.one_of(PAIRS)(a, b)
    if a.ndim and b.ndim in (1, 2) and a.shape[-1] == b.shape[0]:
        return (a @ b) * 0.4
    if a.ndim > 1 and b.ndim == 2 and a.shape[-1] == b.shape[-1]:
        return (a @ b.T) * 0.4
    return a


def changed(c: Choices, a: Any, b: Any) -> Any:
    """b, of which a view was changed in place, by a where it fits or by itself backwards."""
    with dc.no_grad():
        v = b
        for _ in range(c.below(3) if b.ndim else 0):
            d = c.below(v.ndim) if v.ndim else 0
            v = VIEWS[c.one_of([0, 1, 2, 4])](v, d, v.shape[d]) if v.ndim else v
        x = a.detach() if fits(a, v) == tuple(v.shape) else v.flip(0) if v.ndim else v * 0.5
        c.one_of(CHANGES)(v, x)
    return b * 1


def one(c: Choices, pool: list[Any], state: list[Any]) -> Any:
    a, kind = c.one_of(pool), c.below(10)
    if kind < 3:
        return c.one_of(ELEMENTWISE)(a)
    if kind < 5 and a.ndim and a.numel() < MOST // 2:
        d = c.below(a.ndim)
        return c.one_of(VIEWS)(a, d, a.shape[d])
    if kind == 5 and a.ndim:
        return c.one_of(SUMS)(a, c.below(a.ndim), bool(c.below(2)))
    return pair(c, a, c.one_of(pool)) if kind < 9 else changed(c, a, c.one_of(state))


def step_of(seed: int, length: int) -> Callable[[Any], Any]:
    """A builder for `beside`."""

    def build(step: Any) -> Any:
        first = Choices(seed)
        leaves = [dc.randn(*first.one_of(SHAPES)).requires_grad_() for _ in range(3)]
        state = [dc.randn(*first.one_of(SHAPES)) for _ in range(3)]
        given = [dc.randn(*first.one_of(SHAPES)) for _ in range(2)]

        @step
        def run(*xs):
            c, pool = Choices(seed + 1), [*leaves, *xs, *state]
            for p in leaves:
                p.grad = None
            for _ in range(length):
                y = one(c, pool, state)
                if 0 < y.numel() < MOST and y.ndim < 6:
                    pool.append(y)
            outs = pool[-6:]
            losses = [(o * 0.3).sin().sum() for o in outs if o.requires_grad]
            if losses:
                sum(losses).backward()
            with dc.no_grad():
                for p in leaves:
                    if p.grad is not None:
                        p.sub_(p.grad * 0.1)
            return [o * 1 for o in outs]

        return (lambda i: run(*(x * (1 - 0.1 * i) for x in given))), [leaves, state]

    return build
