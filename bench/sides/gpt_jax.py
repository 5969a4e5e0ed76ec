"""A GPT training step in jax: parameters in a dictionary, AdamW written out, one jitted call."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.sides.gpt import Shape
from bench.sides.stepping import Data, Run, cycle

__all__ = ["jit", "scan"]


def _loss(jax: Any, shape: Shape) -> Any:
    jnp, nn = jax.numpy, jax.nn

    def linear(ps: Any, name: str, x: Any) -> Any:
        y = x @ ps[f"{name}.weight"].T
        return y + ps[f"{name}.bias"] if shape.bias else y

    def norm(ps: Any, name: str, x: Any) -> Any:
        centred = x - x.mean(-1, keepdims=True)
        y = centred / jnp.sqrt((centred * centred).mean(-1, keepdims=True) + 1e-5)
        y = y * ps[f"{name}.weight"]
        return y + ps[f"{name}.bias"] if shape.bias else y

    def attention(ps: Any, name: str, x: Any) -> Any:
        B, T, C = x.shape
        heads = linear(ps, f"{name}.c_attn", x).reshape(B, T, 3, shape.heads, C // shape.heads)
        q, k, v = (heads[:, :, i].transpose(0, 2, 1, 3) for i in range(3))  # B H T D
        scores = q @ k.transpose(0, 1, 3, 2) / (C // shape.heads) ** 0.5  # B H T T
        p = nn.softmax(jnp.where(jnp.tril(jnp.ones((T, T), bool)), scores, -jnp.inf))
        return linear(ps, f"{name}.c_proj", (p @ v).transpose(0, 2, 1, 3).reshape(B, T, C))

    def loss(ps: Any, idx: Any, targets: Any) -> Any:
        x = ps["wte.weight"][idx] + ps["wpe.weight"][: idx.shape[1]]
        for i in range(shape.layers):
            x = x + attention(ps, f"h.{i}.attn", norm(ps, f"h.{i}.ln_1", x))
            y = linear(ps, f"h.{i}.mlp.c_fc", norm(ps, f"h.{i}.ln_2", x))
            x = x + linear(ps, f"h.{i}.mlp.c_proj", nn.gelu(y, approximate=True))
        head = ps["wte.weight" if shape.tie else "lm_head.weight"]
        logs = nn.log_softmax(norm(ps, "ln_f", x) @ head.T)  # B T V
        told = jnp.take_along_axis(logs, jnp.maximum(targets, 0)[..., None], -1)[..., 0]
        counts = targets >= 0
        return -(told * counts).sum() / counts.sum()

    return loss


def _step(jax: Any, shape: Shape) -> Any:
    jnp, loss = jax.numpy, _loss(jax, shape)
    beta1, beta2 = shape.betas

    def step(state: Any, batch: Any) -> Any:
        ps, ms, vs, t = state
        value, gs = jax.value_and_grad(loss)(ps, *batch)
        if shape.clip:
            total = jnp.sqrt(sum((g * g).sum() for g in gs.values()))
            cut = jnp.minimum(1.0, shape.clip / (total + 1e-6))
            gs = {name: g * cut for name, g in gs.items()}
        t = t + 1
        ms = {n: beta1 * m + (1 - beta1) * gs[n] for n, m in ms.items()}
        vs = {n: beta2 * v + (1 - beta2) * gs[n] ** 2 for n, v in vs.items()}
        rate, shrink = shape.lr / (1 - beta1**t), jnp.sqrt(1 - beta2**t)

        def updated(n: str, p: Any) -> Any:
            decay = shape.decay if shape.decay_vectors or p.ndim >= 2 else 0.0
            return p * (1 - shape.lr * decay) - rate * ms[n] / (jnp.sqrt(vs[n]) / shrink + 1e-8)

        return ({n: updated(n, p) for n, p in ps.items()}, ms, vs, t), value

    return step


def _state(jax: Any, data: Data) -> Any:
    ps = {n: jax.numpy.asarray(data[n]) for n in data if n not in ("x", "y")}

    def zeros() -> Any:
        return {n: jax.numpy.zeros_like(p) for n, p in ps.items()}

    return ps, zeros(), zeros(), jax.numpy.zeros(())


def jit(shape: Shape, data: Data) -> Run:
    """One call of the jitted step per batch."""
    import jax

    state = _state(jax, data)
    jitted = jax.jit(_step(jax, shape), donate_argnums=0)
    x, y = (jax.numpy.asarray(data[name].astype(np.int32)) for name in "xy")

    def step(x: Any, y: Any) -> Any:
        nonlocal state
        state, loss = jitted(state, (x, y))
        return loss

    return cycle(step, list(zip(x, y)))


def scan(shape: Shape, data: Data) -> Run:
    """Many steps in one call."""
    import jax

    state = _state(jax, data)
    step = _step(jax, shape)
    scanned = jax.jit(lambda s, x, y: jax.lax.scan(step, s, (x, y)), donate_argnums=0)
    x, y = (data[name].astype(np.int32) for name in "xy")
    done = 0

    def run(n: int) -> float:
        nonlocal state, done
        rows = np.arange(done, done + n) % len(x)
        done += n
        state, losses = scanned(state, x[rows], y[rows])
        return float(losses[-1])

    return run
