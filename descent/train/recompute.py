"""Gradient checkpointing: keep each block's input, compute the block again for its gradient.

    forward:   y = f(x), nothing kept but x and the state of the random generator
    backward:  y = f(x) once more, recorded;  dx, dθ ← backward(y, dy)

Memory falls from every number inside the blocks to one row of activations per block, for one more
forward pass: 4/3 of the operations. Chen et al. 2016, arXiv:1604.06174. Steps run op by op then.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import descent.random
from descent import autograd, nn
from descent.autograd import apply, capturing, enable_grad, is_grad_enabled, no_grad, wrap
from descent.compiler.shadow import Unsupported

__all__ = ["checkpoint_blocks", "checkpointed"]


class _Again:
    """The op x → f(x) whose backward pass runs f again; parameters get their gradients there."""

    name, inputs, is_view = "checkpoint", ("x", "anchor"), False

    def __init__(self, f: Callable[[Any], Any]) -> None:
        self.f = f

    def forward(self, arrays: Any, meta: Any, needs: Any) -> Any:
        if capturing() is not None:
            raise Unsupported("blocks are computed again for their gradients (checkpointing)")
        state = descent.random.get_rng_state()
        with no_grad():
            y = self.f(wrap(arrays[0])).array
        return (y,), (arrays[0], state)

    def backward(self, ctx: Any, dy: np.ndarray, needs: Any) -> list[np.ndarray | None]:
        x, state = wrap(ctx[0]), descent.random.get_rng_state()
        x.requires_grad = needs[0]
        descent.random.set_rng_state(ctx[1])  # the same dropout
        try:
            with enable_grad():
                y = self.f(x)
        finally:
            descent.random.set_rng_state(state)
        autograd.backward(y, dy)
        return [x.grad.array if needs[0] else None, None]

    def saved_inputs(self, needs: Any) -> tuple[int, ...]:
        return (0,)

    def saves_output(self, needs: Any) -> bool:
        return False


def checkpointed(f: Callable[..., Any]) -> Callable[..., Any]:
    """`f(x, *rest)` that keeps only x when it is recorded; `rest` gets no gradient from it.

    Parameters inside f get theirs whether or not x requires one.
    """
    anchor = wrap(np.zeros((), np.float32))  # so that a block over frozen inputs is walked, too
    anchor.requires_grad = True

    def again(x: Any, *rest: Any, **named: Any) -> Any:
        if not is_grad_enabled():
            return f(x, *rest, **named)
        return apply(_Again(lambda x: f(x, *rest, **named)), x, anchor)

    return again


def checkpoint_blocks(model: nn.Module) -> int:
    """Checkpoint every block of a Transformer; how many there are.

    Raises:
        ValueError: a model without a list of blocks.
    """
    names = ("h", "layers")
    stack = next((s for s in names if isinstance(getattr(model, s, None), nn.ModuleList)), "")
    if not stack:
        raise ValueError("checkpointing needs a model with a list of blocks")
    blocks = list(getattr(model, stack))
    for block in blocks:
        block.forward = checkpointed(block.forward)
    return len(blocks)
