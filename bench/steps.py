"""Training steps of teaching models, eager, beside PyTorch eager, from the same weights and data.

The same model source runs on both: it is written against an `nn`-like namespace, so that a
difference in the losses would be a defect, not another model.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from bench.compare import Result, compare

__all__ = ["run"]


def _sides() -> dict[str, SimpleNamespace]:
    import descent
    import descent.nn.functional
    import descent.optim

    sides = {
        "descent": SimpleNamespace(m=descent, F=descent.nn.functional, from_np=descent.from_numpy)
    }
    try:
        import torch
    except ImportError:
        return sides
    torch.set_num_threads(2)
    sides["torch eager"] = SimpleNamespace(m=torch, F=torch.nn.functional, from_np=torch.from_numpy)
    return sides


def mlp(side: SimpleNamespace) -> Callable[[], float]:
    """makemore's MLP: 27 letters, block 3, embedding 10, hidden 200, batch 32, SGD."""
    m, F = side.m, side.F
    m.manual_seed(0)
    C, W1, b1 = m.randn(27, 10), m.randn(30, 200) * 0.1, m.zeros(200)
    W2, b2 = m.randn(200, 27) * 0.1, m.zeros(27)
    params = [C, W1, b1, W2, b2]
    for p in params:
        p.requires_grad = True
    rng = np.random.default_rng(0)
    X = side.from_np(rng.integers(0, 27, (1000, 3)))
    Y = side.from_np(rng.integers(0, 27, 1000))

    def step() -> float:
        for _ in range(100):
            ix = m.randint(0, 1000, (32,))
            h = m.tanh(C[X[ix]].view(-1, 30) @ W1 + b1)
            loss = F.cross_entropy(h @ W2 + b2, Y[ix])
            for p in params:
                p.grad = None
            loss.backward()
            for p in params:
                p.data += -0.1 * p.grad
        return loss.item()

    return step


def gpt(side: SimpleNamespace, *, n: int, block: int, batch: int, vocab: int, repeat: int) -> Any:
    """A 4-layer, 4-head GPT step with AdamW (makemore's or nanoGPT's CPU configuration)."""
    m, F, nn = side.m, side.F, side.m.nn
    m.manual_seed(0)

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.ln_1, self.ln_2 = nn.LayerNorm(n), nn.LayerNorm(n)
            self.attn, self.proj = nn.Linear(n, 3 * n), nn.Linear(n, n)
            self.fc, self.out = nn.Linear(n, 4 * n), nn.Linear(4 * n, n)

        def forward(self, x: Any) -> Any:
            B, T, _ = x.shape
            q, k, v = self.attn(self.ln_1(x)).split(n, 2)
            q, k, v = (t.view(B, T, 4, n // 4).transpose(1, 2) for t in (q, k, v))
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.proj(y.transpose(1, 2).reshape(B, T, n))
            return x + self.out(F.gelu(self.fc(self.ln_2(x)), approximate="tanh"))

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.wte, self.wpe = nn.Embedding(vocab, n), nn.Embedding(block, n)
            self.blocks = nn.ModuleList([Block() for _ in range(4)])
            self.ln_f, self.head = nn.LayerNorm(n), nn.Linear(n, vocab, bias=False)

        def forward(self, idx: Any, targets: Any) -> Any:
            x = self.wte(idx) + self.wpe(m.arange(idx.shape[1]))
            for b in self.blocks:
                x = b(x)
            return F.cross_entropy(self.head(self.ln_f(x)).view(-1, vocab), targets.view(-1))

    net = Net()
    optimizer = m.optim.AdamW(net.parameters(), lr=1e-3)
    rng = np.random.default_rng(0)
    x = side.from_np(rng.integers(0, vocab, (batch, block)))
    y = side.from_np(rng.integers(0, vocab, (batch, block)))

    def step() -> float:
        for _ in range(repeat):
            loss = net(x, y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return loss.item()

    return step


def run() -> list[Result]:
    """All works of this file."""
    sides = _sides()
    works: dict[str, Callable[[SimpleNamespace], Callable[[], float]]] = {
        "100 makemore MLP steps": mlp,
        "10 makemore Transformer steps (64 wide, block 16, batch 32)": lambda s: gpt(
            s, n=64, block=16, batch=32, vocab=27, repeat=10
        ),
        "5 nanoGPT CPU steps (128 wide, block 64, batch 12)": lambda s: gpt(
            s, n=128, block=64, batch=12, vocab=65, repeat=5
        ),
    }
    return [compare(name, {k: make(s) for k, s in sides.items()}) for name, make in works.items()]
