"""Recurrent networks: a state that is updated by every token, in three classic cells.

    rnn    h ← tanh(W x + U h + b)
    gru    z, r = σ(…);  h̃ = tanh(W x + U (r ∘ h) + b);  h ← (1 − z) ∘ h + z ∘ h̃
    lstm   i, f, o = σ(…);  c ← f ∘ c + i ∘ tanh(…);  h ← o ∘ tanh(c)
    logits = lm_head(h)

Elman 1990; Cho et al. 2014, arXiv:1406.1078; Hochreiter & Schmidhuber 1997. LSTM
with the forget gate of Gers et al. 2000, open at first (bias 1; Jozefowicz et al. 2015). The first
state is learned. As a language model: Mikolov et al. 2010; makemore's `rnn` and `gru`.
Left out: several layers, truncated backpropagation through texts longer than a window.
"""

from __future__ import annotations

from dataclasses import dataclass

import descent as dc
from descent import Tensor, nn
from descent.models.scoring import token_loss

__all__ = ["RNN", "RNNConfig", "RNNState"]


@dataclass(frozen=True)
class RNNConfig:
    """Sizes and the kind of cell. `block_size`: tokens read before the state starts afresh."""

    vocab_size: int
    block_size: int = 16
    n_embd: int = 64
    n_hidden: int = 64
    cell: str = "rnn"  # or "gru", "lstm"

    def __post_init__(self) -> None:
        if self.cell not in _CELLS:
            raise ValueError(f"cell must be one of {', '.join(_CELLS)}: got {self.cell!r}")


class Cell(nn.Module):
    """One update. `inputs` does the part that needs no state, for all tokens in one product."""

    gates = 1  # how many vectors of width n_hidden the token and the state are mapped to
    states = 1  # how many vectors the state consists of

    def __init__(self, n_embd: int, n_hidden: int) -> None:
        super().__init__()
        self.inputs = nn.Linear(n_embd, self.gates * n_hidden)
        self.state = nn.Linear(n_hidden, self.gates * n_hidden, bias=False)


class RNNCell(Cell):
    """x: [B, H] → h: [B, H]"""

    def forward(self, x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return ((x + self.state(state[0])).tanh(),)


class GRUCell(Cell):
    """x: [B, 3H] → h: [B, H]; the reset gate acts before the product, as in the paper"""

    gates = 3

    def __init__(self, n_embd: int, n_hidden: int) -> None:
        super().__init__(n_embd, n_hidden)
        self.state = nn.Linear(n_hidden, 2 * n_hidden, bias=False)
        self.candidate = nn.Linear(n_hidden, n_hidden, bias=False)

    def forward(self, x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        (h,), H = state, state[0].shape[1]
        z, r = (x[:, : 2 * H] + self.state(h)).sigmoid().chunk(2, 1)
        new = (x[:, 2 * H :] + self.candidate(r * h)).tanh()
        return (h + z * (new - h),)


class LSTMCell(Cell):
    """x: [B, 4H] → h, c: [B, H]"""

    gates, states = 4, 2

    def __init__(self, n_embd: int, n_hidden: int) -> None:
        super().__init__(n_embd, n_hidden)
        nn.init.ones_(self.inputs.bias[n_hidden : 2 * n_hidden])

    def forward(self, x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        h, c = state
        i, f, g, o = (x + self.state(h)).chunk(4, 1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c


_CELLS = {"rnn": RNNCell, "gru": GRUCell, "lstm": LSTMCell}


class RNNState:
    """What the network remembers of the tokens read so far."""

    def __init__(self) -> None:
        self.vectors: tuple[Tensor, ...] | None = None
        self.length = 0


class RNN(nn.Module):
    """The language model. `model(idx, targets)` gives `(logits, loss)`."""

    def __init__(self, config: RNNConfig) -> None:
        super().__init__()
        self.config = config
        self.wte = nn.Embedding(config.vocab_size, config.n_embd)
        self.cell = _CELLS[config.cell](config.n_embd, config.n_hidden)
        self.start = nn.Parameter(dc.zeros(self.cell.states, config.n_hidden))
        self.lm_head = nn.Linear(config.n_hidden, config.vocab_size)

    def forward(
        self, idx: Tensor, targets: Tensor | None = None, cache: RNNState | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Logits for the token after each of `idx`, and the mean cross-entropy when asked for.

        Args:
            idx: int64 [B, T] token ids, of any length.
            targets: int64 [B, T]; -1 is ignored.
            cache: the state after the tokens before `idx`; updated. With it, only the last
                position's logits are computed: [B, 1, V].

        Returns:
            logits [B, T, V] and the loss in nats per token (None without targets).
        """
        B, T = idx.shape
        state = cache.vectors if cache is not None else None
        if state is None:
            state = tuple(s.expand(B, -1) for s in self.start.unbind(0))  # B H
        hidden = []
        for x in self.cell.inputs(self.wte(idx)).unbind(1):  # B gates·H, for every t
            state = self.cell(x, state)
            hidden.append(state[0])
        if cache is not None:
            cache.vectors, cache.length = state, cache.length + T
            hidden = hidden[-1:]
        logits = self.lm_head(dc.stack(hidden, 1))  # B T V
        return logits, None if targets is None else token_loss(logits, targets)

    def get_block_size(self) -> int:
        """How many tokens are read before the state starts afresh."""
        return self.config.block_size

    def new_cache(self) -> RNNState:
        """An empty state to pass to `forward` when generating token by token."""
        return RNNState()
