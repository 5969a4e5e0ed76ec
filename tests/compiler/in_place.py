"""Changes in place, constants made in the step, results of every kind, and draws."""

from __future__ import annotations

import descent as dc
from descent.nn import functional as F

__all__ = ["PROGRAMS"]

PROGRAMS = {}
R = dc.randn


def inplace(name, body, *shapes, **k):
    """A step body(p, x) with a tensor p that outlives it."""

    def build(step):
        p = R(*shapes[0])
        xs = [R(*s) for s in shapes[1:]]

        @step
        def run(*xs):
            return body(p, *xs)

        return (lambda i: run(*[x + i for x in xs])), [p]

    PROGRAMS[name] = (build, k)


inplace("ip_add", lambda p, x: p.add_(x) * 1, (3, 4), (3, 4))
inplace("ip_overlap", lambda p, x: p.__setitem__(slice(1, None), p[:-1]), (5, 4), (1,))
inplace("ip_overlap2", lambda p, x: p[1:].add_(p[:-1]), (5, 4), (1,))
inplace("ip_flip", lambda p, x: p.copy_(p.flip(0)), (5, 4), (1,))
inplace("ip_T", lambda p, x: p.copy_(p.T), (4, 4), (1,))
inplace("ip_Tadd", lambda p, x: p.add_(p.T), (4, 4), (1,))
inplace("ip_row", lambda p, x: p.add_(p[0]), (4, 4), (1,))
inplace("ip_view", lambda p, x: p.view(2, 8)[1, ::2].mul_(3.0), (4, 4), (1,))
inplace("ip_set", lambda p, x: p.__setitem__((slice(None), 2), x), (4, 4), (4,))
inplace(
    "ip_seq",
    lambda p, x: [p.add_(1), p * 2, p.mul_(x), p.sum(), p.sub_(p.mean()), p.sum()],
    (4, 4),
    (4,),
    atol=1e-4,
)
inplace(
    "ip_readold", lambda p, x: (lambda old: (p.zero_(), old * 2, old2(p, x)))(p * 1), (4, 4), (4,)
)


def old2(p, x):
    p.add_(x)
    return p.clone()


inplace("ip_alias", lambda p, x: (lambda v: (p.add_(x), v * 1))(p[1]), (4, 4), (4,))
inplace("ip_fill", lambda p, x: p.fill_(3) + x, (4, 4), (4,))
inplace("ip_clamp", lambda p, x: p.clamp_(min=0).add_(x).relu_(), (4, 4), (4,))
inplace("ip_data", lambda p, x: setattr(p, "data", p.data * 0.5 + x), (4, 4), (4,))
inplace(
    "ip_data2",
    lambda p, x: (setattr(p, "data", p.data * 0.5 + x), p.add_(1), p.sum())[2],
    (4, 4),
    (4,),
)
inplace("ip_swapdata", lambda p, x: setattr(p, "data", (p.data * x).T), (4, 4), (4,), refused=None)
inplace("ip_setmask", lambda p, x: p.__setitem__(p > 0, 0.0), (4, 4), (1,), refused=None)
inplace("ip_setidx", lambda p, x: p.__setitem__(dc.tensor([0, 2]), x), (4, 4), (4,), refused=None)
inplace("ip_maskfill", lambda p, x: p.masked_fill_(p > 0.5, 0.25), (4, 4), (1,), refused=None)
inplace("ip_arg", lambda p, x: x.add_(p), (4,), (4,), refused=None)
inplace("ip_int", lambda p, x: p.add_((x * 3).long()), (4,), (4,), refused=None)
inplace("ip_copycast", lambda p, x: p.copy_((x * 3).int()), (4,), (4,))
inplace("ip_cumul", lambda p, x: [p[j].add_(p[j - 1]) for j in range(1, 5)][-1] * 1, (5, 3), (1,))
inplace("ip_mm", lambda p, x: p.copy_(p @ p), (4, 4), (1,))
inplace("ip_softmax", lambda p, x: p.copy_(p.softmax(1)), (4, 4), (1,))
inplace("ip_sum", lambda p, x: p[0].copy_(p.sum(0)), (4, 4), (1,))
inplace("ip_indexself", lambda p, x: p.copy_(p[dc.tensor([3, 2, 1, 0])]), (4, 4), (1,))
inplace("const_inplace", lambda p, x: dc.zeros(4).add_(x).add_(p), (4,), (4,))
inplace(
    "const_inplace2",
    lambda p, x: (lambda z: (z.add_(x), z.mul_(2), z + p)[2])(dc.ones(4)),
    (4,),
    (4,),
)
inplace(
    "const_inplace3",
    lambda p, x: (lambda z: [z.__setitem__(j, x[j]) for j in range(4)] and z)(dc.zeros(4)),
    (4,),
    (4,),
)
inplace(
    "const_tensor",
    lambda p, x: (lambda z: (z.add_(x), z)[1])(dc.tensor([1.0, 2, 3, 4])),
    (4,),
    (4,),
)
inplace(
    "const_full",
    lambda p, x: (
        dc.full((4,), 2.0)
        + dc.full_like(x, 3)
        + dc.zeros_like(p)
        + x.new_zeros(4)
        + dc.empty(4).fill_(1.0)
    ),
    (4,),
    (4,),
)
inplace("ret_param", lambda p, x: (p, p.add_(1))[0], (4,), (4,))
inplace("ret_arg", lambda p, x: x, (4,), (4,), refused=None)
inplace("ret_argview", lambda p, x: x[1:], (4,), (4,), refused=None)
inplace("ret_view", lambda p, x: p[1:], (4,), (4,))
inplace("ret_dict", lambda p, x: {"a": p + x, "b": [x * 2, 3, "s"], "c": None}, (4,), (4,))
inplace("rand", lambda p, x: x + dc.rand(4) + dc.randn(4) * p + dc.randint(0, 5, (4,)), (4,), (4,))
inplace("dropout", lambda p, x: F.dropout(x, 0.3, True) + F.dropout(p, 0.5, True), (40,), (40,))
inplace("perm", lambda p, x: x[dc.randperm(4)], (4,), (4,), refused=None)
inplace("bern", lambda p, x: dc.bernoulli(p.sigmoid()), (4,), (4,), refused=None)
inplace("multin", lambda p, x: dc.multinomial(p.softmax(0), 3, True), (4,), (4,), refused=None)
inplace("normal_", lambda p, x: p.normal_(), (4,), (4,), refused=None)
inplace("uniform_", lambda p, x: p.uniform_(-1, 1).add_(x), (4,), (4,), refused=None)
inplace("randlike", lambda p, x: dc.randn_like(x) + dc.rand_like(p), (4,), (4,), refused=None)
inplace("seed", lambda p, x: (dc.manual_seed(3), x + dc.randn(4))[1], (4,), (4,), refused=True)
