"""Models by short name: where they are, how large, under which licence, and what a token costs.

    parameters = V·C·(2 − tied) + [V_p·C] + L·(layer) + final norm
    bytes read for a token ≈ (parameters − rows of the embeddings not used) · bytes a weight
    bytes kept for a token = 2 · L · H_kv · D · 4

Sizes are those of the published config.json files; the sums are checked against the published
counts in the tests. Left out: models whose architecture Descent can't run.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["KNOWN", "WIDTHS", "KnownModel"]

# Bytes a weight, with the scale that each block of 32 has (Q8_0: 34 bytes, Q4_0: 18).
WIDTHS = {"float32": 4.0, "bf16": 2.0, "int8": 34 / 32, "int4": 18 / 32}


@dataclass(frozen=True)
class KnownModel:
    """A published model. `family` "gpt" is GPT-2's block, "llama" the Llama family's.

    `quant`: for a repository of GGUF files, the one that is pulled unless another is asked for.
    """

    repo: str
    family: str
    licence: str
    vocab_size: int
    context: int
    n_layer: int
    n_embd: int
    n_head: int
    n_kv_head: int
    n_hidden: int
    tied: bool = True
    qkv_bias: bool = False
    gated: bool = False
    chat: bool = False
    quant: str | None = None

    @property
    def parameters(self) -> int:
        """Numbers in the model, a tied head counted once."""
        return self._layers + self._embeddings

    @property
    def _embeddings(self) -> int:
        positions = self.context if self.family == "gpt" else 0
        return (self.vocab_size * (1 if self.tied else 2) + positions) * self.n_embd

    @property
    def _layers(self) -> int:
        c, kv = self.n_embd, self.n_kv_head * (self.n_embd // self.n_head)
        if self.family == "gpt":
            attention = 4 * c * c + 4 * c
            mlp = 2 * c * self.n_hidden + self.n_hidden + c
            return self.n_layer * (attention + mlp + 4 * c) + 2 * c
        attention = 2 * c * c + 2 * c * kv + (c + 2 * kv if self.qkv_bias else 0)
        return self.n_layer * (attention + 3 * c * self.n_hidden + 2 * c) + c

    @property
    def read_a_token(self) -> int:
        """Weights read for one new token: the layers and the head (a row of an embedding is
        nothing beside them)."""
        return self._layers + self.vocab_size * self.n_embd

    def weight_bytes(self, width: str) -> int:
        """Bytes of all weights in memory at a width of `WIDTHS`."""
        return round(self.parameters * WIDTHS[width])

    def cache_bytes(self, tokens: int) -> int:
        """Keys and values of a sequence, float32."""
        head = self.n_embd // self.n_head
        return 2 * 4 * self.n_layer * self.n_kv_head * head * min(tokens, self.context)


def _gpt2(repo: str, n_layer: int, n_embd: int, n_head: int, licence: str = "MIT") -> KnownModel:
    return KnownModel(
        repo, "gpt", licence, 50257, 1024, n_layer, n_embd, n_head, n_head, 4 * n_embd
    )


def _smollm2(
    size: str, n_layer: int, n_embd: int, n_head: int, n_kv_head: int, n_hidden: int, chat: bool
) -> KnownModel:
    repo = f"HuggingFaceTB/SmolLM2-{size}" + ("-Instruct" if chat else "")
    sizes = (49152, 8192, n_layer, n_embd, n_head, n_kv_head, n_hidden)
    return KnownModel(repo, "llama", "Apache-2.0", *sizes, chat=chat)


def _qwen(repo: str, size: str, context: int, quant: str | None = None) -> KnownModel:
    sizes = {"0.5B": (24, 896, 14, 2, 4864), "1.5B": (28, 1536, 12, 2, 8960)}[size]
    return KnownModel(
        repo, "llama", "Apache-2.0", 151936, context, *sizes,
        qkv_bias=True, chat="Instruct" in repo, quant=quant,
    )  # fmt: skip


def _llama32(repo: str, size: str, *, quant: str | None = None, gated: bool = True) -> KnownModel:
    sizes = {"1B": (16, 2048, 32, 8, 8192), "3B": (28, 3072, 24, 8, 8192)}[size]
    return KnownModel(
        repo, "llama", "Llama 3.2", 128256, 131072, *sizes,
        chat="Instruct" in repo, quant=quant, gated=gated,
    )  # fmt: skip


def _tinyllama(repo: str, quant: str | None = None) -> KnownModel:
    sizes = (32000, 2048, 22, 2048, 32, 4, 5632)
    return KnownModel(repo, "llama", "Apache-2.0", *sizes, tied=False, chat=True, quant=quant)


def _mistral(repo: str, vocab_size: int, chat: bool = False) -> KnownModel:
    sizes = (vocab_size, 32768, 32, 4096, 32, 8, 14336)
    return KnownModel(repo, "llama", "Apache-2.0", *sizes, tied=False, chat=chat)


KNOWN: dict[str, KnownModel] = {
    "gpt2": _gpt2("openai-community/gpt2", 12, 768, 12),
    "gpt2-medium": _gpt2("openai-community/gpt2-medium", 24, 1024, 16),
    "gpt2-large": _gpt2("openai-community/gpt2-large", 36, 1280, 20),
    "gpt2-xl": _gpt2("openai-community/gpt2-xl", 48, 1600, 25),
    "distilgpt2": _gpt2("distilbert/distilgpt2", 6, 768, 12, "Apache-2.0"),
    "smollm2-135m": _smollm2("135M", 30, 576, 9, 3, 1536, False),
    "smollm2-135m-instruct": _smollm2("135M", 30, 576, 9, 3, 1536, True),
    "smollm2-360m": _smollm2("360M", 32, 960, 15, 5, 2560, False),
    "smollm2-360m-instruct": _smollm2("360M", 32, 960, 15, 5, 2560, True),
    "smollm2-1.7b": _smollm2("1.7B", 24, 2048, 32, 32, 8192, False),
    "smollm2-1.7b-instruct": _smollm2("1.7B", 24, 2048, 32, 32, 8192, True),
    "qwen2-0.5b": _qwen("Qwen/Qwen2-0.5B", "0.5B", 131072),
    "qwen2-1.5b": _qwen("Qwen/Qwen2-1.5B", "1.5B", 131072),
    "qwen2.5-0.5b": _qwen("Qwen/Qwen2.5-0.5B", "0.5B", 32768),
    "qwen2.5-0.5b-instruct": _qwen("Qwen/Qwen2.5-0.5B-Instruct", "0.5B", 32768),
    "qwen2.5-0.5b-gguf": _qwen("Qwen/Qwen2.5-0.5B-Instruct-GGUF", "0.5B", 32768, "q8_0"),
    "qwen2.5-1.5b": _qwen("Qwen/Qwen2.5-1.5B", "1.5B", 131072),
    "qwen2.5-1.5b-instruct": _qwen("Qwen/Qwen2.5-1.5B-Instruct", "1.5B", 32768),
    "qwen2.5-1.5b-gguf": _qwen("Qwen/Qwen2.5-1.5B-Instruct-GGUF", "1.5B", 32768, "q4_k_m"),
    "qwen2.5-coder-0.5b": _qwen("Qwen/Qwen2.5-Coder-0.5B", "0.5B", 32768),
    "qwen2.5-coder-1.5b": _qwen("Qwen/Qwen2.5-Coder-1.5B", "1.5B", 32768),
    "tinyllama": _tinyllama("TinyLlama/TinyLlama-1.1B-Chat-v1.0"),
    "tinyllama-gguf": _tinyllama("TheBloke/TinyLlama-1.1B-Chat-v1.0-GGUF", "Q4_0"),
    "llama-3.2-1b": _llama32("meta-llama/Llama-3.2-1B", "1B"),
    "llama-3.2-1b-instruct": _llama32("meta-llama/Llama-3.2-1B-Instruct", "1B"),
    "llama-3.2-1b-gguf": _llama32(
        "bartowski/Llama-3.2-1B-Instruct-GGUF", "1B", quant="Q4_K_M", gated=False
    ),
    "llama-3.2-3b": _llama32("meta-llama/Llama-3.2-3B", "3B"),
    "llama-3.2-3b-instruct": _llama32("meta-llama/Llama-3.2-3B-Instruct", "3B"),
    "mistral-7b": _mistral("mistralai/Mistral-7B-v0.1", 32000),
    "mistral-7b-instruct": _mistral("mistralai/Mistral-7B-Instruct-v0.3", 32768, True),
}
