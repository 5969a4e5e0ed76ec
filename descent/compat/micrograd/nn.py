"""micrograd.nn: `Module`, `Neuron`, `Layer`, `MLP` (and `Value`, which its file also shows)."""

from descent.scalar import MLP, Layer, Module, Neuron, Value

__all__ = ["Layer", "MLP", "Module", "Neuron", "Value"]
