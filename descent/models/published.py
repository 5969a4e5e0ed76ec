"""Published models' configs: Hugging Face's config.json to ours and back.

    from_hf_config(json) -> (kind, config)           e.g. ("llama", {"n_layer": 30, …})
    to_hf_config(kind, config) -> json

Known are the classes in `ARCHITECTURES`. A config that asks for arithmetic our model does not do
(another activation, rotary scaling, biases, …) is an error that names the setting: loading it would
give a model that runs and is wrong. Names of weights: see `naming`. Dropout is not taken over: it
is a setting of a training run, not of the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from descent.models.gpt import GPTConfig
from descent.models.llama import LlamaConfig
from descent.models.naming import hf_names

__all__ = [
    "ARCHITECTURES", "PublishedError", "from_hf_config", "hf_names", "to_hf_config",
]  # fmt: skip

ARCHITECTURES = {  # class names and the model_type that stands for them
    "GPT2LMHeadModel": "gpt2",
    "LlamaForCausalLM": "llama",
    "Qwen2ForCausalLM": "qwen2",
    "MistralForCausalLM": "mistral",
}

GPT_ACTIVATIONS = {
    "gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh", "gelu": "gelu", "relu": "relu",
}  # fmt: skip
LLAMA_ACTIVATIONS = {
    "silu": "silu", "swish": "silu", "gelu_pytorch_tanh": "gelu_tanh", "gelu_new": "gelu_tanh",
}  # fmt: skip


class PublishedError(ValueError):
    """A config that is not one of the known families, or asks for what they do not do."""


def from_hf_config(json: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Our model kind and its config for a config.json.

    Raises:
        PublishedError: an unknown architecture, or a setting this model does not have, by name.
    """
    found = _architecture(json)
    return _from_gpt2(json) if found == "gpt2" else _from_llama(json, found)


def _architecture(json: Mapping[str, Any]) -> str:
    """One of the values of ARCHITECTURES."""
    named = json.get("architectures") or []
    name = named[0] if isinstance(named, list) and named else None
    if name is None:
        kind = json.get("model_type")
        if kind in ARCHITECTURES.values():
            return str(kind)
        raise PublishedError(
            f"config.json names no known architecture (model_type {kind!r}); known: "
            f"{', '.join(ARCHITECTURES)}"
        )
    # GPT2Model and its like are the same weights without the head's name
    for known, kind in ARCHITECTURES.items():
        if name in (known, known.removesuffix("LMHeadModel").removesuffix("ForCausalLM") + "Model"):
            return kind
    raise PublishedError(f"unknown architecture {name!r}; known: {', '.join(ARCHITECTURES)}")


def _number(json: Mapping[str, Any], key: str, default: Any = None, kind: type = int) -> Any:
    """A positive number of the config; `default` where it is missing or null."""
    value = json.get(key)
    value = default if value is None else value
    if value is None:
        raise PublishedError(f"config.json has no {key!r}")
    right = isinstance(value, (int, float) if kind is float else int)
    if isinstance(value, bool) or not right or not 0 < value < 1 << 31:
        raise PublishedError(f"config.json: {key} must be a positive {kind.__name__}: {value!r}")
    return kind(value)


def _must_be(json: Mapping[str, Any], settings: dict[str, Any]) -> None:
    """Check that switches stand where our arithmetic has them."""
    for key, (wanted, default) in settings.items():
        value = json.get(key, default)
        if value != wanted and value is not None:
            raise PublishedError(f"config.json: {key}={value!r} is not supported, only {wanted!r}")


def _activation(json: Mapping[str, Any], key: str, default: str, known: dict[str, str]) -> str:
    name = json.get(key) or default
    if name not in known:
        raise PublishedError(
            f"config.json: unknown activation {key}={name!r}; known: {', '.join(known)}"
        )
    return known[name]


# -- GPT-2 ---------------------------------------------------------------------------------------


def _from_gpt2(json: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    _must_be(json, {
        "scale_attn_weights": (True, True), "scale_attn_by_inverse_layer_idx": (False, False),
        "add_cross_attention": (False, False),
    })  # fmt: skip
    width = _number(json, "n_embd", 768)
    if (inner := json.get("n_inner")) not in (None, 4 * width):
        raise PublishedError(
            f"config.json: n_inner={inner!r} is not supported, only 4 × n_embd = {4 * width}"
        )
    config = {
        "vocab_size": _number(json, "vocab_size", 50257),
        "block_size": _number(json, "n_positions", json.get("n_ctx") or 1024),
        "n_layer": _number(json, "n_layer", 12),
        "n_head": _number(json, "n_head", 12),
        "n_embd": width,
        "tie": bool(json.get("tie_word_embeddings", True)),
        "activation": _activation(json, "activation_function", "gelu_new", GPT_ACTIVATIONS),
        "norm_eps": _number(json, "layer_norm_epsilon", 1e-5, float),
    }
    return "gpt", _sensible(GPTConfig, config)


def _to_gpt2(config: GPTConfig) -> dict[str, Any]:
    for name, wanted in (("bias", True), ("qkv_bias", True), ("head_bias", False)):
        if getattr(config, name) is not wanted:
            raise PublishedError(
                f"{name}={getattr(config, name)} cannot be written as GPT2LMHeadModel, which has "
                f"{name}={wanted}"
            )
    names = {"gelu_tanh": "gelu_new", "gelu": "gelu", "relu": "relu"}
    return {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "vocab_size": config.vocab_size,
        "n_positions": config.block_size,
        "n_ctx": config.block_size,
        "n_layer": config.n_layer,
        "n_head": config.n_head,
        "n_embd": config.n_embd,
        "n_inner": None,
        "activation_function": names[config.activation],
        "layer_norm_epsilon": config.norm_eps,
        "initializer_range": config.init_std or 0.02,
        "resid_pdrop": config.dropout,
        "embd_pdrop": config.dropout,
        "attn_pdrop": config.dropout,
        "tie_word_embeddings": config.tie,
    }


# -- the Llama family ----------------------------------------------------------------------------


def _from_llama(json: Mapping[str, Any], family: str) -> tuple[str, dict[str, Any]]:
    _must_be(json, {"partial_rotary_factor": (1.0, 1.0), "mlp_bias": (False, False)})
    if family != "qwen2":  # Qwen2's class has biases whatever the config says
        _must_be(json, {"attention_bias": (False, False)})
    heads, width = _number(json, "num_attention_heads", 32), _number(json, "hidden_size")
    context = _number(json, "max_position_embeddings", 2048)
    base, scaling = _rotary(json, context)
    if scaling and scaling["rope_type"] == "dynamic":
        context = int(context * scaling["factor"])
    config = {
        "vocab_size": _number(json, "vocab_size"),
        "block_size": context,
        "n_layer": _number(json, "num_hidden_layers"),
        "n_head": heads,
        "n_kv_head": _number(json, "num_key_value_heads", 8 if family == "mistral" else heads),
        "n_embd": width,
        "head_dim": _number(json, "head_dim", max(1, width // heads)),
        "n_hidden": _number(json, "intermediate_size"),
        "norm_eps": _number(json, "rms_norm_eps", 1e-6, float),
        "rope_base": base,
        "rope_scaling": scaling,
        "qkv_bias": family == "qwen2",
        "tie": bool(json.get("tie_word_embeddings", False)),
        "window": _window(json, family),
        "activation": _activation(json, "hidden_act", "silu", LLAMA_ACTIVATIONS),
    }
    return "llama", _sensible(LlamaConfig, config)


def _rotary(json: Mapping[str, Any], context: int) -> tuple[float, dict[str, Any] | None]:
    """Base and scaling, from the old keys (rope_theta, rope_scaling) or the new rope_parameters."""
    given = json.get("rope_parameters") or json.get("rope_scaling") or {}
    if not isinstance(given, Mapping):
        raise PublishedError(f"config.json: rope_scaling must be an object: {given!r}")
    scaling = {k: v for k, v in given.items() if v is not None}
    base = _number({"rope_theta": scaling.pop("rope_theta", json.get("rope_theta"))},
                   "rope_theta", 10000.0, float)  # fmt: skip
    old = scaling.pop("type", "default")
    scaling["rope_type"] = kind = scaling.get("rope_type", old)
    _must_be(scaling, {"partial_rotary_factor": (1.0, 1.0)})
    scaling.pop("partial_rotary_factor", None)
    if kind == "default":
        return base, None
    if kind in ("llama3", "yarn", "dynamic"):
        trained = json.get("original_max_position_embeddings")
        scaling.setdefault("original_max_position_embeddings", trained or context)
    return base, scaling


def _window(json: Mapping[str, Any], family: str) -> int | None:
    """How far attention sees in every layer; None: as far as the context."""
    size = json.get("sliding_window")
    if family == "mistral":
        return None if size is None else _number(json, "sliding_window")
    if family == "llama" or not json.get("use_sliding_window", False) or size is None:
        return None
    layers, full = _number(json, "num_hidden_layers"), json.get("max_window_layers", 28)
    if full == 0:
        return _number(json, "sliding_window")
    if isinstance(full, int) and full >= layers:
        return None
    raise PublishedError(
        f"config.json: max_window_layers={full!r} of {layers} layers: a window in some layers only "
        "is not supported"
    )


def _to_llama(config: LlamaConfig) -> dict[str, Any]:
    c: Any = config
    family = "qwen2" if c.qkv_bias else "mistral" if c.window else "llama"
    scaling = dict(c.rope_scaling or {}) or None
    context = c.block_size
    if scaling and scaling["rope_type"] == "dynamic":
        context = scaling.pop("original_max_position_embeddings", context)
    window = {"sliding_window": c.window}
    if family == "qwen2":
        window |= {"use_sliding_window": c.window is not None, "max_window_layers": 0}
    return {
        "architectures": [next(k for k, v in ARCHITECTURES.items() if v == family)],
        "model_type": family,
        "vocab_size": c.vocab_size,
        "max_position_embeddings": context,
        "num_hidden_layers": c.n_layer,
        "num_attention_heads": c.n_head,
        "num_key_value_heads": c.n_kv_head,
        "hidden_size": c.n_embd,
        "head_dim": c.head_dim,
        "intermediate_size": c.n_hidden,
        "rms_norm_eps": c.norm_eps,
        "rope_theta": c.rope_base,
        "rope_scaling": scaling,
        "hidden_act": "silu" if c.activation == "silu" else "gelu_pytorch_tanh",
        "initializer_range": c.init_std,
        "tie_word_embeddings": c.tie,
        **({} if family == "llama" else window),
    }


def _sensible(config_class: type, config: dict[str, Any]) -> dict[str, Any]:
    """The config, once its class has found nothing wrong with it."""
    try:
        config_class(**config)
    except (ValueError, TypeError) as error:
        raise PublishedError(f"config.json: {error}") from None
    return config


def to_hf_config(kind: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """The config.json that describes our model to Hugging Face's classes.

    Raises:
        PublishedError: a kind or a setting none of these classes can express.
    """
    if kind == "gpt":
        return _to_gpt2(GPTConfig(**config))
    if kind == "llama":
        return _to_llama(LlamaConfig(**config))
    raise PublishedError(f"{kind!r} models have no Hugging Face class; only gpt and llama have")
