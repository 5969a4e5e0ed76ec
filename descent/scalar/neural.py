"""Neurons made of Values: a multilayer perceptron one can take apart to its last multiplication.

    neuron: relu(Σᵢ wᵢ xᵢ + b)    layer: neurons on the same x    MLP: layers in a row, last linear

Weights start uniform in [-1, 1) from Python's `random`, biases at 0; with the same `random.seed`
they are micrograd's weights. Reference: Rosenblatt 1958; Rumelhart, Hinton, Williams 1986.
Left out: batches, other activations: `descent.nn` has those.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from descent.scalar.value import Value

__all__ = ["Layer", "MLP", "Module", "Neuron"]


class Module:
    """Something with parameters."""

    def zero_grad(self) -> None:
        """Forget the gradients of the last step; without it they add up."""
        for p in self.parameters():
            p.grad = 0

    def parameters(self) -> list[Value]:
        """Every trainable Value, in a fixed order."""
        return []


class Neuron(Module):
    """relu(w · x + b), or w · x + b with `nonlin=False`. Input: `nin` numbers or Values."""

    def __init__(self, nin: int, nonlin: bool = True) -> None:
        self.w = [Value(random.uniform(-1, 1)) for _ in range(nin)]
        self.b = Value(0)
        self.nonlin = nonlin

    def __call__(self, x: Sequence[Any]) -> Value:
        if len(x) != len(self.w):
            raise ValueError(f"{self} takes {len(self.w)} inputs, got {len(x)}")
        act = sum((wi * xi for wi, xi in zip(self.w, x)), self.b)
        return act.relu() if self.nonlin else act

    def parameters(self) -> list[Value]:
        return [*self.w, self.b]

    def __repr__(self) -> str:
        return f"{'ReLU' if self.nonlin else 'Linear'}Neuron({len(self.w)})"


class Layer(Module):
    """`nout` neurons that all see the same `nin` inputs; one Value if nout is 1, else a list."""

    def __init__(self, nin: int, nout: int, **kwargs: Any) -> None:
        self.neurons = [Neuron(nin, **kwargs) for _ in range(nout)]

    def __call__(self, x: Sequence[Any]) -> Any:
        out = [neuron(x) for neuron in self.neurons]
        return out[0] if len(out) == 1 else out

    def parameters(self) -> list[Value]:
        return [p for neuron in self.neurons for p in neuron.parameters()]

    def __repr__(self) -> str:
        return f"Layer of [{', '.join(str(neuron) for neuron in self.neurons)}]"


class MLP(Module):
    """Layers in a row: `MLP(2, [16, 16, 1])` is 2 inputs, 2 hidden ReLU layers, 1 linear output."""

    def __init__(self, nin: int, nouts: Sequence[int]) -> None:
        sizes = [nin, *nouts]
        last = len(nouts) - 1
        self.layers = [Layer(sizes[i], sizes[i + 1], nonlin=i != last) for i in range(len(nouts))]

    def __call__(self, x: Sequence[Any]) -> Any:
        # A hidden layer of one neuron hands on a bare Value; the next layer wants a list.
        for layer in self.layers:
            x = layer([x] if isinstance(x, Value) else x)
        return x

    def parameters(self) -> list[Value]:
        return [p for layer in self.layers for p in layer.parameters()]

    def __repr__(self) -> str:
        return f"MLP of [{', '.join(str(layer) for layer in self.layers)}]"
