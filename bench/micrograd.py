"""micrograd's moons step: 100 points, MLP 2-16-16-1, hinge loss + 1e-4 Σp², SGD on the full batch.

    L = mean max(0, 1 − yᵢ s(xᵢ)) + 1e-4 Σ p²        p ← p − rate dL/dp,  rate = 1 − 0.9 k/100

micrograd's demo.ipynb: 337 parameters, 70,000 Values a step. micrograd is its own code, given plain
floats (NumPy's, as in the notebook, are slower still), with Python's garbage collector on and off.
"""

from __future__ import annotations

import gc
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench.compare import Bar, Result
from bench.race import Work, race
from bench.sides.process import Side, peers_folder
from bench.sides.stepping import Data, Run

__all__ = ["WORK", "run"]


def data() -> dict[str, np.ndarray]:
    """The example's moons, and the weights `random.seed(1337)` gives."""
    import random

    from descent.scalar import MLP

    path = Path(__file__).parents[1] / "examples" / "moons.py"
    spec = importlib.util.spec_from_file_location("moons_example", path)
    moons = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
    spec.loader.exec_module(moons)  # type: ignore[union-attr]
    X, y = moons.make_moons(100, 0.1, np.random.RandomState(1337))
    random.seed(1337)
    weights = np.array([p.data for p in MLP(2, [16, 16, 1]).parameters()], dtype=np.float64)
    return {"X": X, "y": (y * 2 - 1).astype(np.float64), "weights": weights}


def _rate(k: int) -> float:
    return 1.0 - 0.9 * min(k, 100) / 100


def _counting(step: Callable[[float], float]) -> Run:
    """`step(rate)` again and again, at the demo's rates."""
    k = 0

    def run(n: int) -> float:
        nonlocal k
        loss = float("nan")
        for _ in range(n):
            loss = step(_rate(k))
            k += 1
        return loss

    return run


def _loaded(model: Any, data: Data) -> Any:
    for p, w in zip(model.parameters(), data["weights"].tolist()):
        p.data = w
    return model


def _demo(model: Any, value: Any) -> Callable[[Any, Any, float], float]:
    """The cells of demo.ipynb as one function of the batch and the rate."""

    def step(X: Any, y: Any, rate: float) -> float:
        scores = [model([value(v) for v in row]) for row in X]
        losses = [(1 + -yi * si).relu() for yi, si in zip(y, scores)]
        loss = sum(losses) * (1.0 / len(losses)) + 1e-4 * sum(p * p for p in model.parameters())
        model.zero_grad()
        loss.backward()
        for p in model.parameters():
            p.data -= rate * p.grad
        return loss.data

    return step


def _plain(mlp: Any, value: Any, data: Data) -> Run:
    X, y = data["X"].tolist(), data["y"].tolist()
    step = _demo(_loaded(mlp(2, [16, 16, 1]), data), value)
    return _counting(lambda rate: step(X, y, rate))


def micrograd(data: Data) -> Run:
    folder = peers_folder() / "micrograd"
    if not (folder / "micrograd" / "engine.py").exists():
        raise FileNotFoundError(2, "no checkout", str(folder))
    sys.path.insert(0, str(folder))
    from micrograd.engine import Value  # type: ignore[import-not-found]
    from micrograd.nn import MLP  # type: ignore[import-not-found]

    return _plain(MLP, Value, data)


def micrograd_without_gc(data: Data) -> Run:
    gc.disable()  # its graphs are cycles: nothing is ever freed, about 60 MB a step
    return micrograd(data)


def descent_value(data: Data) -> Run:
    from descent.scalar import MLP, Value

    return _plain(MLP, Value, data)


def descent_value_without_gc(data: Data) -> Run:
    gc.disable()
    return descent_value(data)


def _replayed(data: Data) -> tuple[Any, Callable[[float], float]]:
    from descent.compiler.scalars import replay
    from descent.scalar import MLP, Value

    X, y = data["X"], data["y"]
    model = _loaded(MLP(2, [16, 16, 1]), data)
    step = replay(_demo(model, Value), parameters=model.parameters())
    return step, lambda rate: step(X, y, rate)


def descent_replay(data: Data) -> Run:
    """The same function, replayed; the parameters live in an array."""
    step, once = _replayed(data)
    step.hold()
    return _counting(once)


def descent_replay_attributes(data: Data) -> Run:
    """The same, each parameter's data and grad read and written as attributes in every step."""
    return _counting(_replayed(data)[1])


def torch_eager(data: Data) -> Run:
    import torch
    from torch.nn import functional as F

    torch.set_num_threads(2)
    X, y, flat = (torch.from_numpy(data[n]).float() for n in ("X", "y", "weights"))
    ps, at = [], 0
    for nin, nout in ((2, 16), (16, 16), (16, 1)):
        rows = flat[at : at + nout * (nin + 1)].view(nout, nin + 1)
        at += nout * (nin + 1)
        ps += [rows[:, :-1].clone().requires_grad_(), rows[:, -1].clone().requires_grad_()]

    def step(rate: float) -> float:
        h = F.linear(F.linear(X, *ps[:2]).relu(), *ps[2:4]).relu()
        loss = (1 - y * F.linear(h, *ps[4:])[:, 0]).relu().mean()
        loss = loss + 1e-4 * sum((p * p).sum() for p in ps)
        for p in ps:
            p.grad = None
        loss.backward()
        for p in ps:
            p.data -= rate * p.grad  # type: ignore[operator]
        return loss.item()

    return _counting(step)


_HERE = "bench.micrograd:"
WORK = Work(
    "micrograd's moons step on Values (100 points, 2-16-16-1, hinge + L2, SGD)",
    data,
    (
        Side("descent", _HERE + "descent_replay"),
        Side("descent, attributes", _HERE + "descent_replay_attributes"),
        Side("descent Value", _HERE + "descent_value"),
        Side("descent Value, gc off", _HERE + "descent_value_without_gc"),
        Side("micrograd", _HERE + "micrograd"),
        Side("micrograd, gc off", _HERE + "micrograd_without_gc"),
        Side("torch eager", _HERE + "torch_eager"),
    ),
    steps=2000,
    check=10,
    slow={
        "descent Value": 2,
        "descent Value, gc off": 2,
        "micrograd": 1,
        "micrograd, gc off": 2,
        "torch eager": 500,
    },
    bars=(
        Bar(1000, ("micrograd",)),
        Bar(1000, ("micrograd, gc off",)),
        Bar(1, ("micrograd",), ours="descent Value"),
        Bar(1, ("micrograd, gc off",), ours="descent Value, gc off"),
    ),
)


def run() -> list[Result]:
    """Race all sides."""
    return [race(WORK)]
