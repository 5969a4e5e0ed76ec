"""The ground floor: single numbers that know their derivatives. Standard library only.

Read in this order: value (a number and its graph), functions (exp, tanh, …), neural (neurons,
MLP), checking (is the derivative right?), drawing and layout (see the graph), ieee (inf and nan).
"""

from descent.scalar.checking import GradcheckError, GradcheckResult, gradcheck
from descent.scalar.drawing import Drawing, draw
from descent.scalar.neural import MLP, Layer, Module, Neuron
from descent.scalar.value import Value, topological_order

__all__ = [
    "Value",
    "topological_order",
    "Module",
    "Neuron",
    "Layer",
    "MLP",
    "gradcheck",
    "GradcheckResult",
    "GradcheckError",
    "draw",
    "Drawing",
]
