"""makemore's Transformer, default size: 4 layers, 4 heads, 64 wide, block 16, batch 32, AdamW.

Its settings: lr 5e-4, betas 0.9 and 0.99, weight decay 0.01. Words of random letters, 3 to 10
long, start and end with token 0; what lies behind is padding (−1).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.compare import Bar
from bench.race import Work
from bench.sides import gpt, gpt_jax, gpt_sides, gpt_tinygrad
from bench.sides.gpt import Shape, weights
from bench.sides.process import Side
from bench.sides.stepping import Data, Run, checkout, cycle

SHAPE = Shape(27, 16, 32, 4, 4, 64, lr=5e-4, betas=(0.9, 0.99), decay=0.01)


def data() -> dict[str, np.ndarray]:
    """The weights, and 50 batches of words."""
    rng = np.random.default_rng(1)
    x = np.zeros((50, 32, 16), np.int64)
    y = np.full((50, 32, 16), -1, np.int64)
    for b, i in np.ndindex(50, 32):
        word = rng.integers(1, 27, rng.integers(3, 11))
        x[b, i, 1 : 1 + len(word)] = word
        y[b, i, : len(word)] = word
        y[b, i, len(word)] = 0
    return weights(SHAPE) | {"x": x, "y": y}


def descent_compiled(data: Data) -> Run:
    return gpt_sides.descent_compiled(SHAPE, data)


def descent_eager(data: Data) -> Run:
    return gpt_sides.descent_eager(SHAPE, data)


def torch_eager(data: Data) -> Run:
    return gpt_sides.torch_eager(SHAPE, data)


def torch_compiled(data: Data) -> Run:
    return gpt_sides.torch_compiled(SHAPE, data)


def jax_jit(data: Data) -> Run:
    return gpt_jax.jit(SHAPE, data)


def jax_scan(data: Data) -> Run:
    return gpt_jax.scan(SHAPE, data)


def tinygrad_jit(data: Data) -> Run:
    return gpt_tinygrad.jit(SHAPE, data)


def makemore_eager(data: Data) -> Run:
    """makemore's own Transformer and optimiser, in torch."""
    import torch

    torch.set_num_threads(2)
    makemore = checkout("makemore", "makemore.py")
    sizes = makemore.ModelConfig(block_size=SHAPE.block, vocab_size=SHAPE.vocab)
    net = makemore.Transformer(sizes)
    gpt.fill(torch, net, data, prefix="transformer.")
    optimizer = torch.optim.AdamW(
        net.parameters(), lr=SHAPE.lr, betas=SHAPE.betas, weight_decay=SHAPE.decay, eps=1e-8
    )

    def step(x: Any, y: Any) -> Any:
        _, loss = net(x, y)
        net.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return loss

    return cycle(step, gpt.batches(torch, data))


_HERE = "bench.makemore_transformer:"
WORK = Work(
    "makemore Transformer step (4 layers, 4 heads, 64 wide, block 16, batch 32, AdamW)",
    data,
    (
        Side("descent", _HERE + "descent_compiled"),
        Side("descent eager", _HERE + "descent_eager"),
        Side("torch eager", _HERE + "torch_eager"),
        Side("torch.compile", _HERE + "torch_compiled"),
        Side("makemore.py (torch eager)", _HERE + "makemore_eager"),
        Side("jax jit", _HERE + "jax_jit", guest=True),
        Side("jax scan", _HERE + "jax_scan", guest=True),
        Side("tinygrad", _HERE + "tinygrad_jit", guest=True),
    ),
    steps=20,
    check=50,
    slow={"tinygrad": 2},
    bars=(Bar(2.5, ("torch eager",)), Bar(1.6, ("torch.compile",))),
)
