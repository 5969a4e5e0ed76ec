"""Every optimiser against PyTorch's, step by step, and what an optimiser does around its rule."""

import itertools
import subprocess
import sys

import numpy as np
import pytest

import descent
from descent import optim
from descent.nn import Parameter

SHAPES = [(7, 5), (20000,), (), (3, 1, 2)]  # 20000: more than one block of the NumPy form
LARGE = [(7, 5), (200, 200), (), (3, 1, 2)]  # enough for the compiled loops

CASES = {
    "SGD": [
        {"lr": 0.1}, {"lr": 0.1, "momentum": 0.9}, {"lr": 0.1, "momentum": 0.9, "nesterov": True},
        {"lr": 0.1, "momentum": 0.9, "dampening": 0.3}, {"lr": 0.1, "weight_decay": 0.1},
        {"lr": 0.1, "momentum": 0.5, "weight_decay": 0.01, "maximize": True},
    ],
    "Adam": [
        {}, {"lr": 0.01, "betas": (0.8, 0.9)}, {"eps": 1e-3, "weight_decay": 0.1},
        {"amsgrad": True}, {"maximize": True, "amsgrad": True, "weight_decay": 0.02},
        {"betas": (0.3, 0.99)}, {"decoupled_weight_decay": True, "weight_decay": 0.1},
    ],
    "AdamW": [
        {}, {"lr": 0.01, "weight_decay": 0.1}, {"amsgrad": True}, {"maximize": True},
        {"weight_decay": 0.0, "betas": (0.9, 0.95)},
    ],
    "RMSprop": [
        {}, {"alpha": 0.9}, {"centered": True}, {"momentum": 0.9},
        {"centered": True, "momentum": 0.5, "weight_decay": 0.1, "maximize": True, "eps": 1e-4},
    ],
    "Adagrad": [
        {}, {"lr_decay": 0.1}, {"weight_decay": 0.1, "initial_accumulator_value": 0.3},
        {"eps": 1e-3, "maximize": True},
    ],
}  # fmt: skip
ALL = [(name, options) for name, several in CASES.items() for options in several]


@pytest.mark.oracle
@pytest.mark.parametrize("shapes", [SHAPES, LARGE], ids=["numpy", "compiled"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("name", "options"), ALL, ids=lambda x: str(x))
def test_twenty_steps_equal_torch(name, options, dtype, shapes):
    import torch

    rng = np.random.default_rng(0)
    start = [rng.standard_normal(s).astype(dtype) for s in shapes]
    ours = [Parameter(descent.tensor(a)) for a in start]
    theirs = [torch.nn.Parameter(torch.tensor(a)) for a in start]
    path = [np.abs(a) for a in start]
    mine = getattr(optim, name)(ours, **options)
    peer = getattr(torch.optim, name)(theirs, **options)
    for step in range(20):
        for p, q in zip(ours, theirs):
            if step == 3 and p.ndim == 0:
                p.grad, q.grad = None, None  # a parameter without a gradient rests
                continue
            # signs and sizes vary, over three decades
            g = (rng.standard_normal(p.shape) * 10.0 ** rng.integers(-2, 2)).astype(dtype)
            p.grad, q.grad = descent.tensor(g), torch.tensor(g)
        before = [q.detach().numpy().copy() for q in theirs]
        mine.step()
        peer.step()
        for i, (p, q) in enumerate(zip(ours, theirs)):
            expected = q.detach().numpy()
            # relative to the way gone so far: where steps cancel, their rounding stays
            path[i] = path[i] + np.abs(expected - before[i])
            limit = (1e-6 if dtype == "float32" else 1e-12) * path[i]
            assert (np.abs(p.detach().numpy() - expected) <= limit).all()


def make(options=None, **kwargs):
    p = Parameter(descent.tensor([1.0, 2.0]))
    p.grad = descent.tensor([0.5, -0.5])
    return p, optim.SGD([p], **{"lr": 0.1, **kwargs})


def test_sgd_by_hand():
    p, o = make()
    o.step()
    assert p.tolist() == pytest.approx([0.95, 2.05])


def test_step_counts_as_a_change_in_place():
    p, o = make()
    y = (p * p).sum()
    o.step()
    with pytest.raises(RuntimeError, match="modified by an in-place operation"):
        y.backward()


def test_closure_runs_with_gradients_and_its_loss_comes_back():
    p, o = make()

    def closure():
        o.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    with descent.no_grad():
        loss = o.step(closure)
    assert loss.item() == 5.0
    assert p.tolist() == pytest.approx([0.8, 1.6])


def test_zero_grad():
    p, o = make()
    o.zero_grad(set_to_none=False)
    assert p.grad.tolist() == [0, 0]
    o.zero_grad()
    assert p.grad is None


def test_groups_have_their_own_settings():
    a, b, c = (Parameter(descent.tensor([1.0])) for _ in range(3))
    o = optim.SGD([{"params": [a], "lr": 1.0}, {"params": b}], lr=0.1)
    o.add_param_group({"params": [c], "lr": 0.01})
    for p in (a, b, c):
        p.grad = descent.tensor([1.0])
    o.step()
    assert [p.item() for p in (a, b, c)] == pytest.approx([0.0, 0.9, 0.99])
    assert "Parameter Group 2" in repr(o)


def test_named_parameters_are_accepted():
    p = Parameter(descent.tensor([1.0]))
    o = optim.AdamW([("w", p)], lr=0.1)
    assert o.param_groups[0]["param_names"] == ["w"]
    assert o.param_groups[0]["params"][0] is p


@pytest.mark.parametrize("name", list(CASES))
def test_saved_and_loaded_goes_on_to_the_bit(name):
    rng = np.random.default_rng(1)
    grads = rng.standard_normal((10, 6)).astype(np.float32)
    options = CASES[name][-1]

    def run(p, o, which):
        for g in grads[which]:
            p.grad = descent.tensor(g)
            o.step()

    p = Parameter(descent.tensor(np.ones(6, np.float32)))
    o = getattr(optim, name)([p], **options)
    run(p, o, slice(0, 5))
    q = Parameter(p.detach().clone())
    again = getattr(optim, name)([q], lr=123.0)
    again.load_state_dict(o.state_dict())
    run(p, o, slice(5, 10))
    run(q, again, slice(5, 10))
    assert p.tolist() == q.tolist()
    assert again.param_groups[0]["lr"] == o.param_groups[0]["lr"]


@pytest.mark.oracle
@pytest.mark.parametrize("name", list(CASES))
def test_state_has_torchs_names_and_loads_torchs(name):
    import torch

    options = CASES[name][-1]
    q = torch.nn.Parameter(torch.ones(4))
    q.grad = torch.arange(4.0)
    peer = getattr(torch.optim, name)([q], **options)
    peer.step()
    p = Parameter(descent.tensor(q.detach().numpy()))
    o = getattr(optim, name)([p], **options)
    saved = peer.state_dict()
    saved["state"] = {
        i: {k: descent.tensor(v.numpy()) for k, v in s.items() if v is not None}
        for i, s in saved["state"].items()
    }
    o.load_state_dict(saved)
    p.grad, q.grad = descent.tensor([1.0, 2, 3, 4]), torch.tensor([1.0, 2, 3, 4])
    o.step()
    peer.step()
    np.testing.assert_allclose(p.tolist(), q.tolist(), rtol=1e-6)
    state = o.state_dict()["state"].get(0, {})
    theirs = peer.state_dict()["state"].get(0, {})
    assert set(state) == {k for k, v in theirs.items() if v is not None}


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda p: optim.SGD([], lr=0.1), ValueError, "empty parameter list"),
        (lambda p: optim.SGD(p, lr=0.1), TypeError, "iterable"),
        (lambda p: optim.SGD({p}, lr=0.1), TypeError, None),
        (lambda p: optim.SGD([p], lr=-1), ValueError, "learning rate"),
        (lambda p: optim.SGD([p], lr=float("nan")), ValueError, "learning rate"),
        (lambda p: optim.SGD([p], lr=1, nesterov=True), ValueError, "Nesterov"),
        (lambda p: optim.SGD([p, p], lr=1), ValueError, "twice"),
        (lambda p: optim.SGD([{"params": p}, {"params": p}], lr=1), ValueError, "more than one"),
        (lambda p: optim.SGD([3], lr=1), TypeError, "only optimize Tensors"),
        (lambda p: optim.SGD([p * 2], lr=1), ValueError, "non-leaf"),
        (lambda p: optim.Adam([p], betas=(1.0, 0.9)), ValueError, "beta parameter at index 0"),
        (lambda p: optim.AdamW([p], eps=-1), ValueError, "epsilon"),
        (lambda p: optim.RMSprop([p], alpha=-1), ValueError, "alpha"),
    ],
)
def test_wrong_use_is_named(call, error, words):
    if words is None:
        o = call(Parameter(descent.tensor([1.0])))  # a set of one has one order
        assert len(o.param_groups[0]["params"]) == 1
        return
    with pytest.raises(error, match=words):
        call(Parameter(descent.tensor([1.0])))


def test_load_refuses_another_structure():
    p, o = make(momentum=0.9)
    o.step()
    saved = o.state_dict()
    q = Parameter(descent.tensor([1.0, 2.0, 3.0]))
    with pytest.raises(ValueError, match="shape"):
        optim.SGD([q], lr=1, momentum=0.9).load_state_dict(saved)
    with pytest.raises(ValueError, match="size"):
        optim.SGD([p, q], lr=1).load_state_dict(saved)
    with pytest.raises(ValueError, match="number of parameter groups"):
        optim.SGD([{"params": [p]}, {"params": [q]}], lr=1).load_state_dict(saved)


@pytest.mark.parametrize("name", list(CASES))
def test_gradients_and_parameters_of_any_layout(name):
    a = np.arange(6.0).reshape(2, 3)
    results = []
    for order, flip in itertools.product("CF", [False, True]):
        p = Parameter(descent.tensor(a))
        p.array = np.array(a, order=order)
        p.grad = descent.tensor(a)
        p.grad.array = a[::-1][::-1] if flip else np.asfortranarray(a)
        kept = p.grad.array.copy()
        o = getattr(optim, name)([p], **{**CASES[name][-1], "maximize": False})
        o.step()
        o.step()
        assert (p.grad.array == kept).all()
        results.append(p.array.copy())
    for r in results[1:]:
        np.testing.assert_allclose(r, results[0], rtol=1e-15)


def test_small_models_take_steps_without_the_compiler():
    code = (
        "import sys, descent as dc; from descent import nn, optim\n"
        "net = nn.Linear(20, 20); o = optim.AdamW(net.parameters())\n"
        "net(dc.randn(4, 20)).softmax(1).square().sum().backward(); o.step()\n"
        "assert 'numba' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
