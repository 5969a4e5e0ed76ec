"""Recurrent cells: one step of a recurrent network, from input x and state h to the next state.

    RNN    h' = tanh(W x + b + U h + c)                        Elman 1990
    GRU    r = σ(W_r x + U_r h), z = σ(W_z x + U_z h)          Cho et al. 2014, arXiv:1406.1078
           n = tanh(W_n x + r ⊙ (U_n h)),  h' = (1 − z) ⊙ n + z ⊙ h
    LSTM   i, f, o = σ(…), g = tanh(…)                         Hochreiter & Schmidhuber 1997
           c' = f ⊙ c + i ⊙ g,  h' = o ⊙ tanh(c')

weight_ih is all W one below the other, weight_hh all U (gates in the order r z n, and i f g o). The
GRU applies r after U_n, as cuDNN does, not before. All weights start uniform on ±1/√hidden.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from descent.autograd import wrap
from descent.nn import functional as F
from descent.nn import init
from descent.nn.linear import empty_parameter
from descent.nn.module import Module

__all__ = ["GRUCell", "LSTMCell", "RNNCell", "gru_step", "lstm_step", "rnn_step"]


def rnn_step(wx: Any, uh: Any, h: Any, c: Any = None, nonlinearity: str = "tanh") -> Any:
    """The next h from W x + b and U h + c, both [..., H]."""
    y = wx + uh
    return y.tanh() if nonlinearity == "tanh" else F.relu(y)


def gru_step(wx: Any, uh: Any, h: Any, c: Any = None) -> Any:
    """The next h from W x + b and U h + c, both [..., 3H]."""
    xr, xz, xn = wx.chunk(3, -1)
    hr, hz, hn = uh.chunk(3, -1)
    reset, update = (xr + hr).sigmoid(), (xz + hz).sigmoid()
    new = (xn + reset * hn).tanh()
    return new + update * (h - new)


def lstm_step(wx: Any, uh: Any, h: Any, c: Any) -> tuple[Any, Any]:
    """The next (h, c) from W x + b and U h + c, both [..., 4H], and the cell c."""
    enter, forget, new, out = (wx + uh).chunk(4, -1)
    c = forget.sigmoid() * c + enter.sigmoid() * new.tanh()
    return out.sigmoid() * c.tanh(), c


class _Cell(Module):
    gates = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        rows = self.gates * hidden_size
        self.weight_ih = empty_parameter(rows, input_size, dtype=dtype, device=device)
        self.weight_hh = empty_parameter(rows, hidden_size, dtype=dtype)
        for name in ("bias_ih", "bias_hh"):
            self.register_parameter(name, empty_parameter(rows, dtype=dtype) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for p in self.parameters():
            init.uniform_(p, -bound, bound)

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False")

    def _start(self, x: Any, h: Any) -> Any:
        if x.array.ndim not in (1, 2):
            raise ValueError(
                f"{type(self).__name__}: Expected input to be 1D or 2D, got {x.array.ndim}D instead"
            )
        if x.array.shape[-1] != self.input_size:
            raise RuntimeError(
                f"input has inconsistent input_size: got {x.array.shape[-1]} "
                f"expected {self.input_size}"
            )
        wanted = (*x.array.shape[:-1], self.hidden_size)
        if h is None:
            return wrap(np.zeros(wanted, x.array.dtype))
        if h.array.shape != wanted:
            raise RuntimeError(
                f"{type(self).__name__}: the state has shape {tuple(h.array.shape)}, "
                f"expected {wanted} (batch, hidden_size)"
            )
        return h

    def _products(self, x: Any, h: Any) -> tuple[Any, Any]:
        wx = F.linear(x, self.weight_ih, self.bias_ih)
        return wx, F.linear(h, self.weight_hh, self.bias_hh)


class RNNCell(_Cell):
    """x: [B, input_size] or [input_size], h likewise (zeros when None) → the next h."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, device, dtype)
        if nonlinearity not in ("tanh", "relu"):
            raise RuntimeError(f"Unknown nonlinearity: {nonlinearity} (it is 'tanh' or 'relu')")
        self.nonlinearity = nonlinearity

    def forward(self, x: Any, hx: Any = None) -> Any:
        h = self._start(x, hx)
        return rnn_step(*self._products(x, h), h, nonlinearity=self.nonlinearity)


class GRUCell(_Cell):
    """x: [B, input_size] or [input_size], h likewise (zeros when None) → the next h."""

    gates = 3

    def forward(self, x: Any, hx: Any = None) -> Any:
        h = self._start(x, hx)
        return gru_step(*self._products(x, h), h)


class LSTMCell(_Cell):
    """x: [B, input_size] or [input_size], (h, c) likewise (zeros when None) → the next (h, c)."""

    gates = 4

    def forward(self, x: Any, hx: Any = None) -> tuple[Any, Any]:
        h, c = (None, None) if hx is None else hx
        h, c = self._start(x, h), self._start(x, c)
        return lstm_step(*self._products(x, h), h, c)
