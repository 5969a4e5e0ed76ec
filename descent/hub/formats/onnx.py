"""GPT and Llama as ONNX graphs (opset 20), for onnxruntime and others.

    input_ids int64 [B, T]  →  logits float32 [B, T, V]
    with a cache also: past_key_values.N.{key,value} [B, H, S, D] → present.N.{key,value}

Both families are one graph: embed, blocks of norm, attention, norm, MLP, a last norm, the head.
Attention is written out (products, mask, softmax), keys and values of grouped queries broadcast.
References: the ONNX operator schemas; `descent.models.gpt`, `descent.models.llama`. Left out:
padding within a batch (all rows have the same length), dynamic rotary scaling.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from descent.hub.bundle import Bundle
from descent.hub.formats.errors import FormatError
from descent.hub.formats.onnx_graph import FLOAT, INT64, Graph
from descent.hub.weights import as_float32
from descent.models import rotary

__all__ = ["onnx_parts"]


def onnx_parts(bundle: Bundle, cache: bool = False) -> Iterator[bytes | memoryview]:
    """The file's bytes, piece by piece.

    Raises:
        FormatError: another kind of model, dynamic rotary scaling, or more than 2 GB.
    """
    if bundle.kind not in ("gpt", "llama"):
        raise FormatError("ONNX", f"is written for kinds gpt and llama, this is a {bundle.kind}")
    return _Writer(bundle, cache).graph().parts()


class _Writer:
    """One model's graph; methods add their part and give the name of its result."""

    def __init__(self, bundle: Bundle, cache: bool) -> None:
        self.bundle, self.config, self.cache = bundle, bundle.config, cache
        self.g = Graph(str(bundle.about.get("name") or bundle.kind))
        c = self.config
        self.gpt = bundle.kind == "gpt"
        self.heads, self.layers, self.width = c["n_head"], c["n_layer"], c["n_embd"]
        self.kv = self.heads if self.gpt else c.get("n_kv_head") or self.heads
        self.size = c.get("head_dim") or self.width // self.heads

    def graph(self) -> Graph:
        g = self.g
        ids = g.input("input_ids", INT64, ["batch", "tokens"])
        self.positions(ids)
        x = g.node("Gather", [self.weight("wte" if self.gpt else "embed"), ids])  # B T C
        if self.gpt:
            x = g.node("Add", [x, g.node("Gather", [self.weight("wpe"), self.here])])
        else:
            self.rotation()
        stem, first, second = ("h", "ln_1", "ln_2") if self.gpt else (
            "layers", "attn_norm", "mlp_norm")  # fmt: skip
        for i in range(self.layers):
            block = f"{stem}.{i}"
            x = g.node("Add", [x, self.attention(self.norm(x, f"{block}.{first}"), block, i)])
            x = g.node("Add", [x, self.mlp(self.norm(x, f"{block}.{second}"), f"{block}.mlp")])
        x = self.norm(x, "ln_f" if self.gpt else "norm")
        self.head(x)
        g.output("logits", FLOAT, ["batch", "tokens", self.config["vocab_size"]])
        return g

    # -- weights -----------------------------------------------------------------------------

    def weight(self, name: str, end: str = "weight", transposed: bool = False) -> str:
        """One of the model's tensors under our name."""
        full = f"{name}.{end}"
        shape = self.bundle.weights.stored[full].shape

        def read() -> np.ndarray:
            with self.bundle.weights.once(full) as value:
                array = as_float32(value)
                return np.ascontiguousarray(array.T) if transposed else array.copy()

        return self.g.weight(full, shape[::-1] if transposed else shape, read)

    def has(self, name: str) -> bool:
        return name in self.bundle.weights

    def linear(self, x: str, name: str) -> str:
        """x Wᵀ + b."""
        y = self.g.node("MatMul", [x, self.weight(name, transposed=True)])
        if self.has(f"{name}.bias"):
            y = self.g.node("Add", [y, self.weight(name, "bias")])
        return y

    def head(self, x: str) -> None:
        if self.has("lm_head.weight"):
            table = self.weight("lm_head", transposed=True)
        else:
            table = self.g.node(
                "Transpose", ["wte.weight" if self.gpt else "embed.weight"], perm=[1, 0]
            )
        if self.has("lm_head.bias"):
            y = self.g.node("MatMul", [x, table])
            self.g.node("Add", [y, self.weight("lm_head", "bias")], out="logits")
        else:
            self.g.node("MatMul", [x, table], out="logits")

    # -- parts of the model ------------------------------------------------------------------

    def norm(self, x: str, name: str) -> str:
        g, eps = self.g, float(self.config.get("norm_eps", 1e-5))
        scale = self.weight(name)
        if self.gpt:
            bias = [self.weight(name, "bias")] if self.has(f"{name}.bias") else []
            return g.node("LayerNormalization", [x, scale, *bias], epsilon=eps, axis=-1)
        mean = g.node("ReduceMean", [g.node("Mul", [x, x]), g.constant([-1])], keepdims=1)
        root = g.node("Sqrt", [g.node("Add", [mean, g.constant(eps, "float32")])])
        return g.node("Mul", [g.node("Div", [x, root]), scale])

    def mlp(self, x: str, name: str) -> str:
        if self.gpt:
            y = self.activation(self.linear(x, f"{name}.c_fc"), self.config.get("activation"))
            return self.linear(y, f"{name}.c_proj")
        gate = self.activation(self.linear(x, f"{name}.gate_proj"), self.config.get("activation"))
        return self.linear(self.g.node("Mul", [gate, self.linear(x, f"{name}.up_proj")]),
                           f"{name}.down_proj")  # fmt: skip

    def activation(self, x: str, kind: str | None) -> str:
        kind = kind or ("gelu_tanh" if self.gpt else "silu")
        if kind == "silu":
            return self.g.node("Mul", [x, self.g.node("Sigmoid", [x])])
        if kind == "relu":
            return self.g.node("Relu", [x])
        return self.g.node("Gelu", [x], approximate="tanh" if kind == "gelu_tanh" else "none")

    def attention(self, x: str, block: str, i: int) -> str:
        g, shape = self.g, [0, 0, self.kv, self.heads // self.kv, self.size]
        if self.gpt:
            whole = self.linear(x, f"{block}.attn.c_attn")
            q, k, v = g.node("Split", [whole], 3, axis=-1, num_outputs=3)
        else:
            q, k, v = (self.linear(x, f"{block}.attn.{n}_proj") for n in "qkv")
        q = g.node("Reshape", [q, g.constant(shape)])
        q = g.node("Transpose", [q], perm=[0, 2, 3, 1, 4])  # B KV R T D
        k, v = (self.as_heads(part) for part in (k, v))  # B KV T D
        if not self.gpt:
            q, k = self.turned(q), self.turned(k)
        if self.cache:
            k, v = self.cached(k, v, i)
        keys = g.node("Transpose", [k], perm=[0, 1, 3, 2])
        keys = g.node("Unsqueeze", [keys, g.constant([2])])  # B KV 1 D S
        scores = g.node("MatMul", [q, keys])  # B KV R T S
        scores = g.node("Mul", [scores, g.constant(1 / math.sqrt(self.size), "float32")])
        hidden = g.constant(np.finfo(np.float32).min, "float32")
        shares = g.node("Softmax", [g.node("Where", [self.seen, scores, hidden])], axis=-1)
        y = g.node("MatMul", [shares, g.node("Unsqueeze", [v, g.constant([2])])])  # B KV R T D
        y = g.node("Transpose", [y], perm=[0, 3, 1, 2, 4])
        y = g.node("Reshape", [y, g.constant([0, 0, self.heads * self.size])])
        return self.linear(y, f"{block}.attn.{'c_proj' if self.gpt else 'o_proj'}")

    def as_heads(self, x: str) -> str:
        y = self.g.node("Reshape", [x, self.g.constant([0, 0, self.kv, self.size])])
        return self.g.node("Transpose", [y], perm=[0, 2, 1, 3])

    def cached(self, k: str, v: str, i: int) -> tuple[str, str]:
        """Keys and values after those of the tokens before."""
        found = []
        for part, new in (("key", k), ("value", v)):
            name = f"past_key_values.{i}.{part}"
            if name != self.past:
                self.g.input(name, FLOAT, ["batch", self.kv, "past", self.size])
            out = f"present.{i}.{part}"
            found.append(self.g.node("Concat", [name, new], out=out, axis=2))
            self.g.output(out, FLOAT, ["batch", self.kv, "past + tokens", self.size])
        return found[0], found[1]

    # -- positions ---------------------------------------------------------------------------

    def positions(self, ids: str) -> None:
        """`here`: positions of the new tokens; `seen` [T, S]: which tokens each may look at."""
        g = self.g
        zero, one = g.constant(0), g.constant(1)
        tokens = g.node("Gather", [g.node("Shape", [ids]), one])
        self.past = "past_key_values.0.key"
        start = zero
        if self.cache:
            g.input(self.past, FLOAT, ["batch", self.kv, "past", self.size])
            start = g.node("Gather", [g.node("Shape", [self.past]), g.constant(2)])
        end = g.node("Add", [start, tokens])
        self.here = g.node("Range", [start, end, one])  # T
        rows = g.node("Unsqueeze", [self.here, g.constant([1])])  # T 1
        there = g.node("Range", [zero, end, one])  # S
        self.seen = g.node("LessOrEqual", [there, rows])
        if window := self.config.get("window"):
            oldest = g.node("Sub", [rows, g.constant(window)])
            self.seen = g.node("And", [self.seen, g.node("Greater", [there, oldest])])

    def rotation(self) -> None:
        """cos and sin of the new tokens' angles, [T, D/2], from tables for the whole context."""
        c: Any = self.config
        scaling, context = c.get("rope_scaling"), c["block_size"]
        if scaling and scaling["rope_type"] == "dynamic":
            raise FormatError("ONNX", "dynamic rotary scaling depends on the length: not written")
        tables = rotary.angles(
            np.arange(context), self.size, c.get("rope_base", 10000.0), scaling, context
        )
        names = []
        for name, table in zip(("rotary.cos", "rotary.sin"), tables):
            self.g.weight(name, table.shape, lambda table=table: np.asarray(table, np.float32))
            names.append(self.g.node("Gather", [name, self.here]))
        self.cos, self.sin = names

    def turned(self, x: str) -> str:
        """The pairs (x_i, x_{i + D/2}) turned by their angles."""
        g = self.g
        a, b = g.node("Split", [x], 2, axis=-1, num_outputs=2)
        first = g.node("Sub", [g.node("Mul", [a, self.cos]), g.node("Mul", [b, self.sin])])
        second = g.node("Add", [g.node("Mul", [b, self.cos]), g.node("Mul", [a, self.sin])])
        return g.node("Concat", [first, second], axis=-1)
