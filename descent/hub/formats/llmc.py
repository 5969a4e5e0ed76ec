"""llm.c: 256 integers of header, then GPT-2's weights, all layers of a kind together.

    20240326  model       version 3 float32, 5 bfloat16; the vocabulary padded to a multiple of 128
    20240327  debug state inputs, targets, logits, loss, gradients of one step (in llmc_states)
    20240527  optimiser   AdamW's m and v, master weights (in llmc_states)

Linear weights are [out, in], as ours. Biases of zero are written where a GPT has none. Reference:
github.com/karpathy/llm.c, `train_gpt2.py` write_model. Left out: its Llama 3 files.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from descent.hub.bundle import Bundle
from descent.hub.formats.errors import FormatError
from descent.hub.formats.folder_out import with_biases
from descent.hub.formats.mapped import MappedFile
from descent.hub.weights import Stored, Weights, as_kind, widened

__all__ = ["HEADER_BYTES", "header_of", "laid_out", "llmc_parts", "read_llmc", "tensor_order"]

MODEL = 20240326
HEADER_BYTES = 1024
_VERSIONS = {3: "F32", 5: "BF16"}
_PADDED = 128
_SIZES = {"block_size": (2, 1 << 24), "vocab_size": (3, 1 << 24), "n_layer": (4, 1 << 12),
          "n_head": (5, 1 << 12), "n_embd": (6, 1 << 20)}  # fmt: skip
_WHAT = {20240327: "a debug state", 20240328: "a tokenizer", 20240520: "tokens",
         20240527: "an optimiser's state"}  # fmt: skip


def header_of(file: MappedFile, magic: int, what: str) -> tuple[int, ...]:
    """The 256 integers, once the magic number is right."""
    header = file.unpack("<256i", 0, "the header")
    if header[0] != magic:
        found = _WHAT.get(header[0], f"number {header[0]}")
        raise file.fail(f"{what} of llm.c begins with {magic}, this with {found}", 0)
    return header


def read_llmc(file: MappedFile) -> Bundle:
    """A GPT-2 model, its padding rows of the vocabulary left out.

    Raises:
        FormatError: another kind of llm.c file, impossible sizes, or a wrong length.
    """
    header = header_of(file, MODEL, "a model")
    kind = _VERSIONS.get(header[1])
    if kind is None:
        raise file.fail(f"version {header[1]}; known are 3 (float32) and 5 (bfloat16)", 4)
    config: dict[str, Any] = {}
    for name, (place, most) in _SIZES.items():
        if not 1 <= header[place] <= most:
            raise file.fail(f"{name} is {header[place]} (1 to {most} can be)", 4 * place)
        config[name] = header[place]
    rows = header[7]
    if config["n_embd"] % config["n_head"] or not config["vocab_size"] <= rows <= 1 << 24:
        raise file.fail(f"sizes that do not fit: {config}, padded vocabulary {rows}", 8)
    stored, end = laid_out(file, config, rows, HEADER_BYTES, kind)
    if end != file.size:
        raise file.fail(f"the model ends here, the file has {file.size} bytes", end)
    stored["wte.weight"] = stored["wte.weight"].cut(config["vocab_size"])
    about = {"source": str(file.path), "format": f"llm.c v{header[1]}", "name": file.path.stem,
             "context": config["block_size"], "bos_id": None,
             "eos_ids": [50256] if config["vocab_size"] == 50257 else []}  # fmt: skip
    return Bundle("gpt", config, Weights(stored, [file]), None, about)


def tensor_order(config: Mapping[str, Any], rows: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and shapes as they follow one another; `rows`: of the padded vocabulary."""
    n = config["n_embd"]
    yield "wte.weight", (rows, n)
    yield "wpe.weight", (config["block_size"], n)
    parts = {
        "ln_1.weight": (n,), "ln_1.bias": (n,),
        "attn.c_attn.weight": (3 * n, n), "attn.c_attn.bias": (3 * n,),
        "attn.c_proj.weight": (n, n), "attn.c_proj.bias": (n,),
        "ln_2.weight": (n,), "ln_2.bias": (n,),
        "mlp.c_fc.weight": (4 * n, n), "mlp.c_fc.bias": (4 * n,),
        "mlp.c_proj.weight": (n, 4 * n), "mlp.c_proj.bias": (n,),
    }  # fmt: skip
    for part, shape in parts.items():
        for i in range(config["n_layer"]):
            yield f"h.{i}.{part}", shape
    yield "ln_f.weight", (n,)
    yield "ln_f.bias", (n,)


def laid_out(
    file: MappedFile, config: Mapping[str, Any], rows: int, end: int, kind: str = "F32"
) -> tuple[dict[str, Stored], int]:
    """Tensors of a model (weights, gradients or moments) from byte `end` on; and where they end."""
    stored = {}
    width = 4 if kind == "F32" else 2
    for name, shape in tensor_order(config, rows):
        stored[name] = _stored(file, end, shape, kind)
        end += math.prod(shape) * width
        file.check(end, 0, f"what follows {name}")
    return stored, end


def _stored(file: MappedFile, offset: int, shape: tuple[int, ...], kind: str) -> Stored:
    def read(once: bool) -> np.ndarray:
        array = file.array(offset, "<f4" if kind == "F32" else "<u2", shape, once=once)
        return array if kind == "F32" else widened(array)

    return Stored(shape, kind, read)


def llmc_parts(bundle: Bundle, dtype: str = "float32") -> Iterator[Any]:
    """The file's bytes, piece by piece; `dtype`: "float32" or "bfloat16".

    Raises:
        FormatError: a model that is not GPT-2's.
    """
    c = bundle.config
    exact = {"tie": True, "head_bias": False, "activation": "gelu_tanh", "norm_eps": 1e-5}
    if bundle.kind != "gpt":
        raise FormatError("llm.c", f"holds models of kind gpt, this is a {bundle.kind}")
    for name, value in exact.items():
        if c.get(name, value) != value:
            raise FormatError("llm.c", f"has no place for {name}={c[name]!r}, only {value!r}")
    bundle = with_biases(bundle)
    rows = -(-c["vocab_size"] // _PADDED) * _PADDED
    kind = {"float32": "F32", "bfloat16": "BF16"}[dtype]
    header = np.zeros(256, "<i4")
    header[:2] = MODEL, {k: v for v, k in _VERSIONS.items()}[kind]
    for name, (place, _) in _SIZES.items():
        header[place] = c[name]
    header[7] = rows
    yield header.tobytes()
    for name, _ in tensor_order(c, rows):
        with bundle.weights.once(name) as value:
            yield as_kind(value, kind).tobytes()
        if name == "wte.weight":
            yield bytes((rows - c["vocab_size"]) * c["n_embd"] * (4 if kind == "F32" else 2))
