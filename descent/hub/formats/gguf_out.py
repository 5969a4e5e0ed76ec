"""Write GGUF version 3, as llama.cpp reads it (see `gguf`, `gguf_models`, `gguf_tokenizer`).

Matrices in F16, Q8_0, Q4_0 or F32; vectors and GPT-2's positions stay F32, as llama.cpp expects.
With q4_0 the table of tokens and the output matrix are written as Q8_0: they are the last step
before the logits and suffer most. Rows that are no multiple of 32 numbers stay F16.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from descent.hub.bundle import Bundle
from descent.hub.formats.blocks import quantise
from descent.hub.formats.errors import FormatError
from descent.hub.formats.folder_out import with_biases
from descent.hub.formats.gguf import KINDS
from descent.hub.formats.gguf_models import ROPE_FREQS, architecture_of, gguf_names
from descent.hub.formats.gguf_tokenizer import token_settings
from descent.hub.formats.rotation import interleaved
from descent.hub.weights import Stored, as_float32, as_kind, bytes_of, stored_array
from descent.models.rotary import frequencies

__all__ = ["gguf_parts"]

_ALIGNMENT = 32
_NUMBERS = {kind: number for number, kind in KINDS.items()}
_FILE_TYPES = {"float32": 0, "float16": 1, "q4_0": 2, "q8_0": 7}
_MATRIX = {"float32": "F32", "float16": "F16", "q4_0": "Q4_0", "q8_0": "Q8_0"}


def gguf_parts(bundle: Bundle, dtype: str = "float16") -> Iterator[Any]:
    """The file's bytes, piece by piece; `dtype`: float32, float16, q8_0 or q4_0.

    Raises:
        FormatError: a model none of GGUF's known architectures can express.
    """
    if bundle.kind not in ("gpt", "llama"):
        raise FormatError("GGUF", f"is written for kinds gpt and llama, this is a {bundle.kind}")
    bundle = with_biases(bundle)
    tensors = _tensors(bundle)
    entries = {name: (_kind(name, s, dtype), s.shape) for name, s in tensors.items()}
    settings = _settings(bundle, dtype)
    head = [struct.pack("<4sIQQ", b"GGUF", 3, len(entries), len(settings))]
    head += [_text(name) + _value(value) for name, value in settings.items()]
    offset = 0
    for name, (kind, shape) in entries.items():
        sizes = struct.pack(f"<I{len(shape)}Q", len(shape), *shape[::-1])
        head.append(_text(name) + sizes + struct.pack("<IQ", _NUMBERS[kind], offset))
        offset += _padded(bytes_of(kind, shape))
    header = b"".join(head)
    yield header.ljust(_padded(len(header)), b"\0")
    for name, (kind, _) in entries.items():
        array = _bytes(tensors[name], kind)
        yield array
        yield bytes(_padded(len(array)) - len(array))
        for file in bundle.weights.files:
            file.forget()


def _padded(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT


def _bytes(stored: Stored, kind: str) -> bytes:
    value = stored.read(True)
    if kind in ("Q8_0", "Q4_0"):
        same = getattr(value, "kind", None) == kind
        return (value if same else quantise(as_float32(value), kind)).blocks.tobytes()
    return as_kind(value, kind).tobytes()


def _tensors(bundle: Bundle) -> dict[str, Stored]:
    """By GGUF's name, q and k interleaved where its architecture wants that."""
    config = bundle.config
    tensors = {}
    for ours, theirs in gguf_names(bundle.kind, config).items():
        stored = bundle.weights.stored[ours]
        if architecture_of(bundle.kind, config) == "llama":
            for part, heads in (("q_proj", config["n_head"]), ("k_proj", _kv(config))):
                if f".{part}." in ours:
                    stored = stored.taken(interleaved(heads, stored.shape[0] // heads))
        tensors[theirs] = stored
    scaling = config.get("rope_scaling") or {}
    if scaling.get("rope_type") == "llama3":
        size = config.get("head_dim") or config["n_embd"] // config["n_head"]
        base = config.get("rope_base", 10000.0)
        plain, scaled = (frequencies(size, base, s, 0)[0] for s in (None, scaling))
        tensors[ROPE_FREQS] = stored_array((plain / scaled).astype(np.float32))
    return tensors


def _kv(config: Mapping[str, Any]) -> int:
    return config.get("n_kv_head") or config["n_head"]


def _kind(name: str, stored: Stored, dtype: str) -> str:
    if len(stored.shape) < 2 or name == "position_embd.weight":
        return "F32"
    kind = _MATRIX[dtype]
    if kind == "Q4_0" and name in ("token_embd.weight", "output.weight"):
        kind = "Q8_0"
    return "F16" if kind.startswith("Q") and stored.shape[-1] % 32 else kind


def _settings(bundle: Bundle, dtype: str) -> dict[str, Any]:
    about, name = bundle.about, architecture_of(bundle.kind, bundle.config)
    settings: dict[str, Any] = {
        "general.architecture": name,
        "general.name": str(about.get("name") or "model"),
        "general.file_type": _FILE_TYPES[dtype],
        "general.quantization_version": 2,
        "general.alignment": _ALIGNMENT,
    }
    if about.get("licence"):
        settings["general.license"] = str(about["licence"])
    sizes = _gpt(bundle) if bundle.kind == "gpt" else _llama(bundle)
    settings |= {f"{name}.{key}": value for key, value in sizes.items()}
    if bundle.kind == "gpt" and bundle.config.get("activation", "gelu_tanh") != "gelu_tanh":
        settings["descent.activation"] = bundle.config["activation"]
    tokens = token_settings(bundle.tokenizer, about)
    if bundle.tokenizer is not None and "tokenizer.ggml.model" not in tokens:
        about.setdefault("notes", []).append("the tokenizer was not written: GGUF has no name for "
                                             "the way it cuts text")  # fmt: skip
    return settings | tokens


def _common(config: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "context_length": config["block_size"],
        "embedding_length": config["n_embd"],
        "block_count": config["n_layer"],
        "attention.head_count": config["n_head"],
    }


def _gpt(bundle: Bundle) -> dict[str, Any]:
    c = bundle.config
    if c.get("head_bias"):
        raise FormatError("GGUF", "has no place for a bias of the output (head_bias)")
    return _common(c) | {
        "feed_forward_length": 4 * c["n_embd"],
        "attention.layer_norm_epsilon": float(c.get("norm_eps", 1e-5)),
    }


def _llama(bundle: Bundle) -> dict[str, Any]:
    c = bundle.config
    if c.get("activation", "silu") != "silu":
        raise FormatError("GGUF", f"has no place for activation={c['activation']!r} in a Llama")
    stored = bundle.weights.stored
    size = stored["layers.0.attn.q_proj.weight"].shape[0] // c["n_head"]
    sizes = _common(c) | {
        "vocab_size": c["vocab_size"],
        "feed_forward_length": stored["layers.0.mlp.gate_proj.weight"].shape[0],
        "attention.head_count_kv": _kv(c),
        "attention.layer_norm_rms_epsilon": float(c.get("norm_eps", 1e-5)),
        "attention.key_length": size,
        "attention.value_length": size,
        "rope.dimension_count": size,
        "rope.freq_base": float(c.get("rope_base", 10000.0)),
    }
    if c.get("window"):
        sizes["attention.sliding_window"] = c["window"]
    return sizes | _scaling(c.get("rope_scaling") or {})


def _scaling(scaling: Mapping[str, Any]) -> dict[str, Any]:
    kind = scaling.get("rope_type", "default")
    if kind in ("default", "llama3"):  # llama3 is a tensor of divisors
        return {}
    if kind not in ("linear", "yarn"):
        raise FormatError("GGUF", f"has no place for rotary scaling {kind!r}")
    found = {"rope.scaling.type": kind, "rope.scaling.factor": float(scaling["factor"])}
    if kind == "yarn":
        trained = scaling["original_max_position_embeddings"]
        found["rope.scaling.original_context_length"] = trained
    return found


def _text(text: str) -> bytes:
    raw = text.encode("utf-8")
    return struct.pack("<Q", len(raw)) + raw


def _value(value: Any) -> bytes:
    """Type and value; whole numbers as u32, others as f32."""
    if isinstance(value, bool):
        return struct.pack("<I?", 7, value)
    if isinstance(value, int):
        return struct.pack("<II", 4, value)
    if isinstance(value, float):
        return struct.pack("<If", 6, value)
    if isinstance(value, str):
        return struct.pack("<I", 8) + _text(value)
    first = value[0] if value else ""
    number, layout = (8, "") if isinstance(first, str) else (6, "<f4") if isinstance(
        first, float) else (5, "<i4")  # fmt: skip
    head = struct.pack("<IIQ", 9, number, len(value))
    return head + (np.array(value, layout).tobytes() if layout else b"".join(map(_text, value)))
