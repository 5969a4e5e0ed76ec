"""nanoGPT's Shakespeare configuration for CPUs: 4 layers, 4 heads, 128 wide, block 64, batch 12.

No biases, tied embeddings, AdamW (lr 1e-3, betas 0.9 and 0.99, decay 0.1 on matrices alone),
gradients cut to norm 1: config/train_shakespeare_char.py with the README's options. Tokens are
random: 65 characters.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.compare import Bar
from bench.race import Work
from bench.sides import gpt, gpt_jax, gpt_sides
from bench.sides.gpt import Shape, weights
from bench.sides.process import Side
from bench.sides.stepping import Data, Run, checkout, cycle

SHAPE = Shape(
    65, 64, 12, 4, 4, 128, bias=False, tie=True,
    betas=(0.9, 0.99), decay=0.1, decay_vectors=False, clip=1.0,
)  # fmt: skip


def data() -> dict[str, np.ndarray]:
    """The weights, and 50 batches cut from a random text."""
    rng = np.random.default_rng(1)
    text = rng.integers(0, 65, 5000)
    starts = rng.integers(0, len(text) - 64, (50, 12, 1)) + np.arange(64)
    return weights(SHAPE) | {"x": text[starts], "y": text[starts + 1]}


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


def nanogpt(data: Data, compiled: bool = False) -> Run:
    """nanoGPT's own model.py and its train.py's step, in torch."""
    import torch

    torch.set_num_threads(2)
    model = checkout("nanoGPT", "model.py")
    net = model.GPT(model.GPTConfig(SHAPE.block, SHAPE.vocab, 4, 4, 128, dropout=0.0, bias=False))
    gpt.fill(torch, net, data, prefix="transformer.")
    optimizer = net.configure_optimizers(SHAPE.decay, SHAPE.lr, SHAPE.betas, "cpu")
    call = torch.compile(net) if compiled else net

    def step(x: Any, y: Any) -> Any:
        _, loss = call(x, y)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), SHAPE.clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss

    return cycle(step, gpt.batches(torch, data))


def nanogpt_compiled(data: Data) -> Run:
    return nanogpt(data, compiled=True)


_HERE = "bench.nanogpt_cpu:"
WORK = Work(
    "nanoGPT CPU step (4 layers, 4 heads, 128 wide, block 64, batch 12, AdamW)",
    data,
    (
        Side("descent", _HERE + "descent_compiled"),
        Side("descent eager", _HERE + "descent_eager"),
        Side("torch eager", _HERE + "torch_eager"),
        Side("torch.compile", _HERE + "torch_compiled"),
        Side("nanoGPT (torch eager)", _HERE + "nanogpt"),
        Side("nanoGPT (torch.compile)", _HERE + "nanogpt_compiled"),
        Side("jax jit", _HERE + "jax_jit", guest=True),
    ),
    steps=10,
    check=20,
    bars=(Bar(1.9, ("torch eager", "torch.compile")),),
)
