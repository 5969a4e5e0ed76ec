"""micrograd's moons step on tensors: 100 points, 2-16-16-1, hinge + 1e-4 Σp², float32, SGD at 0.1.

    L = mean max(0, 1 − yᵢ s(xᵢ)) + 1e-4 Σ p²        p ← p − 0.1 dL/dp

The same points and weights as bench/micrograd.py; the whole batch at each step.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from bench import micrograd
from bench.compare import Bar
from bench.race import Work
from bench.sides.process import Side
from bench.sides.stepping import Data, Run, compiled_cycle, cycle

WEIGHTS = ("W1", "b1", "W2", "b2", "W3", "b3")
RATE = 0.1


def data() -> dict[str, np.ndarray]:
    """The points, and the demo's 337 parameters as three matrices and three vectors."""
    points = micrograd.data()
    flat, found = points["weights"].astype(np.float32), {}
    for i, (n_in, n_out) in enumerate(((2, 16), (16, 16), (16, 1)), 1):
        rows, flat = np.split(flat, [n_out * (n_in + 1)])
        rows = rows.reshape(n_out, n_in + 1)
        found[f"W{i}"], found[f"b{i}"] = rows[:, :-1].copy(), rows[:, -1].copy()
    return found | {name: points[name].astype(np.float32) for name in ("X", "y")}


def _loss(m: Any, ps: list[Any], X: Any, y: Any) -> Any:
    F = m.nn.functional
    W1, b1, W2, b2, W3, b3 = ps
    h = F.relu(F.linear(F.relu(F.linear(X, W1, b1)), W2, b2))
    hinge = F.relu(1 - y * F.linear(h, W3, b3)[:, 0]).mean()
    return hinge + 1e-4 * sum((p * p).sum() for p in ps)


def _batch(m: Any, data: Data) -> list[tuple[Any, Any]]:
    return [(m.from_numpy(data["X"]), m.from_numpy(data["y"]))]


def _eager(m: Any, data: Data) -> Run:
    ps = [m.from_numpy(data[name]).requires_grad_() for name in WEIGHTS]

    def step(X: Any, y: Any) -> Any:
        loss = _loss(m, ps, X, y)
        for p in ps:
            p.grad = None
        loss.backward()
        for p in ps:
            p.data += -RATE * p.grad
        return loss.detach()

    return cycle(step, _batch(m, data))


def descent_eager(data: Data) -> Run:
    import descent.nn.functional

    return _eager(descent, data)


def descent_compiled(data: Data) -> Run:
    import descent.nn.functional
    import descent.optim

    ps = [descent.from_numpy(data[name]).requires_grad_() for name in WEIGHTS]
    optimizer = descent.optim.SGD(ps, lr=RATE)

    def train_step(X: Any, y: Any) -> Any:
        loss = _loss(descent, ps, X, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return compiled_cycle(train_step, _batch(descent, data))


def torch_eager(data: Data) -> Run:
    import torch

    torch.set_num_threads(2)
    return _eager(torch, data)


def torch_compiled(data: Data) -> Run:
    """One graph of forward, backward and update."""
    import torch

    torch.set_num_threads(2)
    ps = [torch.from_numpy(data[name]) for name in WEIGHTS]
    gradients = torch.func.grad_and_value(lambda ps, X, y: _loss(torch, ps, X, y))

    @torch.compile(fullgraph=True)
    def train_step(ps: Any, X: Any, y: Any) -> Any:
        gs, loss = gradients(ps, X, y)
        torch._foreach_add_(ps, list(gs), alpha=-RATE)
        return loss

    return cycle(functools.partial(train_step, ps), _batch(torch, data))


def _jax(data: Data) -> tuple[Any, Any, Any]:
    import jax

    jnp, nn = jax.numpy, jax.nn
    X, y = jnp.asarray(data["X"]), jnp.asarray(data["y"])

    def loss(ps: Any) -> Any:
        W1, b1, W2, b2, W3, b3 = ps
        h = nn.relu(nn.relu(X @ W1.T + b1) @ W2.T + b2)
        hinge = nn.relu(1 - y * (h @ W3.T + b3)[:, 0]).mean()
        return hinge + 1e-4 * sum((p * p).sum() for p in ps)

    def step(ps: Any, _: Any) -> Any:
        value, gs = jax.value_and_grad(loss)(ps)
        return [p - RATE * g for p, g in zip(ps, gs)], value

    return jax, [jnp.asarray(data[name]) for name in WEIGHTS], step


def jax_jit(data: Data) -> Run:
    jax, ps, step = _jax(data)
    jitted = jax.jit(step, donate_argnums=0)

    def one(_: Any, __: Any) -> Any:
        nonlocal ps
        ps, loss = jitted(ps, None)
        return loss

    return cycle(one, [(None, None)])


def jax_scan(data: Data) -> Run:
    """Many steps in one call."""
    jax, ps, step = _jax(data)
    scanned = jax.jit(
        lambda ps, n: jax.lax.scan(step, ps, None, length=n), static_argnums=1, donate_argnums=0
    )

    def run(n: int) -> float:
        nonlocal ps
        ps, losses = scanned(ps, n)
        return float(losses[-1])

    return run


def tinygrad_jit(data: Data) -> Run:
    from tinygrad import Tensor, TinyJit

    ps = [Tensor(data[name]).realize() for name in WEIGHTS]

    @TinyJit
    def train_step(X: Any, y: Any) -> Any:
        W1, b1, W2, b2, W3, b3 = ps
        h = ((X @ W1.T + b1).relu() @ W2.T + b2).relu()
        loss = (1 - y * (h @ W3.T + b3)[:, 0]).relu().mean()
        loss = loss + 1e-4 * sum((p * p).sum() for p in ps)
        for p, g in zip(ps, loss.gradient(*ps)):
            p.assign(p - RATE * g)
        return loss.realize(*ps)

    return cycle(train_step, [(Tensor(data["X"]).realize(), Tensor(data["y"]).realize())])


_HERE = "bench.moons_tensors:"
WORK = Work(
    "micrograd's moons step on tensors (100 points, 2-16-16-1, hinge + L2, SGD)",
    data,
    (
        Side("descent", _HERE + "descent_compiled"),
        Side("descent eager", _HERE + "descent_eager"),
        Side("torch eager", _HERE + "torch_eager"),
        Side("torch.compile", _HERE + "torch_compiled"),
        Side("jax jit", _HERE + "jax_jit", guest=True),
        Side("jax scan", _HERE + "jax_scan", guest=True),
        Side("tinygrad", _HERE + "tinygrad_jit", guest=True),
    ),
    steps=1000,
    check=50,
    slow={"tinygrad": 50},
    bars=(Bar(10, ("torch eager",)),),
)
