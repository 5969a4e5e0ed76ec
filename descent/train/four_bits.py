"""A frozen linear layer held in 4-bit blocks, and its adapter: QLoRA.

    y = x Wᵀ + b,  W = d (q − 8)        made anew for the forward and for the backward pass
    dx = dy W                           W itself gets no gradient

One layer's float32 weights are alive at a time. Dettmers et al. 2023, arXiv:2305.14314; blocks are
Q4_0's (`ops.half_bytes`). Left out: double quantisation, NF4; embeddings and head stay float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from descent import nn
from descent.autograd import apply, capturing
from descent.compiler.shadow import Unsupported
from descent.nn import functional as F
from descent.ops import half_bytes
from descent.ops.products import linear
from descent.train.lora import LoRALinear, adapters

__all__ = ["LoRALinear4", "hold_in_four_bits"]


class _Frozen:
    """The op x → x Wᵀ of one layer; autograd asks it what it asks of every op."""

    name, inputs, is_view = "linear_4bit", ("x",), False

    def __init__(self, codes: np.ndarray, scales: np.ndarray, shape: tuple[int, int]) -> None:
        self.codes, self.scales, self.shape = codes, scales, shape

    def weight(self) -> np.ndarray:
        return half_bytes.unpack(self.codes, self.scales, self.shape)

    def forward(self, arrays: Any, meta: Any, needs: Any) -> Any:
        if capturing() is not None:
            raise Unsupported("weights held in 4 bits are made anew for each product")
        return linear.forward((arrays[0], self.weight()), {}, [False, False])[0], ()

    def backward(self, ctx: Any, dy: np.ndarray, needs: Any) -> list[np.ndarray]:
        flat = dy.reshape(-1, self.shape[0])
        dx = linear.forward((flat, np.ascontiguousarray(self.weight().T)), {}, [False, False])[0][0]
        return [dx.reshape(*dy.shape[:-1], self.shape[1])]

    def saved_inputs(self, needs: Any) -> tuple[int, ...]:
        return ()

    def saves_output(self, needs: Any) -> bool:
        return False


class LoRALinear4(nn.Module):
    """`LoRALinear` with W in 4-bit blocks. It has no parameter `weight` any more."""

    def __init__(self, layer: LoRALinear) -> None:
        super().__init__()
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self.r, self.alpha, self.scale = layer.r, layer.alpha, layer.scale
        codes, scales = half_bytes.pack(layer.weight.array)
        self._base = _Frozen(codes, scales, (self.out_features, self.in_features))
        self.register_parameter("bias", layer.bias)
        self.lora_A, self.lora_B, self.dropout = layer.lora_A, layer.lora_B, layer.dropout

    def forward(self, x: Any) -> Any:
        y = apply(self._base, x)
        if self.bias is not None:
            y = y + self.bias
        return y + F.linear(F.linear(self.dropout(x), self.lora_A), self.lora_B) * self.scale

    def plain(self) -> np.ndarray:
        """W as it is used, float32 [out, in]."""
        return self._base.weight()

    def merged(self) -> np.ndarray:
        """W + (α / r) B A, float32 [out, in]."""
        return self.plain() + np.float32(self.scale) * (self.lora_B.array @ self.lora_A.array)

    @property
    def nbytes(self) -> int:
        """Of the blocks."""
        return self._base.codes.nbytes + self._base.scales.nbytes


class Linear4(nn.Module):
    """A frozen linear layer without an adapter, in 4-bit blocks."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = layer.in_features, layer.out_features
        codes, scales = half_bytes.pack(layer.weight.array)
        self._base = _Frozen(codes, scales, (self.out_features, self.in_features))
        self.register_parameter("bias", layer.bias)

    def forward(self, x: Any) -> Any:
        y = apply(self._base, x)
        return y if self.bias is None else y + self.bias

    def merged(self) -> np.ndarray:
        """W as it is used, float32 [out, in]."""
        return self._base.weight()

    @property
    def nbytes(self) -> int:
        """Of the blocks."""
        return self._base.codes.nbytes + self._base.scales.nbytes


def hold_in_four_bits(model: nn.Module) -> int:
    """Put every linear layer of an adapted model's blocks into 4-bit blocks, one after the other;
    the bytes they take. The head stays as it is."""
    held = 0
    adapted = dict(adapters(model))
    modules = dict(model.named_modules())
    for path, m in list(modules.items()):
        if "." not in path or not isinstance(m, nn.Linear | LoRALinear):
            continue
        if m.in_features % half_bytes.BLOCK:
            continue
        parent, name = path.rsplit(".", 1)
        new = LoRALinear4(m) if path in adapted else Linear4(m)  # pyright: ignore[reportArgumentType]
        setattr(modules[parent], name, new)
        held += new.nbytes
    return held
