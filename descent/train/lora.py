"""Low-rank adapters: a frozen linear layer and a small product beside it.

    y = x Wᵀ + b + (α / r) · dropout(x) Aᵀ Bᵀ        A: [r, in], B: [out, r]; W and b do not learn

Hu et al. 2021, arXiv:2106.09685, §4.1: A starts uniform (Kaiming, as in peft), B at zero, so that
training begins with the model as it was. Merged, W + (α / r) B A costs nothing any more. Left out:
adapters of embeddings, rank-stabilised scaling.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from descent import nn
from descent.nn import functional as F
from descent.nn import init
from descent.nn.linear import empty_parameter

__all__ = ["LoRALinear", "adapt", "adapters", "default_targets", "freeze_but_last", "merged_state"]

_DEFAULT = {"gpt": ("c_attn",), "llama": ("q_proj", "v_proj")}


class LoRALinear(nn.Module):
    """A linear layer with an adapter; `weight` and `bias` are those of the layer it replaces."""

    def __init__(self, base: nn.Linear, r: int, alpha: float, dropout: float = 0.0) -> None:
        super().__init__()
        self.in_features, self.out_features = base.in_features, base.out_features
        self.r, self.alpha, self.scale = r, alpha, alpha / r
        self.weight = base.weight.requires_grad_(False)
        self.register_parameter("bias", base.bias)
        if self.bias is not None:
            self.bias.requires_grad_(False)
        self.lora_A = empty_parameter(r, self.in_features)
        self.lora_B = empty_parameter(self.out_features, r)
        self.dropout = nn.Dropout(dropout)
        init.kaiming_uniform_(self.lora_A, a=math.sqrt(5))

    def forward(self, x: Any) -> Any:
        narrow = F.linear(self.dropout(x), self.lora_A)  # … r
        return F.linear(x, self.weight, self.bias) + F.linear(narrow, self.lora_B) * self.scale

    def merged(self) -> np.ndarray:
        """W + (α / r) B A, float32 [out, in]."""
        change = self.lora_B.array @ self.lora_A.array
        return self.weight.array + np.float32(self.scale) * change

    def extra_repr(self) -> str:
        return f"in={self.in_features}, out={self.out_features}, r={self.r}, alpha={self.alpha}"


def default_targets(kind: str) -> tuple[str, ...]:
    """The layers peft adapts in this family when none are named.

    Raises:
        ValueError: a model that is not a Transformer.
    """
    if kind not in _DEFAULT:
        raise ValueError(f"LoRA needs a Transformer ({', '.join(_DEFAULT)}); this model is {kind}")
    return _DEFAULT[kind]


def adapt(
    model: nn.Module, targets: tuple[str, ...], *, r: int, alpha: float, dropout: float = 0.0
) -> list[str]:
    """Freeze the model and put an adapter beside every linear layer whose last name is a target.

    Returns:
        The adapted layers' paths.

    Raises:
        ValueError: a target that names no linear layer; those there are, are listed.
    """
    linear = {
        path: m for path, m in model.named_modules() if isinstance(m, nn.Linear) and "." in path
    }
    names = {path.rsplit(".", 1)[1] for path in linear}
    if unknown := [t for t in targets if t not in names]:
        raise ValueError(f"no linear layer is called {unknown[0]!r}; there are {sorted(names)}")
    model.requires_grad_(False)
    chosen = [path for path in linear if path.rsplit(".", 1)[1] in targets]
    modules = dict(model.named_modules())
    for path in chosen:
        parent, name = path.rsplit(".", 1)
        setattr(modules[parent], name, LoRALinear(linear[path], r, alpha, dropout))
    return chosen


def adapters(model: nn.Module) -> Iterator[tuple[str, Any]]:
    """(path, layer) of every adapted layer."""
    for path, m in model.named_modules():
        if hasattr(m, "lora_A"):
            yield path, m


def merged_state(model: nn.Module) -> dict[str, np.ndarray]:
    """The weights of the plain model, adapters added in, by the names it had before `adapt`."""
    layers = {path: m for path, m in model.named_modules() if hasattr(m, "merged")}
    found: dict[str, np.ndarray] = {}
    for name, t in model.state_dict().items():
        path, _, last = name.rpartition(".")
        if path not in layers or last == "bias":
            found[name] = t.array
    for path, layer in layers.items():
        made: Any = layer
        found[f"{path}.weight"] = made.merged()
    return found


def freeze_but_last(model: nn.Module, n: int) -> list[str]:
    """Let only the last `n` blocks and what follows them learn.

    The head shares the embedding's table in GPT-2: a tied table stays frozen.

    Returns:
        The names of the parameters that learn.

    Raises:
        ValueError: a model without a list of blocks.
    """
    names = ("h", "layers")
    stack = next((s for s in names if isinstance(getattr(model, s, None), nn.ModuleList)), "")
    if not stack:
        raise ValueError("this model has no list of blocks of which the last could be trained")
    first = max(len(getattr(model, stack)) - n, 0)
    keep: list[str] = []
    model.requires_grad_(False)
    for name, p in model.named_parameters():
        parts = name.split(".")
        block = parts[0] == stack and int(parts[1]) >= first
        if block or parts[0] in ("ln_f", "norm"):
            p.requires_grad_(True)
            keep.append(name)
    return keep
