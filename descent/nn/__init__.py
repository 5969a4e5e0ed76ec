"""Layers, initialisation and functions of neural networks, under PyTorch's names."""

from descent.nn import functional, init, utils
from descent.nn.activations import (
    CELU,
    ELU,
    GELU,
    GLU,
    SELU,
    Hardshrink,
    Hardsigmoid,
    Hardswish,
    Hardtanh,
    LeakyReLU,
    LogSigmoid,
    LogSoftmax,
    Mish,
    PReLU,
    ReLU,
    ReLU6,
    RReLU,
    Sigmoid,
    SiLU,
    Softmax,
    Softmin,
    Softplus,
    Softshrink,
    Softsign,
    Tanh,
    Tanhshrink,
    Threshold,
)
from descent.nn.containers import (
    ModuleDict,
    ModuleList,
    ParameterDict,
    ParameterList,
    Sequential,
)
from descent.nn.dropout import AlphaDropout, Dropout, Dropout1d
from descent.nn.embedding import Embedding
from descent.nn.linear import Bilinear, Flatten, Identity, Linear, Unflatten
from descent.nn.module import Module
from descent.nn.normalization import (
    BatchNorm1d,
    GroupNorm,
    InstanceNorm1d,
    LayerNorm,
    RMSNorm,
)
from descent.nn.parameter import Parameter

__all__ = [
    "functional", "init", "utils",
    "Module", "Parameter",
    "ModuleDict", "ModuleList", "ParameterDict", "ParameterList", "Sequential",
    "Bilinear", "Embedding", "Flatten", "Identity", "Linear", "Unflatten",
    "BatchNorm1d", "GroupNorm", "InstanceNorm1d", "LayerNorm", "RMSNorm",
    "AlphaDropout", "Dropout", "Dropout1d",
    "CELU", "ELU", "GELU", "GLU", "Hardshrink", "Hardsigmoid", "Hardswish", "Hardtanh", "LeakyReLU",
    "LogSigmoid", "LogSoftmax", "Mish", "PReLU", "RReLU", "ReLU", "ReLU6", "SELU", "SiLU",
    "Sigmoid", "Softmax", "Softmin", "Softplus", "Softshrink", "Softsign", "Tanh", "Tanhshrink",
    "Threshold",
]  # fmt: skip
