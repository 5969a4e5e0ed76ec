"""GGUF's names and settings of GPT-2 and the Llama family, and ours.

    blk.0.attn_q.weight    layers.0.attn.q_proj.weight; for "llama" with its rows interleaved
    llama.rope.freq_base   rope_base

Reference: github.com/ggml-org/llama.cpp, gguf-py/gguf/constants.py. Llama 3's rotary scaling is in
the files only as a divisor for each frequency (`rope_freqs.weight`): it is recognised as one of the
published settings, or refused. Left out: other architectures, dynamic scaling.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from descent.hub.bundle import Bundle
from descent.hub.formats.gguf import Gguf, read_container
from descent.hub.formats.mapped import MappedFile
from descent.hub.formats.rotation import half_split
from descent.hub.weights import Stored, Weights, as_float32
from descent.models.naming import shapes
from descent.models.rotary import frequencies

__all__ = ["architecture_of", "gguf_names", "read_gguf"]

_LLAMA = {
    "attn_norm": "attn_norm", "attn.q_proj": "attn_q", "attn.k_proj": "attn_k",
    "attn.v_proj": "attn_v", "attn.o_proj": "attn_output", "mlp_norm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
    "embed": "token_embd", "norm": "output_norm", "lm_head": "output",
}  # fmt: skip
_GPT = {
    "ln_1": "attn_norm", "attn.c_attn": "attn_qkv", "attn.c_proj": "attn_output",
    "ln_2": "ffn_norm", "mlp.c_fc": "ffn_up", "mlp.c_proj": "ffn_down",
    "wte": "token_embd", "wpe": "position_embd", "ln_f": "output_norm", "lm_head": "output",
}  # fmt: skip
ROPE_FREQS = "rope_freqs.weight"


def architecture_of(kind: str, config: Mapping[str, Any]) -> str:
    """ "gpt2", "llama" or "qwen2"."""
    return "gpt2" if kind == "gpt" else "qwen2" if config.get("qkv_bias") else "llama"


def gguf_names(kind: str, config: Mapping[str, Any]) -> dict[str, str]:
    """Our name → GGUF's, a tied head left out."""
    table = _GPT if kind == "gpt" else _LLAMA
    names = {}
    for ours in shapes(kind, config):
        if ours == "lm_head.weight" and config.get("tie", kind == "gpt"):
            continue
        stem, _, end = ours.rpartition(".")
        parts = stem.split(".")
        if parts[0] in ("h", "layers"):
            names[ours] = f"blk.{parts[1]}.{table['.'.join(parts[2:])]}.{end}"
        else:
            names[ours] = f"{table[stem]}.{end}"
    return names


def read_gguf(file: MappedFile) -> Bundle:
    """A model of one of the known architectures; quantised weights keep their blocks.

    Raises:
        FormatError: another architecture, a missing, unused or misshapen tensor, by name.
    """
    container = read_container(file)
    read = _Settings(file, container)
    kind, config = read.config()
    tensors = dict(container.tensors)
    tensors.pop(ROPE_FREQS, None)
    stored: dict[str, Stored] = {}
    for ours, theirs in gguf_names(kind, config).items():
        if theirs not in tensors:
            raise file.fail(f"has no tensor {theirs!r}")
        stored[ours] = tensors.pop(theirs)
    if tensors:
        raise file.fail(f"has a tensor nothing here uses: {next(iter(tensors))!r}")
    for ours, shape in shapes(kind, config).items():
        if ours in stored and stored[ours].shape != shape:
            found = list(stored[ours].shape)
            raise file.fail(f"{ours} has shape {found}, its settings say {list(shape)}")
    if read.architecture == "llama":
        _half_split(stored, config)
    from descent.hub.formats.gguf_tokenizer import about_tokens

    tokenizer, about = about_tokens(container.settings)
    about |= {"source": str(file.path), "format": "GGUF", "context": config["block_size"],
              "name": str(container.settings.get("general.name") or file.path.stem),
              "licence": container.settings.get("general.license")}  # fmt: skip
    return Bundle(kind, config, Weights(stored, [file]), tokenizer, about)


def _half_split(stored: dict[str, Stored], config: Mapping[str, Any]) -> None:
    for name in stored:
        for part, heads in (("q_proj", config["n_head"]), ("k_proj", config["n_kv_head"])):
            if f".{part}." in name:
                stored[name] = stored[name].taken(half_split(heads, config["head_dim"]))


class _Settings:
    """Typed access to the settings of one architecture."""

    def __init__(self, file: MappedFile, container: Gguf) -> None:
        self.file, self.container, self.all = file, container, container.settings
        self.architecture = self.all.get("general.architecture")

    def number(self, name: str, default: Any = None, kind: type = int) -> Any:
        value = self.all.get(f"{self.architecture}.{name}", default)
        if isinstance(value, np.ndarray) and value.size and (value == value[0]).all():
            value = value[0].item()  # one for each layer, all alike
        right = (int, float) if kind is float else int
        if isinstance(value, bool) or not isinstance(value, right) or not 0 < value < 1 << 31:
            raise self.file.fail(
                f"the setting {self.architecture}.{name} is {str(value)[:80]}, not a positive "
                f"{kind.__name__}"
            )
        return int(value) if kind is int else float(str(np.float32(value)))  # 1e-06, not 9.9…e-07

    def config(self) -> tuple[str, dict[str, Any]]:
        if self.architecture not in ("gpt2", "llama", "qwen2"):
            raise self.file.fail(
                f"architecture {str(self.architecture)[:80]!r}; known are gpt2, llama and qwen2"
            )
        kind = "gpt" if self.architecture == "gpt2" else "llama"
        return kind, self._gpt() if kind == "gpt" else self._llama()

    def _common(self, embedding: str) -> dict[str, Any]:
        table = self.container.tensors.get(embedding)
        if table is None or len(table.shape) != 2:
            raise self.file.fail(f"has no matrix {embedding!r}")
        config = {
            "vocab_size": table.shape[0],
            "block_size": self.number("context_length"),
            "n_layer": self.number("block_count"),
            "n_head": self.number("attention.head_count"),
            "n_embd": self.number("embedding_length"),
            "tie": "output.weight" not in self.container.tensors,
        }
        if config["n_layer"] > len(self.container.tensors) or config["n_embd"] != table.shape[1]:
            raise self.file.fail(f"sizes {config} are not those of its tensors")
        return config

    def _gpt(self) -> dict[str, Any]:
        config = self._common("token_embd.weight")
        if config["n_embd"] % config["n_head"]:
            raise self.file.fail(f"{config['n_head']} heads do not divide {config['n_embd']}")
        inner = self.number("feed_forward_length", 4 * config["n_embd"])
        if inner != 4 * config["n_embd"]:
            raise self.file.fail(f"a feed-forward width of {inner} is not 4 × {config['n_embd']}")
        config["norm_eps"] = self.number("attention.layer_norm_epsilon", 1e-5, float)
        config["activation"] = self.all.get("descent.activation", "gelu_tanh")
        return config

    def _llama(self) -> dict[str, Any]:
        config = self._common("token_embd.weight")
        heads = config["n_head"]
        kv = self.number("attention.head_count_kv", heads)
        size = self.number("attention.key_length", max(config["n_embd"] // heads, 1))
        if heads % kv or size % 2 or self.number("rope.dimension_count", size) != size:
            raise self.file.fail(f"{heads} heads, {kv} of keys, of size {size}: not supported")
        if self.all.get(f"{self.architecture}.expert_count"):
            raise self.file.fail("is a mixture of experts, which is not supported")
        window = self.all.get(f"{self.architecture}.attention.sliding_window")
        config |= {
            "n_kv_head": kv,
            "head_dim": size,
            "n_hidden": self.number("feed_forward_length"),
            "norm_eps": self.number("attention.layer_norm_rms_epsilon", 1e-5, float),
            "rope_base": self.number("rope.freq_base", 10000.0, float),
            "qkv_bias": "blk.0.attn_q.bias" in self.container.tensors,
            "window": int(window) if window else None,
        }
        config["rope_scaling"] = self._scaling(config)
        return config

    def _scaling(self, config: dict[str, Any]) -> dict[str, Any] | None:
        kind = self.all.get(f"{self.architecture}.rope.scaling.type", "none")
        if ROPE_FREQS in self.container.tensors:
            return self._llama3(config)
        if kind == "none":
            return None
        factor = self.number("rope.scaling.factor", None, float)
        if kind == "linear":
            return {"rope_type": "linear", "factor": factor}
        if kind == "yarn":
            trained = self.number("rope.scaling.original_context_length")
            return {"rope_type": "yarn", "factor": factor,
                    "original_max_position_embeddings": trained}  # fmt: skip
        raise self.file.fail(f"rotary scaling {str(kind)[:80]!r}; known are linear and yarn")

    def _llama3(self, config: dict[str, Any]) -> dict[str, Any]:
        """The published setting whose divisors these are."""
        divisors = as_float32(self.container.tensors[ROPE_FREQS].read(True)).reshape(-1)
        if divisors.shape == (config["head_dim"] // 2,) and np.isfinite(divisors).all():
            plain = frequencies(config["head_dim"], config["rope_base"], None, 0)[0]
            for factor in (float(divisors.max()), 8.0, 32.0):
                for trained in (8192, config["block_size"]):
                    scaling = {"rope_type": "llama3", "factor": max(factor, 1.0),
                               "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                               "original_max_position_embeddings": trained}  # fmt: skip
                    scaled = frequencies(config["head_dim"], config["rope_base"], scaling, 0)[0]
                    if np.allclose(plain / scaled, divisors, rtol=1e-4):
                        return scaling
        raise self.file.fail(f"{ROPE_FREQS} is no rotary scaling of a published Llama 3")
