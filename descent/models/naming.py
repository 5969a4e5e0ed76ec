"""Names and shapes of the weights, ours and Hugging Face's, for GPT-2 and the Llama family.

    h.0.attn.c_attn.weight [3C, C]        transformer.h.0.attn.c_attn.weight [C, 3C], transposed
    layers.0.attn.q_proj.weight [HD, C]   model.layers.0.self_attn.q_proj.weight, the same

OpenAI's GPT-2 stored its linear layers as [in, out] ("Conv1D"); all others are [out, in]. Pure
functions on names: no file and no array is touched here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import prod
from typing import Any, Literal

from descent.models.gpt import GPTConfig
from descent.models.llama import LlamaConfig

__all__ = ["WeightNameError", "hf_names", "match_hf_names", "parameter_count", "shapes"]

How = Literal["same", "transpose"]
Names = dict[str, tuple[str, How]]


class WeightNameError(ValueError):
    """A weight that is missing, or one that belongs to nothing; both are named."""


def shapes(kind: str, config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Every parameter's shape by our name, in the model's order, without building the model.

    A tied head is listed too; it has its embedding's shape.
    """
    if kind == "gpt":
        return _gpt_shapes(GPTConfig(**config))
    if kind == "llama":
        return _llama_shapes(LlamaConfig(**config))
    raise ValueError(f"no published names for models of kind {kind!r}; only gpt and llama")


def _gpt_shapes(c: GPTConfig) -> dict[str, tuple[int, ...]]:
    n = c.n_embd
    found: dict[str, tuple[int, ...]] = {
        "wte.weight": (c.vocab_size, n),
        "wpe.weight": (c.block_size, n),
    }

    def norm(name: str) -> None:
        found[f"{name}.weight"] = (n,)
        if c.bias:
            found[f"{name}.bias"] = (n,)

    def linear(name: str, out: int, into: int, bias: bool) -> None:
        found[f"{name}.weight"] = (out, into)
        if bias:
            found[f"{name}.bias"] = (out,)

    for i in range(c.n_layer):
        norm(f"h.{i}.ln_1")
        linear(f"h.{i}.attn.c_attn", 3 * n, n, c.bias and c.qkv_bias)
        linear(f"h.{i}.attn.c_proj", n, n, c.bias)
        norm(f"h.{i}.ln_2")
        linear(f"h.{i}.mlp.c_fc", 4 * n, n, c.bias)
        linear(f"h.{i}.mlp.c_proj", n, 4 * n, c.bias)
    norm("ln_f")
    linear("lm_head", c.vocab_size, n, c.head_bias)
    return found


def _llama_shapes(config: LlamaConfig) -> dict[str, tuple[int, ...]]:
    c: Any = config
    n, queries, keys = c.n_embd, c.n_head * c.head_dim, c.n_kv_head * c.head_dim
    found: dict[str, tuple[int, ...]] = {"embed.weight": (c.vocab_size, n)}
    for i in range(c.n_layer):
        found[f"layers.{i}.attn_norm.weight"] = (n,)
        for name, out in (("q", queries), ("k", keys), ("v", keys)):
            found[f"layers.{i}.attn.{name}_proj.weight"] = (out, n)
            if c.qkv_bias:
                found[f"layers.{i}.attn.{name}_proj.bias"] = (out,)
        found[f"layers.{i}.attn.o_proj.weight"] = (n, queries)
        found[f"layers.{i}.mlp_norm.weight"] = (n,)
        for name in ("gate", "up"):
            found[f"layers.{i}.mlp.{name}_proj.weight"] = (c.n_hidden, n)
        found[f"layers.{i}.mlp.down_proj.weight"] = (n, c.n_hidden)
    return found | {"norm.weight": (n,), "lm_head.weight": (c.vocab_size, n)}


def parameter_count(kind: str, config: Mapping[str, Any]) -> int:
    """How many numbers the model learns; a tied head counts once."""
    found = shapes(kind, config)
    if _tied(kind, config):
        del found["lm_head.weight"]
    return sum(prod(shape) for shape in found.values())


def _tied(kind: str, config: Mapping[str, Any]) -> bool:
    return GPTConfig(**config).tie if kind == "gpt" else LlamaConfig(**config).tie


def hf_names(kind: str, config: Mapping[str, Any]) -> Names:
    """Our name → (Hugging Face's name, whether the array is the same or transposed).

    A tied head's `lm_head.weight` is their embedding.
    """
    rename = _gpt_name if kind == "gpt" else _llama_name
    names: Names = {ours: rename(ours) for ours in shapes(kind, config)}
    if _tied(kind, config):
        names["lm_head.weight"] = names["wte.weight" if kind == "gpt" else "embed.weight"]
    return names


def _gpt_name(ours: str) -> tuple[str, How]:
    parts = ours.split(".")
    turned = len(parts) > 3 and parts[-2] in ("c_attn", "c_proj", "c_fc") and parts[-1] == "weight"
    prefix = "" if ours.startswith("lm_head") else "transformer."
    return prefix + ours, "transpose" if turned else "same"


_LLAMA = {
    "attn_norm": "input_layernorm", "mlp_norm": "post_attention_layernorm", "attn": "self_attn",
    "embed": "embed_tokens",
}  # fmt: skip


def _llama_name(ours: str) -> tuple[str, How]:
    theirs = ".".join(_LLAMA.get(part, part) for part in ours.split("."))
    return theirs if ours.startswith("lm_head") else f"model.{theirs}", "same"


def match_hf_names(kind: str, config: Mapping[str, Any], available: Iterable[str]) -> Names:
    """As `hf_names`, for the names a file really has (some have no `transformer.`, `model.`).

    Raises:
        WeightNameError: weights of the model that are missing, or of the file that are unused.
            Masks and rotary tables, which older files hold beside the weights, are passed over.
    """
    names = hf_names(kind, config)
    there = set(available)
    prefix = "transformer." if kind == "gpt" else "model."
    if not any(name.startswith(prefix) for name in there):
        for ours, (theirs, how) in names.items():
            names[ours] = (theirs.removeprefix(prefix), how)
    wanted = {theirs for theirs, _ in names.values()}
    if missing := sorted(wanted - there):
        raise WeightNameError(f"the file lacks {_list(missing)}")
    unused = sorted(n for n in there - wanted if not _passed_over(n, _tied(kind, config)))
    if unused:
        raise WeightNameError(f"nothing in a {kind} of these sizes is called {_list(unused)}")
    return names


def _passed_over(name: str, tied: bool) -> bool:
    """Not learned (causal masks, rotary tables), or the tied head a second time."""
    return (
        name.endswith((".attn.bias", ".attn.masked_bias", "rotary_emb.inv_freq"))
        or (tied and name == "lm_head.weight")
    )  # fmt: skip


def _list(names: list[str]) -> str:
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return ", ".join(names[:4]) + more
