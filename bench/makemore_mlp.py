"""makemore's MLP step: 27 letters, block 3, embedding 10, hidden 200, batch 32, SGD at 0.1.

    h = tanh(C[x] · W₁ + b₁)        loss = cross-entropy(h · W₂ + b₂, y)        p ← p − 0.1 dp

Bengio et al. 2003; makemore, lecture 3. The batches are drawn beforehand, on every side alike.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from bench.compare import Bar
from bench.race import Work
from bench.sides.process import Side
from bench.sides.stepping import Data, Run, compiled_cycle, cycle

__all__ = ["WORK"]

WEIGHTS = ("C", "W1", "b1", "W2", "b2")


def data() -> dict[str, np.ndarray]:
    """Weights as in the lecture, and 1,000 batches."""
    rng = np.random.default_rng(0)

    def normal(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape, dtype=np.float32)

    C, W1, W2 = normal(27, 10), normal(30, 200) * np.float32(0.1), normal(200, 27) * np.float32(0.1)
    b1, b2 = np.zeros(200, np.float32), np.zeros(27, np.float32)
    x, y = rng.integers(0, 27, (1000, 32, 3)), rng.integers(0, 27, (1000, 32))
    return {"C": C, "W1": W1, "b1": b1, "W2": W2, "b2": b2, "x": x, "y": y}


def _loss(m: Any, ps: list[Any], x: Any, y: Any) -> Any:
    """The model as the lecture writes it: the same source for descent and for torch."""
    C, W1, b1, W2, b2 = ps
    h = m.tanh(C[x].view(-1, 30) @ W1 + b1)
    return m.nn.functional.cross_entropy(h @ W2 + b2, y)


def _batches(m: Any, data: Data) -> list[tuple[Any, Any]]:
    return [(m.from_numpy(x), m.from_numpy(y)) for x, y in zip(data["x"], data["y"])]


def _eager(m: Any, data: Data) -> Run:
    ps = [m.from_numpy(data[name]).requires_grad_() for name in WEIGHTS]

    def step(x: Any, y: Any) -> Any:
        loss = _loss(m, ps, x, y)
        for p in ps:
            p.grad = None
        loss.backward()
        for p in ps:
            p.data += -0.1 * p.grad
        return loss.detach()

    return cycle(step, _batches(m, data))


def descent_eager(data: Data) -> Run:
    import descent.nn.functional

    return _eager(descent, data)


def _descent_step(data: Data) -> Callable[[Any, Any], Any]:
    import descent.optim

    ps = [descent.from_numpy(data[name]).requires_grad_() for name in WEIGHTS]
    optimizer = descent.optim.SGD(ps, lr=0.1)

    def train_step(x: Any, y: Any) -> Any:
        loss = _loss(descent, ps, x, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return train_step


def descent_compiled(data: Data) -> Run:
    import descent

    return compiled_cycle(_descent_step(data), _batches(descent, data))


def descent_scan(data: Data) -> Run:
    """Many steps in one call, as in jax's scan."""
    import descent

    step, done = descent.compile(_descent_step(data)), 0
    x, y = data["x"], data["y"]

    def run(n: int) -> float:
        nonlocal done
        rows = np.arange(done, done + n) % len(x)
        done += n
        losses = step.scan(descent.from_numpy(x[rows]), descent.from_numpy(y[rows]))
        return float(losses[-1].item())

    return run


def torch_eager(data: Data) -> Run:
    import torch

    torch.set_num_threads(2)
    return _eager(torch, data)


def torch_compiled(data: Data) -> Run:
    """One graph of forward, backward and update: the fastest form found (see RESULTS.md)."""
    import torch

    torch.set_num_threads(2)
    ps = [torch.from_numpy(data[name]) for name in WEIGHTS]
    gradients = torch.func.grad_and_value(lambda ps, x, y: _loss(torch, ps, x, y))

    @torch.compile(fullgraph=True)
    def train_step(ps: Any, x: Any, y: Any) -> Any:
        gs, loss = gradients(ps, x, y)
        torch._foreach_add_(ps, list(gs), alpha=-0.1)
        return loss

    return cycle(functools.partial(train_step, ps), _batches(torch, data))


def _jax_step(jax: Any) -> Callable[[list[Any], tuple[Any, Any]], tuple[list[Any], Any]]:
    jnp = jax.numpy

    def loss(ps: list[Any], x: Any, y: Any) -> Any:
        C, W1, b1, W2, b2 = ps
        h = jnp.tanh(C[x].reshape(-1, 30) @ W1 + b1)
        logs = jax.nn.log_softmax(h @ W2 + b2)
        return -jnp.take_along_axis(logs, y[:, None], 1).mean()

    def step(ps: list[Any], batch: tuple[Any, Any]) -> tuple[list[Any], Any]:
        value, gs = jax.value_and_grad(loss)(ps, *batch)
        return [p - 0.1 * g for p, g in zip(ps, gs)], value

    return step


def jax_jit(data: Data) -> Run:
    import jax

    ps = [jax.numpy.asarray(data[name]) for name in WEIGHTS]
    jitted = jax.jit(_jax_step(jax), donate_argnums=0)
    x, y = (jax.numpy.asarray(data[name].astype(np.int32)) for name in "xy")

    def step(x: Any, y: Any) -> Any:
        nonlocal ps
        ps, loss = jitted(ps, (x, y))
        return loss

    return cycle(step, list(zip(x, y)))


def jax_scan(data: Data) -> Run:
    """Many steps in one call: what jax can do when nobody looks in between."""
    import jax

    ps = [jax.numpy.asarray(data[name]) for name in WEIGHTS]
    step = _jax_step(jax)
    scanned = jax.jit(lambda ps, xs, ys: jax.lax.scan(step, ps, (xs, ys)), donate_argnums=0)
    x, y = (data[name].astype(np.int32) for name in "xy")
    done = 0

    def run(n: int) -> float:
        nonlocal ps, done
        rows = np.arange(done, done + n) % len(x)
        done += n
        ps, losses = scanned(ps, x[rows], y[rows])
        return float(losses[-1])

    return run


def tinygrad_jit(data: Data) -> Run:
    from tinygrad import Tensor, TinyJit

    Tensor.training = True
    ps = [Tensor(data[name]).realize() for name in WEIGHTS]

    @TinyJit
    def train_step(x: Any, y: Any) -> Any:
        C, W1, b1, W2, b2 = ps
        loss = ((C[x].view(-1, 30) @ W1 + b1).tanh() @ W2 + b2).sparse_categorical_crossentropy(y)
        gs = loss.gradient(*ps)
        for p, g in zip(ps, gs):
            p.assign(p - 0.1 * g)
        return loss.realize(*ps)

    x, y = (data[name].astype(np.int32) for name in "xy")
    batches = [(Tensor(a).realize(), Tensor(b).realize()) for a, b in zip(x[:100], y[:100])]
    return cycle(train_step, batches)


_HERE = "bench.makemore_mlp:"
WORK = Work(
    "makemore MLP step (block 3, embedding 10, hidden 200, batch 32, SGD)",
    data,
    (
        Side("descent", _HERE + "descent_compiled"),
        Side("descent scan", _HERE + "descent_scan"),
        Side("descent eager", _HERE + "descent_eager"),
        Side("torch eager", _HERE + "torch_eager"),
        Side("torch.compile", _HERE + "torch_compiled"),
        Side("jax jit", _HERE + "jax_jit", guest=True),
        Side("jax scan", _HERE + "jax_scan", guest=True),
        Side("tinygrad", _HERE + "tinygrad_jit", guest=True),
    ),
    steps=1000,
    check=100,
    slow={"tinygrad": 20},
    bars=(
        Bar(4, ("torch eager",)),
        Bar(2.5, ("torch.compile",)),
        Bar(1, ("jax scan",), "descent scan"),
        Bar(1, ("jax jit",)),
    ),
)
