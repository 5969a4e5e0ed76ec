"""Two moons: train micrograd's demo network on Values, one multiplication at a time.

    python examples/moons.py [STEPS]

A 2-16-16-1 perceptron (337 parameters), hinge loss + 1e-4 Σp², full batch, rate 1 - 0.9 k/100.
Reference: micrograd, demo.ipynb; the losses printed here are the ones it prints.
"""

import math
import random
import sys

import numpy as np

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


def train(model: MLP, X: np.ndarray, y: np.ndarray, steps: int = 100):
    """Gradient descent on the whole batch; yields (step, loss, accuracy) before each update."""
    for k in range(steps):
        loss, accuracy = loss_and_accuracy(model, X, y)
        model.zero_grad()
        loss.backward()
        rate = 1.0 - 0.9 * k / 100
        for p in model.parameters():
            p.data -= rate * p.grad
        yield k, loss.data, accuracy


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


def main(steps: int = 100) -> None:
    random.seed(1337)
    X, y = make_moons(100, 0.1, np.random.RandomState(1337))
    y = y * 2 - 1
    model = MLP(2, [16, 16, 1])
    print(f"{len(model.parameters())} parameters, {len(X)} points")
    for k, loss, accuracy in train(model, X, y, steps):
        print(f"step {k} loss {loss}, accuracy {accuracy * 100:g}%", flush=True)
    print(boundary(model, X, y))
    print(f"accuracy after {steps} updates: {loss_and_accuracy(model, X, y)[1] * 100:g}%")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
