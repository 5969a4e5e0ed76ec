"""Generation from GPT-2 124M beside transformers, onnxruntime, ctranslate2 and llama.cpp.

Greedy, 16-token prompts, 128 new tokens; batches of 1, 8 and 32; and a first token alone (from the
file to the first token in a fresh process: `bench.generate_start`). Peers that are not there are
reported as missing: DESCENT_PEERS_PYTHON names a Python with torch, transformers, onnx,
onnxruntime, ctranslate2, gguf and llama-cpp-python. Every side at a width reads the same numbers
(`bench.gpt2_files`).
"""

from __future__ import annotations

from functools import partial

import numpy as np

from bench.compare import Bar
from bench.race import Work
from bench.sides.process import Side

ENGINES = {
    "float32": ("transformers", "onnxruntime", "ctranslate2", "llama_cpp"),
    "bf16": ("transformers",),
    "int8": ("onnxruntime", "ctranslate2", "llama_cpp"),
    "int4": ("onnxruntime", "llama_cpp"),
}


def data(batch: int, new: int) -> dict[str, np.ndarray]:
    """Where the files are, and what is asked."""
    from bench.gpt2_files import folder

    return {"folder": np.array(str(folder())), "batch": np.array(batch), "new": np.array(new)}


def name_of(engine: str, width: str) -> str:
    return f"{engine.replace('_', '.')} {width}"


def _sides(*widths: str) -> tuple[Side, ...]:
    found = []
    for width in widths:
        found.append(Side(name_of("descent", width), f"bench.sides.generating:descent_{width}"))
        for engine in ENGINES[width]:
            make = f"bench.sides.generating:{engine}_{width}"
            found.append(Side(name_of(engine, width), make, guest=True))
    return tuple(found)


def _peers(width: str) -> tuple[str, ...]:
    return tuple(name_of(engine, width) for engine in ENGINES[width])


def _bar(factor: float, width: str, peers: tuple[str, ...] | None = None) -> Bar:
    return Bar(factor, peers or _peers(width), ours=name_of("descent", width))


ALL = ("float32", "bf16", "int8", "int4")
APART = 0.2  # of many prompts, a few go on otherwise in narrow weights, in every engine
_PEERS_OF_ALL = tuple(dict.fromkeys(name for width in ALL for name in _peers(width)))
ONE = Work(
    "GPT-2 124M, batch 1, 16 + 128 tokens", partial(data, 1, 128), _sides(*ALL), steps=1, check=2,
    rounds=7, agree_to=1e-3, memory=True,
    bars=(
        _bar(1.3, "float32", ("transformers float32",)), _bar(1, "float32"),
        _bar(1, "int8"), _bar(1.2, "int4"),
    ),
)  # fmt: skip
FIRST = Work(
    "GPT-2 124M, first token after 16", partial(data, 1, 1), _sides(*ALL), steps=8, check=2,
    rounds=7, agree_to=1e-3,
    bars=tuple(_bar(1 / 1.2, width) for width in ("float32", "int8", "int4")),
)  # fmt: skip
MANY = tuple(
    Work(
        f"GPT-2 124M, batch {n}, 16 + 128 tokens each", partial(data, n, 128), _sides(*ALL),
        steps=1, check=2, rounds=5, agree_to=APART,
        bars=(
            _bar(1.2, "int8", _PEERS_OF_ALL), _bar(4, "int8", ("transformers float32",)),
        ),
    )
    for n in (8, 32)
)  # fmt: skip
WORKS = (ONE, FIRST, *MANY)
