"""Steps that see or change Python outside themselves: counters, attributes, iterators, schedules."""

from __future__ import annotations

import collections
import functools

import numpy as np

import descent as dc
from descent import nn, optim

__all__ = ["PROGRAMS"]

PROGRAMS = {}
R = dc.randn


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
