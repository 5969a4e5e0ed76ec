"""What a decoder-only transformer is made of, by name: one description for GPT and Llama.

`Parts` says the sizes and switches of the forward pass (`forward.py`) and under which names its
weights stand; `Source` takes these from a model in memory or from a bundle, one at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np

from descent.models import rotary

__all__ = ["Layer", "Parts", "Source", "parts_of"]

Array = np.ndarray


class Layer(NamedTuple):
    """Names of a block's modules; `qkv` and `up` may be several, one below the other."""

    attn_norm: str
    qkv: tuple[str, ...]
    o: str
    mlp_norm: str
    up: tuple[str, ...]  # gate and up where the MLP is gated
    down: str


@dataclass(frozen=True)
class Parts:
    """Sizes, switches and names. Heads are `d` numbers wide; `kv_heads` of them have keys."""

    vocab_size: int
    context: int
    width: int
    heads: int
    kv_heads: int
    d: int
    hidden: int
    norm: str  # "layer" or "rms"
    norm_eps: float
    activation: str
    gated: bool
    window: int  # tokens a row sees, itself included; 0: all
    layers: tuple[Layer, ...]
    embed: str
    places: str | None  # learned positions
    last_norm: str
    head: tuple[str, ...]  # the first of these that there is
    rope: tuple[float, Mapping[str, Any] | None] | None  # base and scaling

    def angles(self, n: int) -> tuple[Array, Array]:
        """cos and sin of rotary positions 0 … n - 1, each float32 [n, D/2]; one number without.

        Raises:
            ValueError: angles that would depend on a sequence's length.
        """
        if self.rope is None:
            return np.zeros(1, np.float32), np.zeros(1, np.float32)
        base, scaling = self.rope
        if (scaling or {}).get("rope_type") == "dynamic":
            trained = (scaling or {}).get("original_max_position_embeddings") or self.context
            if n > trained:
                raise ValueError(
                    "dynamic rotary scaling turns all positions anew as a sequence grows beyond "
                    f"{trained} tokens: no cache can be kept; give cache_tokens={trained} or less"
                )
        return rotary.angles(np.arange(n), self.d, base, scaling, self.context)


def parts_of(kind: str, config: Mapping[str, Any]) -> Parts:
    """The parts of a model of this kind and configuration (those of `descent.models`).

    Raises:
        ValueError: a kind that is not a decoder-only transformer.
    """
    if kind == "gpt":
        return _gpt(config)
    if kind == "llama":
        return _llama(config)
    raise ValueError(f"a {kind!r} model is no decoder-only transformer; there are: gpt, llama")


def _gpt(c: Mapping[str, Any]) -> Parts:
    names = [f"h.{i}." for i in range(c["n_layer"])]
    layers = tuple(
        Layer(n + "ln_1", (n + "attn.c_attn",), n + "attn.c_proj",
              n + "ln_2", (n + "mlp.c_fc",), n + "mlp.c_proj")
        for n in names
    )  # fmt: skip
    return Parts(
        c["vocab_size"], c["block_size"], c["n_embd"], c["n_head"], c["n_head"],
        c["n_embd"] // c["n_head"], 4 * c["n_embd"], "layer", c.get("norm_eps", 1e-5),
        c["activation"], False, 0, layers, "wte", "wpe", "ln_f",
        ("lm_head", "wte") if c["tie"] else ("lm_head",), None,
    )  # fmt: skip


def _llama(c: Mapping[str, Any]) -> Parts:
    names = [f"layers.{i}." for i in range(c["n_layer"])]
    layers = tuple(
        Layer(n + "attn_norm", tuple(n + f"attn.{x}_proj" for x in "qkv"), n + "attn.o_proj",
              n + "mlp_norm", (n + "mlp.gate_proj", n + "mlp.up_proj"), n + "mlp.down_proj")
        for n in names
    )  # fmt: skip
    return Parts(
        c["vocab_size"], c["block_size"], c["n_embd"], c["n_head"], c["n_kv_head"], c["head_dim"],
        c["n_hidden"], "rms", c["norm_eps"], c["activation"], True, c["window"] or 0, layers,
        "embed", None, "norm", ("lm_head", "embed") if c["tie"] else ("lm_head",),
        (c["rope_base"], c["rope_scaling"]),
    )  # fmt: skip


class Source:
    """Weights by name, from an nn model or a bundle; each is float32 only while it is looked at."""

    def __init__(self, given: Any) -> None:
        from descent.models.building import MODELS

        if hasattr(given, "weights"):  # a bundle
            config_class = MODELS[given.kind][0]
            self.kind, self.config = given.kind, asdict(config_class(**given.config))
            self._weights: Any = given.weights
        else:
            kinds = [name for name, (_, module) in MODELS.items() if type(given) is module]
            self.kind = kinds[0] if kinds else type(given).__name__
            config: Any = getattr(given, "config", None)
            self.config = asdict(config) if kinds else {}
            self._weights = {k: t.array for k, t in given.state_dict().items()} if kinds else {}

    def __contains__(self, name: str) -> bool:
        return name in self._weights

    def stored(self, name: str) -> Any:
        """The numbers as they are kept: an array, mapped where the file allows, or blocks."""
        return self._weights[name]

    def number_format(self, name: str) -> str:
        """The file's name for how these numbers are kept (F32, BF16, Q8_0, …); "" if unknown."""
        return str(getattr(getattr(self._weights, "stored", {}).get(name), "kind", ""))

    def in_blocks(self, name: str) -> bool:
        """Whether the file keeps these numbers in blocks with a scale each."""
        return self.number_format(name).startswith("Q")

    @contextmanager
    def once(self, name: str) -> Iterator[Array]:
        """The numbers as float32, to be passed through: a file's pages need not stay."""
        if hasattr(self._weights, "once"):
            with self._weights.once(name) as value:
                yield as_float32(value)
        else:
            yield as_float32(self._weights[name])

    def vector(self, name: str, n: int) -> Array:
        """A bias or scale of n numbers; zeros where there is none of that name."""
        if name not in self:
            return np.zeros(n, np.float32)
        with self.once(name) as value:
            return np.array(value, np.float32)


def as_float32(value: Any) -> Array:
    """An array of any width, or blocks of few bits, as float32."""
    if not isinstance(value, np.ndarray):
        value = value.dequantise()
    return value if value.dtype == np.float32 else value.astype(np.float32)
