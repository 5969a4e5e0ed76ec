"""GPT-2 124M, one training step: B=4, T=64, AdamW; float32, and bfloat16 matrix products.

The optimiser is set as llm.c's train_gpt2 has it (lr 1e-4, betas 0.9 and 0.999, no decay), so that
its losses can stand beside the others'. One batch, over and over. Weights start as GPT-2's do.
"""

from __future__ import annotations

import numpy as np

from bench.compare import Bar
from bench.race import Work
from bench.sides import gpt_jax, gpt_sides, llmc
from bench.sides.gpt import Shape, weights
from bench.sides.process import Side
from bench.sides.stepping import Data, Run

SHAPE = Shape(50257, 1024, 4, 12, 12, 768, tie=True, lr=1e-4)


def data() -> dict[str, np.ndarray]:
    """The weights and one batch of 4 × 64 random tokens, each row going on in the next."""
    tokens = np.random.default_rng(1).integers(0, SHAPE.vocab, 4 * 64 + 1)
    x, y = tokens[:-1].reshape(1, 4, 64), tokens[1:].reshape(1, 4, 64)
    return weights(SHAPE) | {"x": x, "y": y}


def descent_compiled(data: Data) -> Run:
    return gpt_sides.descent_compiled(SHAPE, data)


def descent_bf16(data: Data) -> Run:
    return gpt_sides.descent_compiled(SHAPE, data, precision="bf16")


def descent_eager(data: Data) -> Run:
    return gpt_sides.descent_eager(SHAPE, data)


def torch_eager(data: Data) -> Run:
    return gpt_sides.torch_eager(SHAPE, data)


def torch_compiled(data: Data) -> Run:
    return gpt_sides.torch_compiled(SHAPE, data)


def torch_eager_bf16(data: Data) -> Run:
    return gpt_sides.torch_eager(SHAPE, data, bf16=True)


def torch_compiled_bf16(data: Data) -> Run:
    return gpt_sides.torch_compiled(SHAPE, data, bf16=True)


def jax_jit(data: Data) -> Run:
    return gpt_jax.jit(SHAPE, data)


def llmc_train(data: Data) -> Run:
    return llmc.train_gpt2(SHAPE, data)


_HERE = "bench.gpt2_124m:"
_LESS = 1 / 0.75  # "at most 0.75 of its memory", as a ratio
FLOAT32 = Work(
    "GPT-2 124M step (B=4, T=64, float32, AdamW)",
    data,
    (
        Side("descent", _HERE + "descent_compiled"),
        Side("descent eager", _HERE + "descent_eager"),
        Side("torch eager", _HERE + "torch_eager"),
        Side("torch.compile", _HERE + "torch_compiled"),
        Side("jax jit", _HERE + "jax_jit", guest=True),
        Side("llm.c", _HERE + "llmc_train"),
    ),
    steps=1,
    check=5,
    rounds=7,
    bars=(
        Bar(1.7, ("torch eager",)),
        Bar(1.35, ("torch.compile",)),
        Bar(7, ("llm.c",)),
        Bar(_LESS, ("torch eager", "torch.compile"), of="memory"),
        Bar(1, ("llm.c",), of="memory"),
    ),
    memory=True,
)
BF16 = Work(
    "GPT-2 124M step (B=4, T=64, bfloat16 products, AdamW)",
    data,
    (
        Side("descent", _HERE + "descent_bf16"),
        Side("torch eager", _HERE + "torch_eager_bf16"),
        Side("torch.compile", _HERE + "torch_compiled_bf16"),
    ),
    steps=1,
    check=5,
    rounds=7,
    bars=(Bar(1.3, ("torch.compile", "torch eager")),),
    agree_to=1e-2,
    memory=True,
)
WORKS = (FLOAT32, BF16)
