"""Steps that a compiled form can't contain, or only some of the time: the result must be eager's."""

from __future__ import annotations

import collections
import copy
import functools
import io
import random
import time

import numpy as np

import descent as dc
from descent import nn, optim
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


def prog(fn=None, **options):
    """Register a builder: step → (call, state)."""
    if fn is None:
        return lambda f: prog(f, **options)
    PROGRAMS[fn.__name__] = (fn, {"refused": True, **options})
    return fn


@prog
def gen(step):
    it = iter(range(100))

    @step
    def run(x):
        return x * next(it)

    return (lambda i: run(R(2))), []


@prog
def forgen(step):
    it = iter([1, 2, 3, 4, 5, 6])

    @step
    def run(x):
        for v in it:
            return x * v

    return (lambda i: run(R(2))), []


@prog(refused=None)
def innergen(step):
    @step
    def run(x):
        return x * sum(v for v in range(3)) + next(iter([2]))

    return (lambda i: run(R(2))), []


COUNT = 0


@prog
def glob(step):
    @step
    def run(x):
        global COUNT
        COUNT += 1
        return x * COUNT

    def call(i):
        global COUNT
        if i == 0:
            COUNT = 0
        return run(R(2))

    return call, []


@prog
def nonloc(step):
    c = 0

    @step
    def run(x):
        nonlocal c
        c += 1
        return x * c

    return (lambda i: run(R(2))), []


@prog
def modcount(step):
    class M(nn.Module):
        def __init__(self):
            super().__init__()
            self.n = 0

        def forward(self, x):
            self.n += 1
            return x * self.n

    m = M()
    run = step(lambda x: m(x))
    return (lambda i: run(R(2))), []


@prog
def modstate(step):
    class M(nn.Module):
        def __init__(self):
            super().__init__()
            self.h = dc.zeros(2)

        def forward(self, x):
            self.h = (self.h + x).detach()
            return self.h * 2

    m = M()
    run = step(lambda x: m(x))
    return (lambda i: run(R(2))), []


@prog(refused=None)
def buffer_state(step):
    class M(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("h", dc.zeros(2))

        def forward(self, x):
            self.h = self.h + x
            return self.h * 2

    m = M()
    run = step(lambda x: m(x))
    return (lambda i: run(R(2))), [m]


@prog(refused=False)
def buffer_ip(step):
    class M(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("h", dc.zeros(2))

        def forward(self, x):
            self.h += x
            return self.h * 2

    m = M()
    run = step(lambda x: m(x))
    return (lambda i: run(R(2))), [m]


@prog
def nparg(step):
    @step
    def run(x):
        return dc.from_numpy(x) * 2

    return (lambda i: run(np.ones(3, np.float32) * i)), []


@prog(refused=None)
def npclosure(step):
    a = np.ones(3, np.float32)

    @step
    def run(x):
        return dc.tensor(a) * x

    def call(i):
        a[:] = i
        return run(R(3))

    return call, []


@prog(refused=None)
def npclosure2(step):
    a = np.ones(3, np.float32)

    @step
    def run(x):
        return dc.from_numpy(a) * x

    def call(i):
        a[:] = i
        return run(R(3))

    return call, []


@prog
def raising(step):
    w = R(3).requires_grad_()
    opt = optim.SGD([w], 0.1, momentum=0.9)

    @step
    def run(x, bad):
        opt.zero_grad()
        (w * x).sum().backward()
        opt.step()
        if bad:
            raise ValueError("no")
        return w.sum()

    return (lambda i: run(R(3), i == 1)), [w, opt]


PROGRAMS["raising"][1]["refused"] = False


@prog
def raising_first(step):
    w = R(3).requires_grad_()
    opt = optim.SGD([w], 0.1, momentum=0.9)

    @step
    def run(x, bad):
        opt.zero_grad()
        (w * x).sum().backward()
        if bad:
            raise ValueError("no")
        opt.step()
        return w.sum()

    return (lambda i: run(R(3), i == 0)), [w, opt]


PROGRAMS["raising_first"][1]["refused"] = None


@prog(refused=False)
def partial(step):
    def f(scale, x):
        return x * scale

    run = step(functools.partial(f, 3.0))
    return (lambda i: run(R(3))), []


@prog(refused=False)
def method(step):
    class T:
        def __init__(self):
            self.w = R(3).requires_grad_()
            self.scale = 1.0
            self.i = 0
            self.hist = []

        def step(self, x):
            self.w.grad = None
            l = (self.w * x * self.scale).sum()
            l.backward()
            return l

    t = T()
    run = step(t.step)

    def call(i):
        t.i += 1
        t.scale = 1.0 + (i > 1)
        t.hist.append(i)
        return run(R(3))

    return call, [t.w]


@prog(refused=False)
def clsattr(step):
    class C:
        scale = 1.0

    @step
    def run(x):
        return x * C.scale

    def call(i):
        C.scale = float(i)
        return run(R(3))

    return call, []


@prog(refused=False)
def default_arg(step):
    d = {"s": 1.0}

    def f(x, cfg=d):
        return x * cfg["s"]

    run = step(f)

    def call(i):
        d["s"] = float(i)
        return run(R(3))

    return call, []


@prog(refused=None)
def many_shapes(step):
    @step
    def run(x):
        return x * 2

    return (lambda i: run(R(i + 1))), []


PROGRAMS["many_shapes"][1]["calls"] = 12


@prog(refused=None)
def tuple_out(step):
    P = collections.namedtuple("P", "a b")

    @step
    def run(x):
        return P(x * 2, [x, 1.5])

    return (lambda i: run(R(3))), []


@prog(refused=None)
def deque_state(step):
    d = collections.deque(maxlen=2)

    @step
    def run(x):
        d.append(x * 1)
        return sum(d) * 1

    return (lambda i: run(R(3))), []


@prog(refused=None)
def ds_loop(step):
    data = [R(3), R(3)]

    @step
    def run(x):
        return sum(d * x for d in data)

    def call(i):
        if i == 1:
            data.append(R(3))
        if i == 2:
            data[0] = R(3)
        return run(R(3))

    return call, []


@prog(refused=None)
def lambda_list(step):
    fs = [lambda x: x * 2]

    @step
    def run(x):
        return fs[0](x)

    def call(i):
        if i == 1:
            fs[0] = lambda x: x * 5
        return run(R(3))

    return call, []


@prog(refused=None)
def monkey_forward(step):
    m = nn.Linear(3, 3)

    @step
    def run(x):
        return m(x)

    def call(i):
        if i == 1:
            m.forward = lambda x: x * 5
        return run(R(3))

    return call, []


@prog(refused=None)
def module_list(step):
    ms = nn.ModuleList([nn.Linear(3, 3), nn.Linear(3, 3)])

    @step
    def run(x):
        for m in ms:
            x = m(x)
        return x

    def call(i):
        if i == 1:
            ms.append(nn.Linear(3, 3))
        if i == 2:
            ms[0] = nn.Linear(3, 3)
        return run(R(3))

    return call, [ms]


@prog(refused=None)
def generator_obj(step):
    g = dc.Generator().manual_seed(3)

    @step
    def run(x):
        return x + dc.randn(3, generator=g)

    def call(i):
        if i == 2:
            g.manual_seed(3)
        return run(R(3))

    return call, []


@prog(refused=None)
def sched_inside(step):
    w = R(3).requires_grad_()
    opt = optim.SGD([w], 0.1)
    sch = optim.lr_scheduler.StepLR(opt, 1, 0.5)

    @step
    def run(x):
        opt.zero_grad()
        (w * x).sum().backward()
        opt.step()
        sch.step()
        return w.sum()

    return (lambda i: run(R(3))), [w, opt]


@prog(refused=None)
def lr_and_step(step):
    w = R(3).requires_grad_()
    v = R(3)
    opt = optim.SGD([w], 0.1)

    @step
    def run(x):
        opt.zero_grad()
        (w * x).sum().backward()
        opt.step()
        v.add_(opt.param_groups[0]["lr"])
        return w.sum()

    def call(i):
        opt.param_groups[0]["lr"] = 0.1 * (i + 1)
        return run(R(3))

    return call, [w, v]


@prog(refused=None)
def closure_opt(step):
    w = R(3).requires_grad_()
    opt = optim.SGD([w], 0.1)

    @step
    def run(x):
        def c():
            opt.zero_grad()
            l = (w * x).sum()
            l.backward()
            return l

        return opt.step(c)

    return (lambda i: run(R(3))), [w]


@prog(refused=False)
def nested_objects(step):
    class H:
        def __init__(self):
            self.table = {"k": 1.0}
            self.unrelated = []

        def compute(self, x):
            return x * self.table["k"]

    class T:
        def __init__(self):
            self.helper = H()

        def step(self, x):
            return self.helper.compute(x) + 1

    t = T()
    run = step(t.step)

    def call(i):
        t.helper.table["k"] = float(i)
        t.helper.unrelated.append(i)
        return run(R(3))

    return call, []
