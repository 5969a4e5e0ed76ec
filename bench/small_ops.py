"""Small eager ops, forward and backward: add, mul, matmul 32×32, softmax 32×27; no compiler."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from bench.compare import Bar
from bench.race import Work
from bench.sides.process import Side
from bench.sides.stepping import Data, Run


def _square() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {name: rng.standard_normal((32, 32), dtype=np.float32) for name in ("a", "b", "g")}


def _scores() -> dict[str, np.ndarray]:
    return {name: np.ascontiguousarray(x[:, :27]) for name, x in _square().items() if name != "b"}


def _both(m: Any, op: Callable[..., Any], data: Data) -> Run:
    inputs = [m.from_numpy(data[n]).requires_grad_() for n in ("a", "b") if n in data]
    g = m.from_numpy(data["g"])

    def run(n: int) -> float:
        for _ in range(n):
            for t in inputs:
                t.grad = None
            op(*inputs).backward(g)
        return inputs[0].grad[0, 1].item()

    return run


def _ours() -> Any:
    import descent.nn.functional

    return descent


def _torch() -> Any:
    import torch

    torch.set_num_threads(2)
    return torch


def descent_add(data: Data) -> Run:
    return _both(_ours(), lambda a, b: a + b, data)


def torch_add(data: Data) -> Run:
    return _both(_torch(), lambda a, b: a + b, data)


def descent_mul(data: Data) -> Run:
    return _both(_ours(), lambda a, b: a * b, data)


def torch_mul(data: Data) -> Run:
    return _both(_torch(), lambda a, b: a * b, data)


def descent_matmul(data: Data) -> Run:
    return _both(_ours(), lambda a, b: a @ b, data)


def torch_matmul(data: Data) -> Run:
    return _both(_torch(), lambda a, b: a @ b, data)


def descent_softmax(data: Data) -> Run:
    return _both(_ours(), lambda a: a.softmax(-1), data)


def torch_softmax(data: Data) -> Run:
    return _both(_torch(), lambda a: a.softmax(-1), data)


WORKS = tuple(
    Work(
        f"{title}, forward + backward, eager",
        data,
        (
            Side("descent", f"bench.small_ops:descent_{name}"),
            Side("torch eager", f"bench.small_ops:torch_{name}"),
        ),
        steps=3000,
        check=3,
        bars=(Bar(1, ("torch eager",)),),
    )
    for name, title, data in (
        ("add", "add 32×32", _square),
        ("mul", "mul 32×32", _square),
        ("matmul", "matmul 32×32", _square),
        ("softmax", "softmax 32×27", _scores),
    )
)
