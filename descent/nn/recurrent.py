"""Recurrent networks over whole sequences: layers of cells, forward in time or both ways.

The input's part of every step, W x + b, is one product over the whole sequence; only U h must wait
for the step before. Equations of the steps: `descent.nn.cells`. Left out: packed sequences,
`proj_size`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from descent.autograd import wrap
from descent.nn import functional as F
from descent.nn import init
from descent.nn.cells import gru_step, lstm_step, rnn_step
from descent.nn.linear import empty_parameter
from descent.nn.module import Module
from descent.tensor.joining import cat, stack

__all__ = ["GRU", "LSTM", "RNN"]


class _Recurrent(Module):
    """Weights are named as PyTorch's: weight_ih_l0, weight_hh_l0, bias_ih_l0, …_l0_reverse."""

    gates = 1
    cells = False  # whether the state has a c beside h

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if hidden_size <= 0:
            raise ValueError("hidden_size must be greater than zero")
        if num_layers <= 0:
            raise ValueError("num_layers must be greater than zero")
        if not 0 <= dropout <= 1:
            raise ValueError(f"dropout should be a number in range [0, 1], got {dropout}")
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout = bias, batch_first, float(dropout)
        self.bidirectional = bidirectional
        rows = self.gates * hidden_size
        for layer in range(num_layers):
            width = input_size if layer == 0 else hidden_size * (1 + bidirectional)
            for ending in self._endings(layer):
                for name, shape in (
                    ("weight_ih", (rows, width)),
                    ("weight_hh", (rows, hidden_size)),
                ):
                    p = empty_parameter(*shape, dtype=dtype, device=device)
                    self.register_parameter(name + ending, p)
                for name in ("bias_ih", "bias_hh") if bias else ():
                    self.register_parameter(name + ending, empty_parameter(rows, dtype=dtype))
        self.reset_parameters()

    def _endings(self, layer: int) -> list[str]:
        return [f"_l{layer}", f"_l{layer}_reverse"][: 1 + self.bidirectional]

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        bound = 1.0 / math.sqrt(self.hidden_size)
        for p in self.parameters():
            init.uniform_(p, -bound, bound)

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        defaults = {
            "num_layers": 1, "bias": True, "batch_first": False, "dropout": 0.0,
            "bidirectional": False,
        }  # fmt: skip
        for name, value in defaults.items():
            if getattr(self, name) != value:
                text += f", {name}={getattr(self, name)}"
        return text

    def _step(self) -> Callable[..., Any]:
        """The function (W x, U h, h, c) → h, or (h, c) for networks with a cell."""
        raise NotImplementedError

    def forward(self, x: Any, hx: Any = None) -> Any:
        """x: [T, B, input_size] ([B, T, …] when batch_first, [T, input_size] without a batch).

        Returns:
            The last layer's h at every step, and the last state of every layer and direction,
            [num_layers · directions, B, hidden_size] (an LSTM's: a pair of them).
        """
        if x.array.ndim not in (2, 3):
            raise ValueError(
                f"{type(self).__name__}: Expected input to be 2D or 3D, got {x.array.ndim}D instead"
            )
        if x.array.shape[-1] != self.input_size:
            raise RuntimeError(
                "input.size(-1) must be equal to input_size. "
                f"Expected {self.input_size}, got {x.array.shape[-1]}"
            )
        batched = x.array.ndim == 3
        if not batched:
            x = x.unsqueeze(1)
        elif self.batch_first:
            x = x.transpose(0, 1)  # [T, B, I]
        states = self._states(x, hx, batched)
        y, last = self._layers(x, states)
        last = [stack(parts, 0) for parts in zip(*last)]  # [L·D, B, H] each
        if not batched:
            y, last = y.squeeze(1), [s.squeeze(1) for s in last]
        elif self.batch_first:
            y = y.transpose(0, 1)
        return y, tuple(last) if self.cells else last[0]

    def _states(self, x: Any, hx: Any, batched: bool) -> list[Any]:
        """h (and c) at the beginning, [L·D, B, H] each."""
        n = self.num_layers * (1 + self.bidirectional)
        wanted = (n, x.array.shape[1], self.hidden_size)
        if hx is None:
            return [wrap(np.zeros(wanted, x.array.dtype)) for _ in range(1 + self.cells)]
        states = list(hx) if self.cells else [hx]
        if not batched:
            states = [s.unsqueeze(1) for s in states]
        for s in states:
            if s.array.shape != wanted:
                raise RuntimeError(
                    f"Expected hidden size {wanted}, got {tuple(s.array.shape)} "
                    "(layers · directions, batch, hidden_size)"
                )
        return states

    def _layers(self, x: Any, states: list[Any]) -> tuple[Any, list[tuple[Any, ...]]]:
        last = []
        for layer in range(self.num_layers):
            if layer and self.dropout:
                x = F.dropout(x, self.dropout, self.training)
            outputs = []
            for d, ending in enumerate(self._endings(layer)):
                at = layer * (1 + self.bidirectional) + d
                y, state = self._run(x, [s[at] for s in states], ending, backwards=d == 1)
                outputs.append(y)
                last.append(state)
            x = cat(outputs, -1) if self.bidirectional else outputs[0]  # [T, B, H·D]
        return x, last

    def _run(
        self, x: Any, state: list[Any], ending: str, backwards: bool
    ) -> tuple[Any, tuple[Any, ...]]:
        """One layer in one direction."""
        weights = [getattr(self, f"weight_{k}{ending}") for k in ("ih", "hh")]
        biases = [getattr(self, f"bias_{k}{ending}") if self.bias else None for k in ("ih", "hh")]
        step, steps = self._step(), x.array.shape[0]
        wx = F.linear(x, weights[0], biases[0]).unbind(0)  # T of [B, gates·H]
        h, *c = state
        outputs: list[Any] = [None] * steps
        for t in reversed(range(steps)) if backwards else range(steps):
            new = step(wx[t], F.linear(h, weights[1], biases[1]), h, *c)
            h, *c = new if self.cells else (new,)
            outputs[t] = h
        return stack(outputs, 0), (h, *c)


class RNN(_Recurrent):
    """h' = tanh(W x + b + U h + c), or relu by `nonlinearity`."""

    def __init__(self, *args: Any, nonlinearity: str = "tanh", **kwargs: Any) -> None:
        if len(args) > 3:  # PyTorch takes the nonlinearity as its fourth positional argument
            nonlinearity, args = args[3], (*args[:3], *args[4:])
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(
                f"Unknown nonlinearity '{nonlinearity}'. Select from 'tanh' or 'relu'."
            )
        super().__init__(*args, **kwargs)
        self.nonlinearity = nonlinearity

    def _step(self) -> Callable[..., Any]:
        return lambda wx, uh, h: rnn_step(wx, uh, h, nonlinearity=self.nonlinearity)


class GRU(_Recurrent):
    """Gated recurrent units."""

    gates = 3

    def _step(self) -> Callable[..., Any]:
        return gru_step


class LSTM(_Recurrent):
    """Long short-term memory; its state is a pair (h, c)."""

    gates = 4
    cells = True

    def _step(self) -> Callable[..., Any]:
        return lstm_step
