"""NPLM: the neural probabilistic language model, embeddings of the last K tokens into one MLP.

    x = (C[w_1], …, C[w_K])                                        embeddings, side by side
    logits = b + U tanh(d + H x)  (+ W x, the direct connections)

Bengio, Ducharme, Vincent, Jauvin 2003, "A Neural Probabilistic Language Model", JMLR 3, §2. The
switches cover the lectures' network (K = 3, 10, 200: 11,897 parameters; with BatchNorm,
arXiv:1502.03167: 12,097) and makemore's MLP (a padding token with an embedding of its own).
Left out: the mixture with trigrams and the asynchronous training of §3.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from descent import Tensor, nn
from descent.models.windowed import WindowModel

__all__ = ["NPLM", "NPLMConfig"]

INITS = ("kaiming", "normal", "default")


@dataclass(frozen=True)
class NPLMConfig:
    """Sizes and switches. `pad`: id before the beginning; None gives it an embedding of its own.

    `init`: "kaiming" keeps tanh unsaturated and starts near equal probabilities; "normal" draws
    everything from N(0, 1), as the second lecture does before it looks at the consequences;
    "default" leaves the layers' own initialisation.
    """

    vocab_size: int
    block_size: int = 3
    n_embd: int = 10
    n_hidden: int = 200
    direct: bool = False
    batch_norm: bool = False
    bn_momentum: float = 0.01
    pad: int | None = None
    init: str = "kaiming"

    def __post_init__(self) -> None:
        if self.init not in INITS:
            raise ValueError(f"init must be one of {', '.join(INITS)}: got {self.init!r}")


class NPLM(WindowModel):
    """The language model. `model(idx, targets)` gives `(logits, loss)`."""

    def __init__(self, config: NPLMConfig) -> None:
        super().__init__(config, config.vocab_size if config.pad is None else config.pad)
        width = config.block_size * config.n_embd
        self.wte = nn.Embedding(config.vocab_size + (config.pad is None), config.n_embd)
        self.hidden = nn.Linear(width, config.n_hidden, bias=not config.batch_norm)
        self.norm = (
            nn.BatchNorm1d(config.n_hidden, momentum=config.bn_momentum)
            if config.batch_norm
            else nn.Identity()
        )
        self.lm_head = nn.Linear(config.n_hidden, config.vocab_size)
        self.direct = nn.Linear(width, config.vocab_size, bias=False) if config.direct else None
        self._init_weights()

    def _init_weights(self) -> None:
        """See `NPLMConfig.init`. 5/3: the gain of tanh, which makes its output narrower."""
        if self.config.init == "default":
            return
        for p in self.parameters():
            if p.ndim == 2:
                nn.init.normal_(p)
        if self.config.init == "normal":
            for layer in (self.hidden, self.lm_head):
                if layer.bias is not None:
                    nn.init.normal_(layer.bias)
            return
        nn.init.normal_(self.hidden.weight, 0.0, 5 / 3 / math.sqrt(self.hidden.in_features))
        if self.hidden.bias is not None:
            nn.init.normal_(self.hidden.bias, 0.0, 0.01)
        nn.init.normal_(self.lm_head.weight, 0.0, 0.01)
        nn.init.zeros_(self.lm_head.bias)
        if self.direct is not None:
            nn.init.normal_(self.direct.weight, 0.0, 0.01)

    def scores(self, windows: Tensor) -> Tensor:
        """Logits [N, V] of the token after each window, int64 [N, K]."""
        x = self.wte(windows).reshape(windows.shape[0], -1)  # N K·C
        logits = self.lm_head(self.norm(self.hidden(x)).tanh())  # N V
        return logits if self.direct is None else logits + self.direct(x)
