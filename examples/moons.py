"""Two moons: train micrograd's demo network on Values, one multiplication at a time, then replayed.

    python examples/moons.py [STEPS]

A 2-16-16-1 perceptron (337 parameters), hinge loss + 1e-4 Σp², full batch, rate 1 - 0.9 k/100.
First every multiplication is done on Values; then the same step is recorded once and replayed as
compiled loops (docs/scalar_replay.md), with the same losses.
Reference: micrograd, demo.ipynb; the losses printed here are the ones it prints.
"""

import math
import random
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from descent.compiler.scalars import replay
from descent.scalar import MLP, Value


def make_moons(n: int, noise: float, rng: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
    """Two interleaved half circles, shuffled, with Gaussian noise: X (n, 2), y (n,) in {0, 1}.

    Draws in the order scikit-learn's make_moons draws, so a seed gives the same points.
    """
    n_out = n // 2
    out, inn = np.linspace(0, np.pi, n_out), np.linspace(0, np.pi, n - n_out)
    x1 = np.append(np.cos(out), 1 - np.cos(inn))
    x2 = np.append(np.sin(out), 1 - np.sin(inn) - 0.5)
    X = np.vstack([x1, x2]).T
    y = np.append(np.zeros(n_out, dtype=np.intp), np.ones(n - n_out, dtype=np.intp))
    order = np.arange(n)
    rng.shuffle(order)
    return X[order] + rng.normal(scale=noise, size=X.shape), y[order]


def loss_and_accuracy(model: MLP, X: np.ndarray, y: np.ndarray) -> tuple[Value, float]:
    """Mean hinge loss max(0, 1 - yᵢ sᵢ) plus 1e-4 Σp², and the share of right signs."""
    scores = [model([Value(v) for v in row]) for row in X]
    hinge = sum((1 + -yi * si).relu() for yi, si in zip(y, scores)) * (1.0 / len(scores))
    penalty = 1e-4 * sum(p * p for p in model.parameters())
    right = sum((yi > 0) == (si.data > 0) for yi, si in zip(y, scores))
    return hinge + penalty, right / len(scores)


Step = Callable[[np.ndarray, np.ndarray, float], tuple[Any, float]]


def step_of(model: MLP) -> Step:
    """One step of gradient descent on the whole batch: (loss, accuracy) before the update."""

    def step(X: np.ndarray, y: np.ndarray, rate: float) -> tuple[Any, float]:
        loss, accuracy = loss_and_accuracy(model, X, y)
        model.zero_grad()
        loss.backward()
        for p in model.parameters():
            p.data -= rate * p.grad
        return loss.data, accuracy

    return step


def train(step: Step, X: np.ndarray, y: np.ndarray, steps: int = 100) -> Iterator[tuple]:
    """Yields (step, loss, accuracy)."""
    for k in range(steps):
        yield k, *step(X, y, 1.0 - 0.9 * k / 100)


def boundary(model: MLP, X: np.ndarray, y: np.ndarray, columns: int = 64, rows: int = 22) -> str:
    """The plane as text: '·' where the score is positive, o and x the two classes."""
    low, high = X.min(axis=0) - 0.5, X.max(axis=0) + 0.5
    across, down = np.linspace(low[0], high[0], columns), np.linspace(high[1], low[1], rows)
    page = [["·" if model([a, b]) > 0 else " " for a in across] for b in down]
    for (a, b), yi in zip(X, y):
        j = math.floor((a - low[0]) / (high[0] - low[0]) * (columns - 1) + 0.5)
        i = math.floor((high[1] - b) / (high[1] - low[1]) * (rows - 1) + 0.5)
        page[i][j] = "x" if yi > 0 else "o"
    return "\n".join("".join(line) for line in page)


def network() -> MLP:
    """The same weights every time."""
    random.seed(1337)
    return MLP(2, [16, 16, 1])


def timed(step: Step, X: np.ndarray, y: np.ndarray, steps: int) -> tuple[list[tuple], float]:
    """What `train` yields, printed as it comes, and the seconds a step took."""
    began, done = time.perf_counter(), []
    for k, loss, accuracy in train(step, X, y, steps):
        done.append((k, loss, accuracy))
        print(f"step {k} loss {loss}, accuracy {accuracy * 100:g}%", flush=True)
    return done, (time.perf_counter() - began) / max(steps, 1)


def main(steps: int = 100) -> None:
    X, y = make_moons(100, 0.1, np.random.RandomState(1337))
    y = y * 2 - 1
    model = network()
    print(f"{len(model.parameters())} parameters, {len(X)} points")
    plain, plain_s = timed(step_of(model), X, y, steps)

    again = network()
    step = replay(step_of(again), parameters=again.parameters())  # this line is all that changes
    began = time.perf_counter()
    step(X, y, 0.0)  # recorded and compiled (or read from the cache); a rate of 0 changes nothing
    ready_s = time.perf_counter() - began
    with step.hold():
        began = time.perf_counter()
        replayed = list(train(step, X, y, steps))
        replayed_s = (time.perf_counter() - began) / max(steps, 1)
    worst = max((abs(a[1] - b[1]) for a, b in zip(plain, replayed)), default=0.0)
    print(f"on Values {1e3 * plain_s:.1f} ms a step; replayed {1e6 * replayed_s:.1f} µs")
    print(f"recorded and compiled in {ready_s:.1f} s; worst difference of a loss {worst:.0e}")

    print(boundary(again, X, y))
    print(f"accuracy after {steps} updates: {loss_and_accuracy(again, X, y)[1] * 100:g}%")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
