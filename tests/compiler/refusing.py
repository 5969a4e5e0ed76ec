"""Steps that a compiled form can't contain, or only some of the time: the result must be eager's."""

from __future__ import annotations

import copy
import io
import random
import time

import numpy as np

import descent as dc
from descent.nn import functional as F

__all__ = ["PROGRAMS"]

PROGRAMS = {}
R = dc.randn
NOWHERE = io.StringIO()


def simple(name, body, refused=True, calls=3, extra=None):
    def build(step):
        w = R(4, 4).requires_grad_()
        env = {}
        run = step(lambda x: body(w, x, env))
        return (lambda i: run(R(3, 4) + i)), [w, env]

    PROGRAMS[name] = (build, {"refused": refused, "calls": calls})


simple("item", lambda w, x, e: (x @ w).sum() * (2 if (x @ w).sum().item() > 0 else 3))
simple("iftensor", lambda w, x, e: x * 2 if (x @ w).sum() > 0 else x * 3)
simple("float", lambda w, x, e: x * float((x * x).sum()))
simple("int", lambda w, x, e: x * int((x * x).sum()))
simple("numpy", lambda w, x, e: x + float(np.square((x * 2).numpy()).sum()))
simple("numpy2", lambda w, x, e: dc.from_numpy(np.sort((x * 2).numpy(), axis=0)))
simple("numpyarr", lambda w, x, e: dc.from_numpy(np.array((x * 2).numpy()) * 2))
simple("array_sort", lambda w, x, e: dc.from_numpy(np.sort(x.array)))
simple("array_np", lambda w, x, e: dc.tensor(np.array(x.array)) * 2, refused=True)
simple("array_asarray", lambda w, x, e: dc.tensor(np.asarray(x.array).copy() + 1) * 2, refused=True)
simple("array_kept", lambda w, x, e: dc.tensor(np.asarray(w.array).sum()) * 2 + x, refused=None)
simple("array_exp", lambda w, x, e: dc.from_numpy(np.exp(x.array)) * 2, refused=None)
simple("detach_numpy", lambda w, x, e: x + w.detach().numpy().sum())
simple("tolist", lambda w, x, e: x + sum(x.sum(0).tolist()))
simple("iter", lambda w, x, e: sum(float(v) for v in x[0]) + x)
simple("format", lambda w, x, e: (e.update(s=f"{x.sum():.3f}"), x)[1] * 1)
simple("str", lambda w, x, e: (str(x.sum()), x * 2)[1])
simple("bool", lambda w, x, e: x * bool(x.sum() > 0))
simple("max_py", lambda w, x, e: max(x[0, 0], x[0, 1]) * x)
simple("allclose", lambda w, x, e: x * (1.0 if dc.allclose(x, x * 1.1) else 2.0))
simple("equal", lambda w, x, e: x * (1.0 if dc.equal(x, x * 1.1) else 2.0))
simple("isin", lambda w, x, e: x * (1.0 if 0.5 in x else 2.0))
simple("masked_select", lambda w, x, e: x.masked_select(x > 0))
simple("nonzero", lambda w, x, e: (x > 0).nonzero())
simple("maskidx", lambda w, x, e: x[x > 0])
simple("pyrandom", lambda w, x, e: x * (1 + 0 * random.random()))
simple("nprandom", lambda w, x, e: x * (1 + 0 * np.random.rand()))
simple("time", lambda w, x, e: x * (1 + 0 * time.time()))
simple("print", lambda w, x, e: (print("hello", end=""), x * 2)[1])
simple("printt", lambda w, x, e: (print(x, file=NOWHERE), x * 2)[1])
simple("append", lambda w, x, e: (e.setdefault("l", []).append(1), x * len(e["l"]))[1])
simple(
    "append_t", lambda w, x, e: (e.setdefault("l", []).append((x * 2).sum()), x * len(e["l"]))[1]
)
simple("count", lambda w, x, e: (e.update(n=e.get("n", 0) + 1), x * e["n"])[1])
simple("numel", lambda w, x, e: x * x.numel() + len(x) + x.shape[0], refused=False)
simple("raise", lambda w, x, e: (w.data.mul_(1.0), x @ x), refused=None)
simple("dtype_f16", lambda w, x, e: x.half() * 2, refused=None)
simple("unique", lambda w, x, e: dc.unique(x.round()))
simple("bincount", lambda w, x, e: dc.bincount(x.abs().long().reshape(-1)))
simple("argsort", lambda w, x, e: x.argsort(1), refused=None)
simple("where1", lambda w, x, e: dc.where(x > 0)[0])
simple("repeat_interleave", lambda w, x, e: x.repeat_interleave(x[:, 0].abs().long() + 1, 0))
simple("onehot", lambda w, x, e: F.one_hot(x.abs().long() % 4), refused=None)
simple("arange_dep", lambda w, x, e: dc.arange(int(x.abs().sum())))
simple("deepcopy", lambda w, x, e: copy.deepcopy(x) * 2, refused=None)
simple("clone", lambda w, x, e: x.clone() * 2, refused=False)
simple("retdict", lambda w, x, e: {"a": x * 2, "w": w}, refused=None)
simple("rettype", lambda w, x, e: [x.shape, x.dtype, x * 2], refused=None)
simple("retnumpy", lambda w, x, e: (x * 2).numpy())
simple("retobj", lambda w, x, e: type("O", (), {"t": x})().t * 2, refused=None)
simple(
    "requires",
    lambda w, x, e: (w.requires_grad_(False), x @ w)[1] * (w.requires_grad_(True) is not None),
    refused=None,
)
simple("reqchange", lambda w, x, e: (w.requires_grad_(not w.requires_grad), x @ w)[1].detach())
simple("nested_grad", lambda w, x, e: x.requires_grad_(True) * w[0], refused=None)
simple(
    "setgrad", lambda w, x, e: (setattr(w, "grad", x[:1].expand(4, 4) * 1), x * 1)[1], refused=None
)
simple(
    "setgradarg",
    lambda w, x, e: (setattr(w, "grad", w.detach() * 2), (w * x[0]).sum().backward(), x * 1)[2],
    refused=None,
)
simple(
    "gradnone",
    lambda w, x, e: ((w * x[0]).sum().backward(), setattr(w, "grad", None), x * 1)[2],
    refused=None,
)
simple(
    "gradhalf",
    lambda w, x, e: (
        setattr(w, "grad", None),
        (w * x[0]).sum().backward(),
        setattr(w, "grad", w.grad * 0.5),
        x * 1,
    )[3],
    refused=None,
)
