"""WaveNet-style tree: two tokens become one vector, two vectors one, until one is left.

    x ← C[token]                                       K vectors, K = 2ⁿ
    x ← tanh(BatchNorm(W · (x_1 x_2)))                 n times: K → K/2 → … → 1
    logits = lm_head(x)

The dilated causal convolutions of van den Oord et al. 2016, arXiv:1609.03499, figure 3, computed
for one position; as in the lectures (K = 8, 24, 128: 76,579 parameters). Left out: gates, residual
and skip connections (see `cnn`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from descent import Tensor, nn
from descent.models.windowed import WindowModel

__all__ = ["WaveNet", "WaveNetConfig"]


@dataclass(frozen=True)
class WaveNetConfig:
    """Sizes. `block_size` is a power of two; `pad` the id before the beginning, as in NPLM."""

    vocab_size: int
    block_size: int = 8
    n_embd: int = 24
    n_hidden: int = 128
    bn_momentum: float = 0.1
    pad: int | None = None

    def __post_init__(self) -> None:
        if self.block_size < 2 or self.block_size & (self.block_size - 1):
            raise ValueError(
                f"block_size must be a power of two (2, 4, 8, …): got {self.block_size}"
            )


class Fuse(nn.Module):
    """Neighbours side by side, mixed: [N, T, C] → [N, T/2, H]."""

    def __init__(self, n_in: int, n_hidden: int, momentum: float) -> None:
        super().__init__()
        self.linear = nn.Linear(2 * n_in, n_hidden, bias=False)
        self.norm = nn.BatchNorm1d(n_hidden, momentum=momentum)

    def forward(self, x: Tensor) -> Tensor:
        N, T, C = x.shape
        y = self.linear(x.reshape(N * T // 2, 2 * C))  # every pair is one row for the statistics
        return self.norm(y).tanh().reshape(N, T // 2, -1)


class WaveNet(WindowModel):
    """The language model. `model(idx, targets)` gives `(logits, loss)`."""

    def __init__(self, config: WaveNetConfig) -> None:
        super().__init__(config, config.vocab_size if config.pad is None else config.pad)
        self.wte = nn.Embedding(config.vocab_size + (config.pad is None), config.n_embd)
        levels = config.block_size.bit_length() - 1
        widths = [config.n_embd, *[config.n_hidden] * levels]
        self.tree = nn.Sequential(*[Fuse(a, b, config.bn_momentum) for a, b in pairwise(widths)])
        self.lm_head = nn.Linear(config.n_hidden, config.vocab_size)
        self._init_weights()

    def _init_weights(self) -> None:
        """N(0, 1/fan_in), as in the lecture; the head a tenth of it: no opinion at first."""
        for name, p in self.named_parameters():
            if name.endswith("linear.weight") or name == "lm_head.weight":
                nn.init.normal_(p, 0.0, 1 / math.sqrt(p.shape[1]))
        nn.init.normal_(self.lm_head.weight, 0.0, 0.1 / math.sqrt(self.config.n_hidden))
        nn.init.zeros_(self.lm_head.bias)

    def scores(self, windows: Tensor) -> Tensor:
        """Logits [N, V] of the token after each window, int64 [N, K]."""
        x = self.tree(self.wte(windows))  # N 1 H
        return self.lm_head(x.reshape(windows.shape[0], -1))
