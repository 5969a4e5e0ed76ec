"""GPT-2 with a key-value cache as an ONNX graph, node by node, and its int8 and int4 forms.

    (ids [B, T], positions [B, T], mask [T, S], past keys and values [B, H, S − T, D] per layer)
    → (logits of the last position [B, V], keys and values [B, H, S, D] per layer)

What exporters write, without an exporter. Runs in the peers' Python.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

__all__ = ["write"]

LAYERS, HEADS, D, C = 12, 12, 64, 768


class _Graph:
    def __init__(self) -> None:
        self.nodes, self.constants, self.count = [], [], 0

    def constant(self, name: str, array: np.ndarray) -> str:
        from onnx import numpy_helper

        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def __call__(self, op: str, *inputs: str, out: int | str = 1, **attributes) -> str | list[str]:
        from onnx import helper

        self.count += 1
        names = [out] if isinstance(out, str) else [f"{op}_{self.count}_{i}" for i in range(out)]
        self.nodes.append(
            helper.make_node(op, list(inputs), names, name=f"n{self.count}", **attributes)
        )
        return names[0] if len(names) == 1 else names


def _attention(g: _Graph, x: str, i: int, weights: dict[str, np.ndarray]) -> str:
    h = f"h.{i}.attn."
    qkv = _linear(g, x, h + "c_attn", weights)
    parts = g("Split", qkv, out=3, axis=-1, num_outputs=3)
    q, k, v = (g("Transpose", g("Reshape", p, "heads"), perm=[0, 2, 1, 3]) for p in parts)
    k = g("Concat", f"past_k{i}", k, axis=2, out=f"key{i}")
    v = g("Concat", f"past_v{i}", v, axis=2, out=f"value{i}")
    scores = g("MatMul", g("Mul", q, "scale"), g("Transpose", k, perm=[0, 1, 3, 2]))
    p = g("Softmax", g("Add", scores, "mask"), axis=-1)
    y = g("Reshape", g("Transpose", g("MatMul", p, v), perm=[0, 2, 1, 3]), "together")
    return _linear(g, y, h + "c_proj", weights)


def _linear(g: _Graph, x: str, name: str, weights: dict[str, np.ndarray]) -> str:
    w = g.constant(name + ".weight", weights[name + ".weight"])
    b = g.constant(name + ".bias", weights[name + ".bias"])
    return g("Add", g("MatMul", x, w), b)


def _norm(g: _Graph, x: str, name: str, weights: dict[str, np.ndarray]) -> str:
    w = g.constant(name + ".weight", weights[name + ".weight"])
    b = g.constant(name + ".bias", weights[name + ".bias"])
    return g("LayerNormalization", x, w, b, axis=-1, epsilon=1e-5)


def _model(weights: dict[str, np.ndarray]):
    from onnx import TensorProto, helper

    g = _Graph()
    g.constant("heads", np.array([0, 0, HEADS, D], np.int64))
    g.constant("together", np.array([0, 0, C], np.int64))
    g.constant("scale", np.array(1 / np.sqrt(D), np.float32))
    g.constant("last", np.array(-1, np.int64))
    wte = g.constant("wte", weights["wte.weight"])
    wpe = g.constant("wpe", weights["wpe.weight"])
    x = g("Add", g("Gather", wte, "ids"), g("Gather", wpe, "positions"))
    for i in range(LAYERS):
        x = g("Add", x, _attention(g, _norm(g, x, f"h.{i}.ln_1", weights), i, weights))
        h = _linear(g, _norm(g, x, f"h.{i}.ln_2", weights), f"h.{i}.mlp.c_fc", weights)
        h = g("Gelu", h, approximate="tanh")
        x = g("Add", x, _linear(g, h, f"h.{i}.mlp.c_proj", weights))
    x = _norm(g, g("Gather", x, "last", axis=1), "ln_f", weights)
    g("MatMul", x, g.constant("head", weights["wte.weight"].T), out="logits")

    def value(name: str, kind: int, *shape):
        return helper.make_tensor_value_info(name, kind, shape)

    f32, i64 = TensorProto.FLOAT, TensorProto.INT64
    given = [value("ids", i64, "B", "T"), value("positions", i64, "B", "T")]
    given.append(value("mask", f32, "T", "S"))
    made = [value("logits", f32, "B", 50257)]
    for i in range(LAYERS):
        given += [value(f"past_{c}{i}", f32, "B", HEADS, "P", D) for c in "kv"]
        made += [value(f"{n}{i}", f32, "B", HEADS, "S", D) for n in ("key", "value")]
    graph = helper.make_graph(g.nodes, "gpt2", given, made, g.constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def write(weights: dict[str, np.ndarray], place: Path) -> None:
    """gpt2-f32.onnx, gpt2-int8.onnx, gpt2-int4.onnx."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    plain = str(place / "gpt2-f32.onnx")
    onnx.save(_model(weights), plain)
    quantize_dynamic(
        plain, str(place / "gpt2-int8.onnx"), weight_type=QuantType.QInt8, per_channel=True,
        op_types_to_quantize=["MatMul"],
    )  # fmt: skip
    four = MatMulNBitsQuantizer(
        onnx.load(plain), bits=4, block_size=32, is_symmetric=True, accuracy_level=4
    )
    four.process()
    onnx.save(four.model.model, str(place / "gpt2-int4.onnx"))
