"""Causal convolutions: each layer mixes a token with one further back, twice as far every time.

    z = tanh(F_0 x_t + F_1 x_{t−d}) ∘ σ(G_0 x_t + G_1 x_{t−d})       d = 1, 2, 4, …
    x ← x + P z;   logits = lm_head(LayerNorm(x))

van den Oord et al. 2016, "WaveNet", arXiv:1609.03499, §2.1–2.4 (gates, dilation, residuals); as a
sequence model in general: Bai et al. 2018, arXiv:1803.01271. A convolution of K taps is written as
a Linear over the K shifted inputs side by side. Left out: skip connections, conditioning.
"""

from __future__ import annotations

from dataclasses import dataclass

import descent as dc
from descent import Tensor, nn
from descent.models.scoring import token_loss

__all__ = ["CNN", "CNNConfig"]


@dataclass(frozen=True)
class CNNConfig:
    """Sizes. The context is 1 + (kernel_size − 1)(2^n_layer − 1) tokens, `block_size` at most."""

    vocab_size: int
    block_size: int = 64
    n_layer: int = 6
    n_embd: int = 64
    kernel_size: int = 2
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if self.kernel_size < 1 or self.n_layer < 1:
            raise ValueError(
                "kernel_size and n_layer must be at least 1: got "
                f"kernel_size={self.kernel_size}, n_layer={self.n_layer}"
            )


class CausalConv(nn.Module):
    """x: [B, T, C] → [B, T, M]: y_t from x_t, x_{t−d}, …, x_{t−(K−1)d}; zeros before the start."""

    def __init__(self, n_in: int, n_out: int, kernel_size: int, dilation: int) -> None:
        super().__init__()
        self.taps = nn.Linear(kernel_size * n_in, n_out)
        self.kernel_size, self.dilation = kernel_size, dilation

    def forward(self, x: Tensor) -> Tensor:
        B, T, C = x.shape
        reach = (self.kernel_size - 1) * self.dilation
        padded = dc.cat([dc.zeros(B, reach, C), x], 1)
        shifted = [padded[:, k : k + T] for k in range(0, reach + 1, self.dilation)]
        return self.taps(dc.cat(shifted, 2))


class Block(nn.Module):
    """A gated convolution, added to the residual stream."""

    def __init__(self, config: CNNConfig, dilation: int) -> None:
        super().__init__()
        c = config.n_embd
        self.conv = CausalConv(c, 2 * c, config.kernel_size, dilation)
        self.c_proj = nn.Linear(c, c)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        filtered, gate = self.conv(x).chunk(2, 2)  # B T C each
        return x + self.dropout(self.c_proj(filtered.tanh() * gate.sigmoid()))


class CNN(nn.Module):
    """The language model. `model(idx, targets)` gives `(logits, loss)`."""

    def __init__(self, config: CNNConfig) -> None:
        super().__init__()
        self.config = config
        self.wte = nn.Embedding(config.vocab_size, config.n_embd)
        self.h = nn.ModuleList([Block(config, 2**i) for i in range(config.n_layer)])
        self.ln_f = nn.LayerNorm(config.n_embd)
        self.lm_head = nn.Linear(config.n_embd, config.vocab_size)

    def forward(self, idx: Tensor, targets: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """idx: int64 [B, T] → logits [B, T, V] and the loss in nats (targets -1 are ignored)."""
        x = self.wte(idx)  # B T C
        for block in self.h:
            x = block(x)
        logits = self.lm_head(self.ln_f(x))  # B T V
        return logits, None if targets is None else token_loss(logits, targets)

    def get_block_size(self) -> int:
        """The longest context, in tokens."""
        return self.config.block_size
