"""Steps that train by hand or with tables: lookups, wrong numbers, gradients that add up, two steps."""

from __future__ import annotations

import descent as dc
from descent import nn, optim
from descent.nn import functional as F

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
def tied(step):
    w = R(6, 4).requires_grad_()
    opt = optim.AdamW([w], 0.01)

    @step
    def run(ids):
        opt.zero_grad()
        h = F.embedding(ids, w)
        loss = F.cross_entropy(h @ w.T, ids)
        loss.backward()
        opt.step()
        return loss

    return (lambda i: run(dc.tensor([0, 0, 3, 5 - i, 3]))), [w, opt]


@program
def emb_pad(step):
    w = R(6, 4).requires_grad_()
    opt = optim.SGD([w], 0.1)

    @step
    def run(ids):
        opt.zero_grad()
        loss = F.embedding(ids, w, padding_idx=3).tanh().sum()
        loss.backward()
        opt.step()
        return loss

    return (lambda i: run(dc.tensor([0, 0, 3, 5 - i, 3]))), [w]


@program
def index_ids(step):
    w = R(6, 4).requires_grad_()

    @step
    def run(ids, j):
        w.grad = None
        loss = (w[ids] * w[ids, j].unsqueeze(1)).tanh().sum() + w[:, j].sum()
        loss.backward()
        return loss

    return (lambda i: run(dc.tensor([0, -1, 3, -6 + i, 3]), dc.tensor([0, 1, -1, 2, 0]))), [w]


@program
def index_oob(step):
    w = R(6, 4).requires_grad_()
    opt = optim.AdamW([w], 0.1)

    @step
    def run(ids):
        opt.zero_grad()
        loss = w[ids].tanh().sum()
        loss.backward()
        opt.step()
        return loss

    def call(i):
        g = None if w.grad is None else w.grad.clone()
        try:
            return run(dc.tensor([0, 1, 6 if i in (1, 2) else 2]))
        except IndexError:
            w.grad = g
            raise

    return call, [w, opt]


@program
def emb_oob_first(step):
    w = R(6, 4).requires_grad_()
    opt = optim.SGD([w], 0.1, momentum=0.9, dampening=0.5)

    @step
    def run(ids):
        opt.zero_grad()
        loss = w[ids].tanh().sum()
        loss.backward()
        opt.step()
        return loss

    def call(i):
        try:
            return run(dc.tensor([0, 1, 6 if i in (0, 2) else 2]))
        except IndexError:
            w.grad = None
            raise

    return call, [w, opt]


@program
def ce_oob(step):
    w = R(6, 4).requires_grad_()
    opt = optim.AdamW([w], 0.1)

    @step
    def run(y):
        opt.zero_grad()
        loss = F.cross_entropy(w, y)
        loss.backward()
        opt.step()
        return loss

    def call(i):
        try:
            return run(dc.tensor([0, 1, 4 if i in (1, 2) else 2, 0, 0, 1]))
        except IndexError:
            w.grad = None
            raise

    return call, [w, opt]


@program
def accumulate(step):
    w = R(4, 4).requires_grad_()

    @step
    def run(x):
        (w @ x).tanh().sum().backward()
        return w.grad.sum()

    return (lambda i: run(R(4, 2))), [w]


@program
def accumulate3(step):
    w = R(4, 4).requires_grad_()

    @step
    def micro(x):
        (w @ x).tanh().sum().backward()

    def call(i):
        for _ in range(3):
            micro(R(4, 2))
        with dc.no_grad():
            w.sub_(w.grad * 0.1)
        w.grad = None

    return call, [w]


@program
def cond_grad(step):
    w = R(4).requires_grad_()

    @step
    def run(x):
        had = w.grad is not None
        (w * x).sum().backward()
        return dc.ones(2) * (2.0 if had else 1.0)

    return (lambda i: run(R(4))), [w]


@program(refused=None)
def retain(step):
    w = R(4).requires_grad_()

    @step
    def run(x):
        w.grad = None
        h = w * x
        h.retain_grad()
        h.tanh().sum().backward()
        return h.grad

    return (lambda i: run(R(4))), [w]


@program
def manual_sgd(step):
    ps = [R(4, 3).requires_grad_(), R(3).requires_grad_(), R(2).requires_grad_()]

    @step
    def run(x):
        for p in ps:
            p.grad = None
        l = (x @ ps[0] + ps[1]).tanh().pow(2).mean()
        l.backward()
        for p in ps:
            if p.grad is not None:
                p.data += -0.1 * p.grad
        return l

    return (lambda i: run(R(5, 4))), ps


@program
def manual_sgd2(step):
    ps = [R(4, 3).requires_grad_(), R(3).requires_grad_()]

    @step
    def run(x):
        l = (x @ ps[0] + ps[1]).tanh().pow(2).mean()
        l.backward()
        with dc.no_grad():
            for p in ps:
                p -= 0.1 * p.grad
                p.grad.zero_()
        return l

    return (lambda i: run(R(5, 4))), ps


@program
def manual_sgd3(step):
    ps = [R(4, 3).requires_grad_(), R(3).requires_grad_()]

    @step
    def run(x):
        l = (x @ ps[0] + ps[1]).tanh().pow(2).mean()
        l.backward()
        for p in ps:
            p.data = p.data - 0.1 * p.grad
            p.grad = None
        return l

    return (lambda i: run(R(5, 4))), ps


@program
def ema(step):
    w = R(4).requires_grad_()
    e = w.detach().clone()

    @step
    def run(x):
        w.grad = None
        l = (w * x).tanh().sum()
        l.backward()
        with dc.no_grad():
            w.sub_(0.1 * w.grad)
            e.mul_(0.9).add_(w, alpha=0.1)
        return l, e.clone()

    return (lambda i: run(R(4))), [w, e]


@program
def ip_history(step):
    w = R(4).requires_grad_()
    h = R(4)

    @step
    def run(x):
        w.grad = None
        h2 = h * w
        h2.add_(x)
        h2[1:].mul_(2.0)
        h2[:2] = w[:2] * 3
        (h2 * h2).sum().backward()
        return h2

    return (lambda i: run(R(4))), [w, h]


@program
def detach_state(step):
    w = R(4, 4).requires_grad_()
    h = R(2, 4)

    @step
    def run(x):
        w.grad = None
        n = (h @ w + x).tanh()
        (n * n).sum().backward()
        h.copy_(n.detach())
        return n

    return (lambda i: run(R(2, 4))), [w, h]


@program
def two_steps(step):
    w = R(4).requires_grad_()
    opt = optim.AdamW([w], 0.1)

    @step
    def a(x):
        opt.zero_grad()
        l = (w * x).sum()
        l.backward()
        opt.step()
        return l

    @step
    def b(x):
        opt.zero_grad()
        l = (w * x).tanh().sum()
        l.backward()
        opt.step()
        return l

    return (lambda i: (a(R(4)), b(R(4)), b(R(4)))), [w, opt]


@program
def two_steps_many(step):
    ws = [R(4).requires_grad_() for _ in range(3)]
    opt = optim.AdamW(ws, 0.1)

    @step
    def a(x):
        opt.zero_grad()
        l = sum((w * x).sum() for w in ws)
        l.backward()
        opt.step()
        return l

    @step
    def b(x):
        opt.zero_grad()
        l = sum((w * x).tanh().sum() for w in ws[:2])
        l.backward()
        opt.step()
        return l

    return (lambda i: (a(R(4)), b(R(4)), a(R(4)))), [*ws, opt]


@program
def step_twice(step):
    ws = [R(4).requires_grad_() for _ in range(2)]
    opt = optim.AdamW(ws, 0.1)

    @step
    def a(x):
        for _ in range(2):
            opt.zero_grad()
            l = sum((w * x).tanh().sum() for w in ws)
            l.backward()
            opt.step()
        return l

    return (lambda i: a(R(4))), [*ws, opt]


@program
def lr_read(step):
    w = R(4).requires_grad_()
    opt = optim.SGD([w], 0.1)

    @step
    def run(x):
        opt.zero_grad()
        (w * x).sum().backward()
        for g in opt.param_groups:
            for p in g["params"]:
                p.data.add_(p.grad, alpha=-g["lr"])

    def call(i):
        opt.param_groups[0]["lr"] = 0.1 * (i + 1)
        return run(R(4))

    return call, [w]


@program
def f64_module(step):
    m = nn.Linear(4, 3).double()
    opt = optim.AdamW(m.parameters(), 0.01)

    @step
    def run(x):
        opt.zero_grad()
        l = F.mse_loss(m(x).softmax(1), x[:, :3])
        l.backward()
        opt.step()
        return l

    return (lambda i: run(R(5, 4).double())), [m, opt]


@program
def rnn(step):
    m = nn.LSTM(4, 5, batch_first=True)
    opt = optim.SGD(m.parameters(), 0.1)

    @step
    def run(x):
        opt.zero_grad()
        o, (h, c) = m(x)
        l = o.pow(2).mean() + h.sum() * c.sum()
        l.backward()
        opt.step()
        return l, h

    return (lambda i: run(R(2, 3, 4))), [m]


PROGRAMS["rnn"] = (rnn, {"refused": None})
