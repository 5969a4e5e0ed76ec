"""Training steps, and everything that may happen to model and optimiser between two of them."""

from __future__ import annotations

import descent as dc
from descent import nn, optim
from descent.nn import functional as F

__all__ = ["PROGRAMS"]

PROGRAMS = {}
R = dc.randn


class Net(nn.Module):
    def __init__(self, bn=False, drop=0.0):
        super().__init__()
        self.a = nn.Linear(5, 8)
        self.b = nn.Linear(8, 4)
        self.bn = nn.BatchNorm1d(8) if bn else nn.Identity()
        self.drop = nn.Dropout(drop)

    def forward(self, x):
        return self.b(self.drop(self.bn(self.a(x)).tanh()))


def trains(
    name,
    make_opt,
    bn=False,
    drop=0.0,
    between=None,
    calls=4,
    clear="pre",
    loss_fn=None,
    clip=None,
    **k,
):
    def build(step):
        m = Net(bn, drop)
        opt = make_opt(m)
        opts = opt if isinstance(opt, list) else [opt]
        sched = {}

        @step
        def run(x, y):
            for o in opts:
                if clear == "pre":
                    o.zero_grad()
                if clear == "zeros":
                    o.zero_grad(set_to_none=False)
            loss = (loss_fn or F.cross_entropy)(m(x), y)
            loss.backward()
            if clip:
                clip(m)
            for o in opts:
                o.step()
            for o in opts:
                if clear == "post":
                    o.zero_grad()
            return loss

        def call(j):
            if between:
                between(j, m, opts, sched)
            x, y = R(6, 5), dc.randint(0, 4, (6,))
            if k2.get("shapes") and j % 2:
                x, y = x[:4], y[:4]
            return run(x, y)

        return call, [m, *opts]

    k2 = {"shapes": k.pop("shapes", False)}
    k.setdefault("rtol", 2e-4)
    k.setdefault("atol", 2e-5)
    PROGRAMS[name] = (build, {"calls": calls, **k})


trains("sgd", lambda m: optim.SGD(m.parameters(), 0.1))
trains("sgdm", lambda m: optim.SGD(m.parameters(), 0.1, momentum=0.9))
trains(
    "sgdmd",
    lambda m: optim.SGD(m.parameters(), 0.1, momentum=0.9, dampening=0.3, weight_decay=0.01),
)
trains("sgdn", lambda m: optim.SGD(m.parameters(), 0.1, momentum=0.9, nesterov=True, maximize=True))
trains("rms", lambda m: optim.RMSprop(m.parameters(), 0.01))
trains("rmsc", lambda m: optim.RMSprop(m.parameters(), 0.01, centered=True, momentum=0.5))
trains("adagrad", lambda m: optim.Adagrad(m.parameters(), 0.05, lr_decay=0.1))
trains("adam", lambda m: optim.Adam(m.parameters(), 0.01))
trains("adamwa", lambda m: optim.AdamW(m.parameters(), 0.01, amsgrad=True))
trains(
    "groups",
    lambda m: optim.AdamW(
        [
            {"params": m.a.parameters(), "lr": 0.1},
            {"params": m.b.parameters(), "weight_decay": 0.5},
        ],
        0.01,
    ),
)
trains(
    "two_opts",
    lambda m: [optim.SGD(m.a.parameters(), 0.1, momentum=0.9), optim.AdamW(m.b.parameters(), 0.01)],
)
trains("no_clear", lambda m: optim.SGD(m.parameters(), 0.1), clear="")
trains("zeros", lambda m: optim.SGD(m.parameters(), 0.1), clear="zeros")
trains("post", lambda m: optim.SGD(m.parameters(), 0.1), clear="post")
trains("shapes", lambda m: optim.AdamW(m.parameters(), 0.01), shapes=True, calls=6)
trains("bn", lambda m: optim.SGD(m.parameters(), 0.1), bn=True)
trains("drop", lambda m: optim.SGD(m.parameters(), 0.1), drop=0.4)


def evals(j, m, o, s):
    (m.eval if j == 2 else m.train)()


trains(
    "evalswitch",
    lambda m: optim.SGD(m.parameters(), 0.1),
    bn=True,
    drop=0.3,
    between=evals,
    calls=5,
)


def lr(j, m, o, s):
    for x in o:
        for g in x.param_groups:
            g["lr"] = 0.1 / (1 + j)


trains("lr", lambda m: optim.AdamW(m.parameters(), 0.01), between=lr)


def wd(j, m, o, s):
    for g in o[0].param_groups:
        g["weight_decay"] = 0.1 * j
        g["betas"] = (0.5, 0.9)


trains("wd", lambda m: optim.AdamW(m.parameters(), 0.01), between=wd)


def sch(j, m, o, s):
    if j == 0:
        s["s"] = optim.lr_scheduler.StepLR(o[0], 1, 0.5)
    else:
        s["s"].step()


trains("sched", lambda m: optim.AdamW(m.parameters(), 0.01), between=sch)


def load(j, m, o, s):
    if j == 0:
        s["m"] = {k: v.clone() for k, v in m.state_dict().items()}
    if j == 2:
        s["o"] = {
            "state": {
                k: {a: b.clone() for a, b in v.items()}
                for k, v in o[0].state_dict()["state"].items()
            },
            "param_groups": o[0].state_dict()["param_groups"],
        }
    if j == 3:
        m.load_state_dict(s["m"])
    if j == 4:
        o[0].load_state_dict(s["o"])


trains("load", lambda m: optim.AdamW(m.parameters(), 0.01), between=load, calls=7)
trains("loadsgd", lambda m: optim.SGD(m.parameters(), 0.01, momentum=0.9), between=load, calls=7)


def freeze(j, m, o, s):
    m.a.requires_grad_(j not in (2, 3))


trains("freeze", lambda m: optim.AdamW(m.parameters(), 0.01), between=freeze, calls=6)
trains(
    "freezesgd", lambda m: optim.SGD(m.parameters(), 0.01, momentum=0.9), between=freeze, calls=6
)


def clearout(j, m, o, s):
    if j in (2, 4):
        o[0].zero_grad()


trains(
    "clear_outside", lambda m: optim.SGD(m.parameters(), 0.01), between=clearout, calls=6, clear=""
)


def newparam(j, m, o, s):
    if j == 2:
        m.b = nn.Linear(8, 4)
        o[0].add_param_group({"params": list(m.b.parameters())})


trains("newlayer", lambda m: optim.SGD(m.parameters(), 0.1), between=newparam, calls=5)


def newdata(j, m, o, s):
    if j == 2:
        m.a.weight.data = dc.ones(8, 5) * 0.1


trains("newdata", lambda m: optim.SGD(m.parameters(), 0.1), between=newdata, calls=5)


def hooking(j, m, o, s):
    if j == 2:
        m.a.weight.register_hook(lambda g: g * 2)
    if j == 3:
        m.register_forward_hook(lambda mod, a, out: out * 1.5)


trains("hooks", lambda m: optim.SGD(m.parameters(), 0.1), between=hooking, calls=6)


def eager_mix(j, m, o, s):
    if j == 2:
        o[0].zero_grad()
        F.mse_loss(m(R(2, 5)), R(2, 4)).backward()
        o[0].step()
    if j == 3:
        o[0].zero_grad()
        (m.a.weight.sum() ** 2).backward()
        o[0].step()


trains("eager_between", lambda m: optim.AdamW(m.parameters(), 0.01), between=eager_mix, calls=6)
trains(
    "clipn",
    lambda m: optim.SGD(m.parameters(), 0.1),
    clip=lambda m: nn.utils.clip_grad_norm_(m.parameters(), 0.1),
)
trains(
    "clipv",
    lambda m: optim.SGD(m.parameters(), 0.1),
    clip=lambda m: nn.utils.clip_grad_value_(m.parameters(), 0.01),
)
trains(
    "clipi",
    lambda m: optim.SGD(m.parameters(), 0.1),
    clip=lambda m: nn.utils.clip_grad_norm_(m.parameters(), 0.1, float("inf")),
)
trains(
    "ce_ls",
    lambda m: optim.SGD(m.parameters(), 0.1),
    loss_fn=lambda p, y: F.cross_entropy(p, y, label_smoothing=0.1),
)
trains(
    "ce_w",
    lambda m: optim.SGD(m.parameters(), 0.1),
    loss_fn=lambda p, y: F.cross_entropy(p, y, weight=dc.tensor([1.0, 2.0, 0.5, 1.0])),
)
trains(
    "ce_wls",
    lambda m: optim.SGD(m.parameters(), 0.1),
    loss_fn=lambda p, y: F.cross_entropy(
        p, y, weight=dc.tensor([1.0, 2.0, 0.5, 1.0]), label_smoothing=0.2, ignore_index=1
    ),
)
trains(
    "ce_ii",
    lambda m: optim.SGD(m.parameters(), 0.1),
    loss_fn=lambda p, y: F.cross_entropy(p, y, ignore_index=2),
)
trains(
    "ce_sum",
    lambda m: optim.SGD(m.parameters(), 0.1),
    loss_fn=lambda p, y: F.cross_entropy(p, y, reduction="sum", ignore_index=2),
)
trains(
    "ce_none",
    lambda m: optim.SGD(m.parameters(), 0.1),
    loss_fn=lambda p, y: (
        F.cross_entropy(p, y, reduction="none") * dc.arange(len(y)).float()
    ).sum(),
)
trains(
    "ce_axis1",
    lambda m: optim.SGD(m.parameters(), 0.1),
    loss_fn=lambda p, y: F.cross_entropy(p.reshape(1, 6, 4).transpose(1, 2), y[None]),
)
trains(
    "ce_prob",
    lambda m: optim.SGD(m.parameters(), 0.1),
    loss_fn=lambda p, y: F.cross_entropy(p, F.one_hot(y, 4).float()),
    refused=None,
)
trains(
    "nll",
    lambda m: optim.SGD(m.parameters(), 0.1),
    loss_fn=lambda p, y: F.nll_loss(F.log_softmax(p, 1), y),
)
trains(
    "gatherloss",
    lambda m: optim.SGD(m.parameters(), 0.1),
    loss_fn=lambda p, y: -p.log_softmax(1)[dc.arange(6), y].mean(),
)
trains(
    "gather2",
    lambda m: optim.SGD(m.parameters(), 0.1),
    loss_fn=lambda p, y: -p.log_softmax(1).gather(1, y[:, None]).mean(),
)
trains(
    "twice_back",
    lambda m: optim.SGD(m.parameters(), 0.1),
    loss_fn=lambda p, y: (p.sum().backward(retain_graph=True), F.cross_entropy(p, y))[1],
)
trains(
    "regul",
    lambda m: optim.SGD(m.parameters(), 0.1),
    loss_fn=lambda p, y: F.cross_entropy(p, y) + 0 * p.detach().sum(),
)
