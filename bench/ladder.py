"""Single ops of the sizes that GPT-2 and small CNNs use, beside PyTorch eager, in turn."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from bench.compare import Result, compare

__all__ = ["run"]

Side = SimpleNamespace
Step = Callable[[], float]


def _sides() -> dict[str, Side]:
    import descent
    from descent.nn import functional

    sides = {"descent": Side(m=descent, F=functional, from_np=descent.from_numpy)}
    try:
        import torch
    except ImportError:
        return sides
    torch.set_num_threads(2)
    sides["torch eager"] = Side(m=torch, F=torch.nn.functional, from_np=torch.from_numpy)
    return sides


def forward(side: Side, call: Callable[..., Any], *shapes: tuple[int, ...]) -> Step:
    """The op alone, without a tape; its "loss" is one number of the result."""
    inputs = _inputs(side, shapes)

    def step() -> float:
        with side.m.no_grad():
            return _some(call(*inputs))

    return step


def both(side: Side, call: Callable[..., Any], *shapes: tuple[int, ...]) -> Step:
    """The op and the gradient of all its inputs; its "loss" is one number of the first gradient."""
    inputs = [t.requires_grad_() for t in _inputs(side, shapes)]
    y = call(*inputs)
    g = y.detach() * 0 + 1 if y.ndim else None

    def step() -> float:
        for t in inputs:
            t.grad = None
        call(*inputs).backward(g)
        return _some(inputs[0].grad)

    return step


def _inputs(side: Side, shapes: tuple[tuple[int, ...], ...]) -> list[Any]:
    rng = np.random.default_rng(0)
    return [side.from_np(rng.standard_normal(s, np.float32)) for s in shapes]


def _some(y: Any) -> float:
    return y.reshape(-1)[1].item()


def works() -> dict[str, Callable[[Side], Step]]:
    """What is timed, made for a side."""
    wide, scores, rows, heads = (1024, 3072), (256, 50257), (1024, 768), (4, 1024, 64)
    ids = np.random.default_rng(1).integers(0, scores[1], scores[0])
    small = ((8, 16, 28, 28), (32, 16, 3, 3))
    large = ((4, 64, 56, 56), (64, 64, 3, 3))

    def tanh_gelu(s: Side) -> Callable[..., Any]:
        return lambda x: s.F.gelu(x, approximate="tanh")

    def ce(s: Side) -> Callable[..., Any]:
        target = s.from_np(ids)
        return lambda x: s.F.cross_entropy(x, target)

    def norm(s: Side) -> Callable[..., Any]:
        return lambda x, w, b: s.F.layer_norm(x, rows[1:], w, b)

    def attend(s: Side) -> Callable[..., Any]:
        return lambda q, k, v: s.F.scaled_dot_product_attention(q, k, v, is_causal=True)

    def conv(s: Side) -> Callable[..., Any]:
        return lambda x, w: s.F.conv2d(x, w, padding=1)

    return {
        "GELU (tanh) 1024×3072": lambda s: forward(s, tanh_gelu(s), wide),
        "GELU (tanh) 1024×3072, forward + backward": lambda s: both(s, tanh_gelu(s), wide),
        "GELU 1024×3072": lambda s: forward(s, s.F.gelu, wide),
        "GELU 1024×3072, forward + backward": lambda s: both(s, s.F.gelu, wide),
        "SiLU 1024×3072, forward + backward": lambda s: both(s, s.F.silu, wide),
        "softmax 256×50257": lambda s: forward(s, lambda x: s.F.softmax(x, dim=-1), scores),
        "cross-entropy 256×50257, forward + backward": lambda s: both(s, ce(s), scores),
        "layer norm 1024×768, forward + backward": lambda s: both(
            s, norm(s), rows, rows[1:], rows[1:]
        ),
        "attention, 4 heads, T = 1024, 64 wide, causal, forward + backward": lambda s: both(
            s, attend(s), *[(1, *heads)] * 3
        ),
        "conv 3×3, 8×16→32, 28², forward + backward": lambda s: both(s, conv(s), *small),
        "conv 3×3, 4×64→64, 56²": lambda s: forward(s, conv(s), *large),
        "conv 3×3, 4×64→64, 56², forward + backward": lambda s: both(s, conv(s), *large),
    }


def repeated(step: Step, n: int) -> Step:
    """n calls in a row, as in a training loop: both processors stay awake."""

    def steps() -> float:
        for _ in range(n - 1):
            step()
        return step()

    return steps


def measured(name: str, sides: dict[str, Side]) -> Result:
    """One work on every side; each is timed over at least a twentieth of a second."""
    steps = {k: works()[name](s) for k, s in sides.items()}
    steps["descent"]()
    began = time.perf_counter()
    steps["descent"]()
    n = min(40, 1 + int(0.05 / (time.perf_counter() - began)))
    calls = {k: repeated(step, n) for k, step in steps.items()}
    return compare(name, calls, steps=n, rest_s=0.05)


def run() -> list[Result]:
    """All works of this file."""
    sides = _sides()
    return [measured(name, sides) for name in works()]
