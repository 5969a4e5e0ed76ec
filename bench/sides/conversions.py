"""GPT-2's Hugging Face folder in the peers' formats.

    python -m bench.sides.conversions gguf FOLDER

Runs in the peers' Python. GGUF by the `gguf` package (names and layouts as llama.cpp's converter
writes them; its tokens are made up, no text is used), CTranslate2 by its own converter, ONNX by
`bench.sides.onnx_gpt2`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

__all__ = ["main"]


def _weights(place: Path) -> dict[str, np.ndarray]:
    from safetensors.numpy import load_file

    found = load_file(place / "gpt2" / "model.safetensors")
    return {name.removeprefix("transformer."): array for name, array in found.items()}


def gguf_files(place: Path) -> None:
    """F32, Q8_0 and Q4_0; the head, as llama.cpp's files have it, is the embedding's copy."""
    import gguf

    names = {
        "ln_1": "attn_norm", "attn.c_attn": "attn_qkv", "attn.c_proj": "attn_output",
        "ln_2": "ffn_norm", "mlp.c_fc": "ffn_up", "mlp.c_proj": "ffn_down",
    }  # fmt: skip
    top = {"wte": "token_embd", "wpe": "position_embd", "ln_f": "output_norm"}
    kinds = {
        "f32": gguf.GGMLQuantizationType.F32, "q8_0": gguf.GGMLQuantizationType.Q8_0,
        "q4_0": gguf.GGMLQuantizationType.Q4_0,
    }  # fmt: skip
    weights = _weights(place)
    for kind, number in kinds.items():
        writer = gguf.GGUFWriter(str(place / f"gpt2-{kind}.gguf"), "gpt2")
        writer.add_block_count(12)
        writer.add_context_length(1024)
        writer.add_embedding_length(768)
        writer.add_feed_forward_length(3072)
        writer.add_head_count(12)
        writer.add_layer_norm_eps(1e-5)
        _made_up_tokens(writer)
        for name, array in weights.items():
            module, _, leaf = name.rpartition(".")
            if module.startswith("h."):
                _, i, rest = module.split(".", 2)
                new = f"blk.{i}.{names[rest]}.{leaf}"
                array = array.T if array.ndim == 2 else array
            else:
                new = f"{top[module]}.{leaf}"
            array = np.ascontiguousarray(array, np.float32)
            if array.ndim == 2 and module != "wpe" and kind != "f32":
                packed = gguf.quants.quantize(array, number)
                writer.add_tensor(new, packed, raw_dtype=number)
            else:
                writer.add_tensor(new, array)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()


def _made_up_tokens(writer) -> None:
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([f"t{i}" for i in range(50257)])
    writer.add_token_types([1] * 50257)
    writer.add_token_merges(["t 0"])
    writer.add_bos_token_id(50256)
    writer.add_eos_token_id(50256)
    writer.add_add_bos_token(False)


def ct2_folders(place: Path) -> None:
    """float32 and int8."""
    import json

    from ctranslate2.converters import TransformersConverter
    from transformers import GPT2TokenizerFast

    tokens = {f"t{i}": i for i in range(50256)} | {"<|endoftext|>": 50256}
    (place / "gpt2" / "vocab.json").write_text(json.dumps(tokens), encoding="utf-8")
    (place / "gpt2" / "merges.txt").write_text("#version: 0.2\n", encoding="utf-8")
    GPT2TokenizerFast(str(place / "gpt2/vocab.json"), str(place / "gpt2/merges.txt"))
    for kind in ("float32", "int8"):
        converter = TransformersConverter(str(place / "gpt2"))
        converter.convert(str(place / f"gpt2-ct2-{kind}"), quantization=kind, force=True)


def onnx_files(place: Path) -> None:
    """float32; int8 by onnxruntime's dynamic quantisation; int4 by its MatMulNBits."""
    from bench.sides.onnx_gpt2 import write

    write(_weights(place), place)


def main(what: str, place: str) -> None:
    """Make one kind of files."""
    {"gguf": gguf_files, "ct2": ct2_folders, "onnx": onnx_files}[what](Path(place))


if __name__ == "__main__":
    main(*sys.argv[1:])
