"""AdamW over the 124M parameters of GPT-2, beside PyTorch's fused and default forms.

Memory decides: p, g, m, v are read and p, m, v written, 28 bytes a parameter, 3.5 GB in all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from bench.compare import Bar, Result, compare

__all__ = ["run"]

N, LAYERS = 768, 12
BLOCK = [
    (N,), (N,), (3 * N, N), (3 * N,), (N, N), (N,), (N,), (N,), (4 * N, N), (4 * N,), (N, 4 * N),
    (N,),
]  # fmt: skip
SHAPES = [(50257, N), (1024, N), *(LAYERS * BLOCK), (N,), (N,)]


def _side(module: Any, from_numpy: Callable[..., Any], **options: Any) -> Callable[[], float]:
    """A step on parameters and gradients of its own; it returns the size of one parameter."""
    rng = np.random.default_rng(0)
    params = []
    for shape in SHAPES:
        p = module.nn.Parameter(from_numpy(rng.random(shape, np.float32)))
        p.grad = from_numpy(rng.random(shape, np.float32))
        params.append(p)
    optimizer = module.optim.AdamW(params, lr=1e-3, **options)

    def step() -> float:
        optimizer.step()
        return float(params[2].detach().abs().sum())

    return step


def run() -> list[Result]:
    """One step of each side per round."""
    import descent
    import descent.nn
    import descent.optim

    work, bars = "AdamW, 124M parameters", [Bar(1.0, ("torch fused",))]
    sides = {"descent": _side(descent, descent.from_numpy)}
    try:
        import torch
    except ImportError:
        return [compare(work, sides, rounds=7, bars=bars)]
    torch.set_num_threads(2)
    sides["torch fused"] = _side(torch, torch.from_numpy, fused=True)
    sides["torch eager"] = _side(torch, torch.from_numpy)
    return [compare(work, sides, rounds=7, bars=bars)]
