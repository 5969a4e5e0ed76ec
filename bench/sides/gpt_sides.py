"""The sides of a GPT step that speak PyTorch's language: descent and torch, eager and compiled."""

from __future__ import annotations

from typing import Any

from bench.sides import gpt
from bench.sides.stepping import Data, Run, compiled_cycle, cycle

__all__ = ["descent_compiled", "descent_eager", "torch_compiled", "torch_eager"]


def _step(m: Any, shape: gpt.Shape, data: Data, **how: Any) -> Any:
    net = gpt.build(m, shape, data)
    return gpt.train_step(m, shape, net, gpt.optimizer(m, shape, net, **how))


def descent_eager(shape: gpt.Shape, data: Data) -> Run:
    """descent, op by op."""
    import descent.nn.functional
    import descent.optim

    return cycle(_step(descent, shape, data), gpt.batches(descent, data))


def descent_compiled(shape: gpt.Shape, data: Data, **how: Any) -> Run:
    """descent, the whole step compiled."""
    import descent.nn.functional
    import descent.optim

    return compiled_cycle(_step(descent, shape, data), gpt.batches(descent, data), **how)


def torch_eager(shape: gpt.Shape, data: Data, bf16: bool = False) -> Run:
    """torch as it comes, with its fastest AdamW."""
    import torch

    torch.set_num_threads(2)
    net = gpt.build(torch, shape, data)
    optimizer = gpt.optimizer(torch, shape, net, fused=True)

    def step(x: Any, y: Any) -> Any:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            loss = net(x, y)
        optimizer.zero_grad()
        loss.backward()
        if shape.clip:
            torch.nn.utils.clip_grad_norm_(net.parameters(), shape.clip)
        optimizer.step()
        return loss

    return cycle(step, gpt.batches(torch, data))


def torch_compiled(shape: gpt.Shape, data: Data, bf16: bool = False) -> Run:
    """torch.compile of the whole step as one graph: forward, backward, clipping, AdamW."""
    import torch

    torch.set_num_threads(2)
    net = gpt.build(torch, shape, data)
    ps = {name: p.detach() for name, p in net.named_parameters()}
    update = _adamw(torch, shape, list(ps.values()))

    def loss(ps: Any, x: Any, y: Any) -> Any:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            return torch.func.functional_call(net, ps, (x, y))

    gradients = torch.func.grad_and_value(loss)

    @torch.compile(fullgraph=True)
    def step(x: Any, y: Any) -> Any:
        gs, value = gradients(ps, x, y)
        update([gs[name] for name in ps])
        return value

    return cycle(step, gpt.batches(torch, data))


def _adamw(torch: Any, shape: gpt.Shape, ps: list[Any]) -> Any:
    """AdamW written out, to be compiled with the rest; its step count is a tensor."""
    beta1, beta2 = shape.betas
    ms, vs = ([torch.zeros_like(p) for p in ps] for _ in range(2))
    decays = [shape.decay if shape.decay_vectors or p.ndim >= 2 else 0.0 for p in ps]
    t = torch.zeros(())

    def update(gs: list[Any]) -> None:
        if shape.clip:
            norm = torch.sqrt(sum((g * g).sum() for g in gs))
            gs = [g * torch.clamp(shape.clip / (norm + 1e-6), max=1.0) for g in gs]
        t.add_(1)
        rate = shape.lr / (1 - beta1**t)
        shrink = torch.sqrt(1 - beta2**t)
        for p, g, m, v, decay in zip(ps, gs, ms, vs, decays):
            m.lerp_(g, 1 - beta1)
            v.mul_(beta2).addcmul_(g, g, value=1 - beta2)
            p.copy_(p * (1 - shape.lr * decay) - rate * m / (v.sqrt() / shrink + 1e-8))

    return update
