"""GPT-2 124M with random weights in every engine's format, made once and kept in the cache folder.

    gpt2/            Hugging Face's folder            gpt2-{f32,q8_0,q4_0}.gguf   llama.cpp
    gpt2-ct2-*/      CTranslate2                      gpt2-{f32,int8,int4}.onnx   onnxruntime

Random weights: the values change no engine's speed. The last word is strongest in its own
embedding, so every engine continues a prompt with its last token, and a wrong one shows.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np

from bench.sides.process import clean_environment, peers_python
from descent.caching import cache_folder

__all__ = ["folder"]


def folder() -> Path:
    """The folder of all formats; what is not there yet is made, what cannot be made is left out."""
    place = Path(os.environ.get("BENCH_MODELS") or cache_folder("bench")) / "gpt2-124m"
    place.mkdir(parents=True, exist_ok=True)
    if not (place / "gpt2" / "model.safetensors").exists():
        _hugging_face(place / "gpt2")
    for what in ("gguf", "ct2", "onnx"):
        if not (place / f"{what}.done").exists():
            command = [peers_python(), "-m", "bench.sides.conversions", what, str(place)]
            root = Path(__file__).parents[1]
            if subprocess.run(command, cwd=root, env=clean_environment()).returncode == 0:
                (place / f"{what}.done").touch()
    return place


def _hugging_face(place: Path) -> None:
    """config.json and model.safetensors as `transformers` writes them (Conv1D: [in, out])."""
    import json

    from safetensors.numpy import save_file

    rng = np.random.default_rng(0)
    c, v, t, n = 768, 50257, 1024, 12

    def drawn(*shape: int, std: float = 0.02) -> np.ndarray:
        return (rng.standard_normal(shape, np.float32) * np.float32(std)).astype(np.float32)

    weights = {"wte.weight": drawn(v, c, std=0.06), "wpe.weight": drawn(t, c, std=0.01)}
    for i in range(n):
        h, residual = f"h.{i}.", 0.02 / np.sqrt(2 * n)
        for name in ("ln_1", "ln_2"):
            weights[f"{h}{name}.weight"] = np.ones(c, np.float32)
            weights[f"{h}{name}.bias"] = np.zeros(c, np.float32)
        for name, a, b, std in (
            ("attn.c_attn", c, 3 * c, 0.02), ("attn.c_proj", c, c, residual),
            ("mlp.c_fc", c, 4 * c, 0.02), ("mlp.c_proj", 4 * c, c, residual),
        ):  # fmt: skip
            weights[f"{h}{name}.weight"] = drawn(a, b, std=std)
            weights[f"{h}{name}.bias"] = drawn(b, std=0.01)
    weights["ln_f.weight"], weights["ln_f.bias"] = np.ones(c, np.float32), np.zeros(c, np.float32)
    weights = {f"transformer.{name}": array for name, array in weights.items()}
    place.mkdir(parents=True, exist_ok=True)
    config = {
        "architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "vocab_size": v, "n_embd": c,
        "n_positions": t, "n_ctx": t, "n_layer": n, "n_head": 12, "activation_function": "gelu_new",
        "layer_norm_epsilon": 1e-5, "bos_token_id": 50256, "eos_token_id": 50256,
        "tie_word_embeddings": True, "torch_dtype": "float32",
    }  # fmt: skip
    (place / "config.json").write_text(json.dumps(config, indent=1), encoding="utf-8")
    save_file(weights, place / "model.safetensors", metadata={"format": "pt"})
