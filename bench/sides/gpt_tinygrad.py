"""A GPT training step in tinygrad: its Tensor, its AdamW, TinyJit around the step."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.sides.gpt import Shape
from bench.sides.stepping import Data, Run, cycle

__all__ = ["jit"]


def _loss(shape: Shape, ps: dict[str, Any], idx: Any, targets: Any) -> Any:
    def linear(name: str, x: Any) -> Any:
        y = x @ ps[f"{name}.weight"].T
        return y + ps[f"{name}.bias"] if shape.bias else y

    def norm(name: str, x: Any) -> Any:
        y = x.layernorm(eps=1e-5) * ps[f"{name}.weight"]
        return y + ps[f"{name}.bias"] if shape.bias else y

    B, T = idx.shape
    C, H = shape.width, shape.heads
    x = ps["wte.weight"][idx] + ps["wpe.weight"][:T]
    for i in range(shape.layers):
        heads = linear(f"h.{i}.attn.c_attn", norm(f"h.{i}.ln_1", x)).reshape(B, T, 3, H, C // H)
        q, k, v = (heads[:, :, j].transpose(1, 2) for j in range(3))  # B H T D
        y = q.scaled_dot_product_attention(k, v, is_causal=True)
        x = x + linear(f"h.{i}.attn.c_proj", y.transpose(1, 2).reshape(B, T, C))
        y = linear(f"h.{i}.mlp.c_fc", norm(f"h.{i}.ln_2", x)).gelu()
        x = x + linear(f"h.{i}.mlp.c_proj", y)
    head = ps["wte.weight" if shape.tie else "lm_head.weight"]
    logits = norm("ln_f", x) @ head.T  # B T V
    total = logits.sparse_categorical_crossentropy(targets, ignore_index=-1, reduction="sum")
    return total / (targets >= 0).sum()  # its own mean counts the ignored too


def jit(shape: Shape, data: Data) -> Run:
    """The whole step under TinyJit."""
    from tinygrad import Tensor, TinyJit
    from tinygrad.nn.optim import AdamW

    Tensor.training = True
    ps = {n: Tensor(data[n]).realize() for n in data if n not in ("x", "y")}
    for p in ps.values():
        p.requires_grad = True
    beta1, beta2 = shape.betas
    optimizer = AdamW(
        list(ps.values()), lr=shape.lr, b1=beta1, b2=beta2, eps=1e-8, weight_decay=shape.decay
    )

    @TinyJit
    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = _loss(shape, ps, x, y).backward()
        return loss.realize(*optimizer.schedule_step())  # together: the loss before the update

    x, y = (data[name].astype(np.int32) for name in "xy")
    return cycle(step, [(Tensor(a).realize(), Tensor(b).realize()) for a, b in zip(x, y)])
