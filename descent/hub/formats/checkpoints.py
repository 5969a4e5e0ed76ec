"""PyTorch checkpoints of training scripts: nanoGPT's ckpt.pt and llama2.c's.

    {"model": state dict, "model_args": sizes, "optimizer": …, "iter_num": …, "config": …}

A compiled model's names begin with `_orig_mod.`; masks and rotary tables are passed over. The rows
of llama2.c's q and k are interleaved (see `rotation`). References: github.com/karpathy/nanoGPT,
`train.py`; github.com/karpathy/llama2.c, `train.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from descent.hub.bundle import Bundle
from descent.hub.formats.mapped import MappedFile
from descent.hub.formats.pytorch import read_pytorch
from descent.hub.formats.rotation import half_split
from descent.hub.weights import Stored, Weights

__all__ = ["read_checkpoint"]

_BUFFERS = (".attn.bias", ".attention.mask", "freqs_cos", "freqs_sin")


def read_checkpoint(file: MappedFile) -> Bundle:
    """A checkpoint with its model's sizes in it.

    Raises:
        FormatError: when the sizes are missing (a bare state dict lies in a folder with a
            config.json), or weights and sizes do not go together.
    """
    value = read_pytorch(file)
    if not isinstance(value, Mapping) or not isinstance(value.get("model"), Mapping):
        raise file.fail(
            'holds no "model" and "model_args" (nanoGPT, llama2.c); for weights alone load the '
            "folder with the config.json they belong to"
        )
    sizes = value.get("model_args")
    if not isinstance(sizes, Mapping):
        raise file.fail('has no "model_args": the sizes of its model')
    tensors = {}
    for name, stored in value["model"].items():
        name = str(name).removeprefix("_orig_mod.").removeprefix("module.")
        if not isinstance(stored, Stored):
            raise file.fail(f"{name!r} is a {type(stored).__name__}, not a tensor")
        if not name.endswith(_BUFFERS):
            tensors[name] = stored
    read = _llama2c if "dim" in sizes else _nanogpt
    kind, config, named = read(file, sizes, tensors)
    about = {"source": str(file.path), "format": "PyTorch checkpoint", "name": file.path.stem,
             "context": config["block_size"], "bos_id": None, "eos_ids": []}  # fmt: skip
    if isinstance(value.get("iter_num"), int):
        about["step"] = value["iter_num"]
    return Bundle(kind, config, Weights(named, [file]), None, about)


def _count(file: MappedFile, sizes: Mapping[str, Any], name: str) -> int:
    value = sizes.get(name)
    if type(value) is not int or not 0 < value < 1 << 31:
        raise file.fail(f"model_args[{name!r}] is {value!r}, not a positive integer")
    return value


Found = tuple[str, dict[str, Any], dict[str, Stored]]


def _nanogpt(file: MappedFile, sizes: Mapping[str, Any], tensors: dict[str, Stored]) -> Found:
    """Our names are its names without the prefix; its Linear weights are [out, in] as ours."""
    names = ("vocab_size", "block_size", "n_layer", "n_head", "n_embd")
    config: dict[str, Any] = {name: _count(file, sizes, name) for name in names}
    config |= {"bias": bool(sizes.get("bias", True)), "activation": "gelu"}  # nn.GELU, the exact
    named = {name.removeprefix("transformer."): s for name, s in tensors.items()}
    named.pop("lm_head.weight", None)  # tied
    return "gpt", config, named


_LAYER = {
    "attention.wq": "attn.q_proj", "attention.wk": "attn.k_proj", "attention.wv": "attn.v_proj",
    "attention.wo": "attn.o_proj", "feed_forward.w1": "mlp.gate_proj",
    "feed_forward.w2": "mlp.down_proj", "feed_forward.w3": "mlp.up_proj",
    "attention_norm": "attn_norm", "ffn_norm": "mlp_norm",
}  # fmt: skip
_TOP = {"tok_embeddings": "embed", "norm": "norm", "output": "lm_head"}


def _llama2c(file: MappedFile, sizes: Mapping[str, Any], tensors: dict[str, Stored]) -> Found:
    heads, width = _count(file, sizes, "n_heads"), _count(file, sizes, "dim")
    kv = heads if sizes.get("n_kv_heads") is None else _count(file, sizes, "n_kv_heads")
    if width % heads or heads % kv:
        raise file.fail(f"model_args: {heads} heads and {kv} of keys do not divide {width}")
    gate = tensors.get("layers.0.feed_forward.w1.weight")
    if gate is None:
        raise file.fail("has no weight 'layers.0.feed_forward.w1.weight'")
    config = {
        "vocab_size": _count(file, sizes, "vocab_size"),
        "block_size": _count(file, sizes, "max_seq_len"),
        "n_layer": _count(file, sizes, "n_layers"), "n_head": heads, "n_kv_head": kv,
        "n_embd": width, "n_hidden": gate.shape[0],
        "norm_eps": float(sizes.get("norm_eps") or 1e-5), "rope_base": 10000.0, "tie": True,
    }  # fmt: skip
    rows = {"wq": half_split(heads, width // heads), "wk": half_split(kv, width // heads)}
    named = {}
    for name, stored in tensors.items():
        parts = name.split(".")
        if len(parts) > 3 and parts[0] == "layers":
            ours = f"layers.{parts[1]}.{_LAYER.get('.'.join(parts[2:-1]), name)}.{parts[-1]}"
            order = rows.get(parts[-2])
            fits = order is not None and stored.shape[0] == len(order)
            named[ours] = stored.taken(order) if order is not None and fits else stored
        else:
            named[f"{_TOP.get(parts[0], parts[0])}.weight"] = stored
    named.pop("lm_head.weight", None)  # llama2.c's model always ties
    return "llama", config, named
