"""Published models as settings: what their config files say, as data.

    build("gpt", GPT2_SIZES["gpt2"])        the architecture, untrained

Radford et al. 2019 (GPT-2); Touvron et al. 2023 (Llama 2); the Llama 3 herd, arXiv:2407.21783;
TinyLlama, arXiv:2401.02385; SmolLM2, arXiv:2502.02737; Qwen2, arXiv:2407.10671; Qwen2.5,
arXiv:2412.15115; Mistral 7B, arXiv:2310.06825; llama2.c's TinyStories models.
"""

from __future__ import annotations

from typing import Any

__all__ = ["GPT2_SIZES", "LLAMA_SIZES"]


def _gpt2(n_layer: int, n_head: int, n_embd: int) -> dict[str, Any]:
    return {
        "vocab_size": 50257, "block_size": 1024, "n_layer": n_layer, "n_head": n_head,
        "n_embd": n_embd,
    }  # fmt: skip


GPT2_SIZES: dict[str, dict[str, Any]] = {
    "distilgpt2": _gpt2(6, 12, 768),
    "gpt2": _gpt2(12, 12, 768),
    "gpt2-medium": _gpt2(24, 16, 1024),
    "gpt2-large": _gpt2(36, 20, 1280),
    "gpt2-xl": _gpt2(48, 25, 1600),
}


def _llama(
    vocab_size: int, block_size: int, n_layer: int, heads: tuple[int, int], n_embd: int,
    n_hidden: int, **rest: Any,
) -> dict[str, Any]:  # fmt: skip
    """heads: those of the queries, those of keys and values."""
    return {
        "vocab_size": vocab_size, "block_size": block_size, "n_layer": n_layer,
        "n_head": heads[0], "n_kv_head": heads[1], "n_embd": n_embd, "n_hidden": n_hidden, **rest,
    }  # fmt: skip


def _llama3(factor: float) -> dict[str, Any]:
    """How the Llama 3.x models stretch their 8,192 tokens."""
    return {
        "rope_base": 500_000.0,
        "rope_scaling": {
            "rope_type": "llama3", "factor": factor, "low_freq_factor": 1.0,
            "high_freq_factor": 4.0, "original_max_position_embeddings": 8192,
        },
    }  # fmt: skip


_QWEN2: dict[str, Any] = {"norm_eps": 1e-6, "rope_base": 1e6, "qkv_bias": True}

LLAMA_SIZES: dict[str, dict[str, Any]] = {
    "llama2-7b": _llama(32000, 4096, 32, (32, 32), 4096, 11008),
    "llama2-13b": _llama(32000, 4096, 40, (40, 40), 5120, 13824),
    "llama3-8b": _llama(128256, 8192, 32, (32, 8), 4096, 14336, rope_base=500_000.0),
    "llama3.1-8b": _llama(128256, 131072, 32, (32, 8), 4096, 14336, **_llama3(8.0)),
    "llama3.2-1b": _llama(128256, 131072, 16, (32, 8), 2048, 8192, tie=True, **_llama3(32.0)),
    "llama3.2-3b": _llama(128256, 131072, 28, (24, 8), 3072, 8192, tie=True, **_llama3(32.0)),
    "tinyllama-1.1b": _llama(32000, 2048, 22, (32, 4), 2048, 5632),
    "smollm2-135m": _llama(49152, 8192, 30, (9, 3), 576, 1536, tie=True, rope_base=100_000.0),
    "smollm2-360m": _llama(49152, 8192, 32, (15, 5), 960, 2560, tie=True, rope_base=100_000.0),
    "smollm2-1.7b": _llama(49152, 8192, 24, (32, 32), 2048, 8192, tie=True, rope_base=130_000.0),
    "qwen2-0.5b": _llama(151936, 131072, 24, (14, 2), 896, 4864, tie=True, **_QWEN2),
    "qwen2-1.5b": _llama(151936, 131072, 28, (12, 2), 1536, 8960, tie=True, **_QWEN2),
    "qwen2-7b": _llama(152064, 131072, 28, (28, 4), 3584, 18944, **_QWEN2),
    "qwen2.5-0.5b": _llama(151936, 32768, 24, (14, 2), 896, 4864, tie=True, **_QWEN2),
    "qwen2.5-1.5b": _llama(151936, 131072, 28, (12, 2), 1536, 8960, tie=True, **_QWEN2),
    "mistral-7b": _llama(32000, 32768, 32, (32, 8), 4096, 14336, window=4096),
    "mistral-7b-v0.3": _llama(32768, 32768, 32, (32, 8), 4096, 14336, rope_base=1e6),
    "stories260k": _llama(512, 512, 5, (8, 4), 64, 172, tie=True),
    "stories15m": _llama(32000, 256, 6, (6, 6), 288, 768, tie=True),
    "stories42m": _llama(32000, 1024, 8, (8, 8), 512, 1376, tie=True),
    "stories110m": _llama(32000, 1024, 12, (12, 12), 768, 2048, tie=True),
}
