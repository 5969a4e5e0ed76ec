"""A GPT training step for any namespace with PyTorch's names: the same source on both sides.

    x ← wte[token] + wpe[position]
    x ← x + attention(ln_1(x));  x ← x + mlp(ln_2(x))                        n_layer times
    loss = cross-entropy(ln_f(x) · lm_headᵀ, targets), padding (−1) left out

Radford et al. 2019. A difference in the losses would be a defect, not another model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Shape", "batches", "build", "optimizer", "train_step", "weights"]


@dataclass(frozen=True)
class Shape:
    """Sizes of the model, and how its optimiser is set."""

    vocab: int
    block: int
    batch: int
    layers: int
    heads: int
    width: int
    bias: bool = True
    tie: bool = False
    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    decay: float = 0.0
    decay_vectors: bool = True  # nanoGPT leaves biases and LayerNorm undecayed
    clip: float = 0.0  # the norm gradients are cut to; 0: not cut


def weights(shape: Shape, seed: int = 0) -> dict[str, np.ndarray]:
    """GPT-2's initial weights under GPT-2's names: N(0, 0.02); residual ones / √(2 layers)."""
    rng = np.random.default_rng(seed)
    C = shape.width

    def normal(rows: int, columns: int, std: float = 0.02) -> np.ndarray:
        return rng.standard_normal((rows, columns), dtype=np.float32) * np.float32(std)

    found = {"wte.weight": normal(shape.vocab, C), "wpe.weight": normal(shape.block, C)}
    small = 0.02 / (2 * shape.layers) ** 0.5
    for i in range(shape.layers):
        found |= {
            f"h.{i}.attn.c_attn.weight": normal(3 * C, C),
            f"h.{i}.attn.c_proj.weight": normal(C, C, small),
            f"h.{i}.mlp.c_fc.weight": normal(4 * C, C),
            f"h.{i}.mlp.c_proj.weight": normal(C, 4 * C, small),
        }
        for name in ("ln_1", "ln_2"):
            found[f"h.{i}.{name}.weight"] = np.ones(C, np.float32)
    found["ln_f.weight"] = np.ones(C, np.float32)
    if shape.bias:
        for name in [n for n in found if n.startswith(("h.", "ln_f"))]:
            bias = np.zeros(found[name].shape[0], np.float32)
            found[name.removesuffix("weight") + "bias"] = bias
    if not shape.tie:
        found["lm_head.weight"] = normal(shape.vocab, C)
    return found


def build(m: Any, shape: Shape, data: Mapping[str, np.ndarray]) -> Any:
    """The model on namespace `m`, with the weights in `data`."""
    nn, F = m.nn, m.nn.functional
    C, H, bias = shape.width, shape.heads, shape.bias

    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.c_attn = nn.Linear(C, 3 * C, bias=bias)
            self.c_proj = nn.Linear(C, C, bias=bias)

        def forward(self, x: Any) -> Any:
            B, T, _ = x.shape
            q, k, v = self.c_attn(x).split(C, 2)
            q, k, v = (t.view(B, T, H, C // H).transpose(1, 2) for t in (q, k, v))  # B H T D
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            return self.c_proj(y.transpose(1, 2).reshape(B, T, C))

    class MLP(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.c_fc = nn.Linear(C, 4 * C, bias=bias)
            self.c_proj = nn.Linear(4 * C, C, bias=bias)

        def forward(self, x: Any) -> Any:
            return self.c_proj(F.gelu(self.c_fc(x), approximate="tanh"))

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.ln_1, self.ln_2 = nn.LayerNorm(C, bias=bias), nn.LayerNorm(C, bias=bias)
            self.attn, self.mlp = Attention(), MLP()

        def forward(self, x: Any) -> Any:
            x = x + self.attn(self.ln_1(x))
            return x + self.mlp(self.ln_2(x))

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.wte, self.wpe = nn.Embedding(shape.vocab, C), nn.Embedding(shape.block, C)
            self.h = nn.ModuleList([Block() for _ in range(shape.layers)])
            self.ln_f = nn.LayerNorm(C, bias=bias)
            self.lm_head = nn.Linear(C, shape.vocab, bias=False)
            if shape.tie:
                self.lm_head.weight = self.wte.weight

        def forward(self, idx: Any, targets: Any) -> Any:
            x = self.wte(idx) + self.wpe(m.arange(idx.shape[1]))  # B T C
            for block in self.h:
                x = block(x)
            logits = self.lm_head(self.ln_f(x))  # B T V
            return F.cross_entropy(logits.view(-1, shape.vocab), targets.view(-1), ignore_index=-1)

    net = Net()
    fill(m, net, data)
    return net


def fill(m: Any, net: Any, data: Mapping[str, np.ndarray], prefix: str = "") -> None:
    """Copy the weights in, one after the other, so that no second set is ever held."""
    with m.no_grad():
        for name, p in net.named_parameters():
            p.copy_(m.from_numpy(data[name.removeprefix(prefix)]))


def batches(m: Any, data: Mapping[str, np.ndarray]) -> list[tuple[Any, Any]]:
    """The batches as tensors."""
    return [(m.from_numpy(x), m.from_numpy(y)) for x, y in zip(data["x"], data["y"])]


def optimizer(m: Any, shape: Shape, net: Any, **how: Any) -> Any:
    """AdamW in the work's settings."""
    ps = list(net.parameters())
    groups: list[Any] = [{"params": ps, "weight_decay": shape.decay}]
    if not shape.decay_vectors:
        groups = [
            {"params": [p for p in ps if p.ndim >= 2], "weight_decay": shape.decay},
            {"params": [p for p in ps if p.ndim < 2], "weight_decay": 0.0},
        ]
    return m.optim.AdamW(groups, lr=shape.lr, betas=shape.betas, **how)


def train_step(m: Any, shape: Shape, net: Any, optimizer: Any) -> Any:
    """The step as everybody writes it."""

    def step(x: Any, y: Any) -> Any:
        loss = net(x, y)
        optimizer.zero_grad()
        loss.backward()
        if shape.clip:
            m.nn.utils.clip_grad_norm_(net.parameters(), shape.clip)
        optimizer.step()
        return loss

    return step
