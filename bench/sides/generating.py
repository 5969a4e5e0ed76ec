"""Greedy generation from GPT-2 by every engine: a step is one generation of a batch.

Each side is made from the folder of `bench.gpt2_files` and returns `run(n)`: n generations of
`new` tokens after each of B prompts of 16. The "loss" is the mean of the ids written: greedy
continuations of the same weights agree. `descent` runs in our Python, the others in the peers'.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from bench.sides.stepping import Data, Run

__all__ = ["SIDES"]

Array = np.ndarray


def prompts(data: Data) -> Array:
    """int64 [B, 16]."""
    return np.random.default_rng(7).integers(0, 50257, (int(data["batch"]), 16))


def generation(data: Data, generate: Callable[[Array, int], Array]) -> Run:
    """`generate(prompts [B, 16], new)` gives the ids written, [B, new]."""
    given, new = prompts(data), int(data["new"])

    def run(n: int) -> float:
        ids = None
        for _ in range(n):
            ids = generate(given, new)
        return float(np.mean(ids))  # type: ignore[arg-type]

    return run


def descent(data: Data, width: str) -> Run:
    from descent.generate.decoder import Decoder
    from descent.hub import load

    batch, total = int(data["batch"]), 16 + int(data["new"])
    each = -(-total // Decoder.block_tokens)
    tokens = batch * each * Decoder.block_tokens
    decoder = Decoder.of(load(f"{data['folder']}/gpt2"), width=width, cache_tokens=tokens)
    tables = np.arange(batch * each, dtype=np.int32).reshape(batch, each)
    rows = np.arange(batch, dtype=np.int32)

    def generate(given: Array, new: int) -> Array:
        positions = np.tile(np.arange(16, dtype=np.int32), batch)
        sequence, last = np.repeat(rows, 16), np.arange(15, 16 * batch, 16, dtype=np.int32)
        logits = decoder.step(given.reshape(-1), positions, sequence, tables, last)
        ids = np.empty((batch, new), np.int32)
        for i in range(new):
            ids[:, i] = logits.argmax(-1)
            if i + 1 < new:
                where = np.full(batch, 16 + i, np.int32)
                logits = decoder.step(ids[:, i], where, rows, tables, rows)
        return ids

    return generation(data, generate)


def transformers(data: Data, width: str) -> Run:
    import torch
    from transformers import GPT2LMHeadModel

    torch.set_num_threads(2)
    dtype = {"float32": torch.float32, "bf16": torch.bfloat16}[width]
    model = GPT2LMHeadModel.from_pretrained(f"{data['folder']}/gpt2", dtype=dtype).eval()

    def generate(given: Array, new: int) -> Array:
        ids = torch.from_numpy(given)
        with torch.inference_mode():
            out = model.generate(
                ids, attention_mask=torch.ones_like(ids), max_new_tokens=new, min_new_tokens=new,
                do_sample=False, pad_token_id=50256,
            )  # fmt: skip
        return out[:, 16:].numpy()

    return generation(data, generate)


def onnxruntime(data: Data, width: str) -> Run:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = 2, 1
    name = {"float32": "f32"}.get(width, width)
    session = ort.InferenceSession(f"{data['folder']}/gpt2-{name}.onnx", options)

    def generate(given: Array, new: int) -> Array:
        batch = len(given)
        past = {f"past_{c}{i}": np.zeros((batch, 12, 0, 64), np.float32)
                for i in range(12) for c in "kv"}  # fmt: skip
        names = [f"{n}{i}" for i in range(12) for n in ("key", "value")]
        written, ids, start = np.empty((batch, new), np.int64), given.astype(np.int64), 0
        for i in range(new):
            t = ids.shape[1]
            mask = np.triu(np.full((t, start + t), -1e9, np.float32), start + 1)
            where = np.broadcast_to(np.arange(start, start + t), (batch, t))
            logits, *cache = session.run(
                ["logits", *names],
                {"ids": ids, "positions": np.ascontiguousarray(where), "mask": mask, **past},
            )
            past = dict(zip(past, cache))
            written[:, i] = logits.reshape(batch, -1).argmax(-1)
            ids, start = written[:, i : i + 1].copy(), start + t
        return written

    return generation(data, generate)


def ctranslate2(data: Data, width: str) -> Run:
    import ctranslate2 as ct2

    folder = f"{data['folder']}/gpt2-ct2-{width}"
    model = ct2.Generator(folder, device="cpu", compute_type=width, intra_threads=2)

    def generate(given: Array, new: int) -> Array:
        words = [[f"t{i}" if i < 50256 else "<|endoftext|>" for i in row] for row in given]
        found = model.generate_batch(
            words, max_length=new, min_length=new, beam_size=1, sampling_topk=1,
            include_prompt_in_result=False, max_batch_size=len(words),
        )  # fmt: skip
        return np.array([r.sequences_ids[0] for r in found])

    return generation(data, generate)


@functools.cache
def _silence(lc: Any) -> Any:
    """A callback that says nothing, kept alive."""
    return lc.llama_log_callback(lambda *_: None)


def llama_cpp(data: Data, width: str) -> Run:
    import llama_cpp as lc

    batch, new = int(data["batch"]), int(data["new"])
    kind = {"float32": "f32", "int8": "q8_0", "int4": "q4_0"}[width]
    lc.llama_log_set(_silence(lc), None)
    lc.llama_backend_init()
    path = f"{data['folder']}/gpt2-{kind}.gguf"
    model = lc.llama_model_load_from_file(path.encode(), lc.llama_model_default_params())
    given = lc.llama_context_default_params()
    given.n_ctx, given.n_seq_max = batch * (16 + new + 16), batch
    given.n_batch = given.n_ubatch = max(512, 16 * batch)
    given.n_threads = given.n_threads_batch = 2
    context = lc.llama_init_from_model(model, given)
    room = lc.llama_batch_init(16 * batch, 0, 1)

    def fill(ids: Array, start: int) -> None:
        """ids [B, T] at positions from `start`; the last of each sequence wants logits."""
        b, t = ids.shape
        room.n_tokens = b * t
        for s in range(b):
            for j in range(t):
                at = s * t + j
                room.token[at], room.pos[at] = int(ids[s, j]), start + j
                room.n_seq_id[at], room.seq_id[at][0] = 1, s
                room.logits[at] = j == t - 1

    def generate(given: Array, new: int) -> Array:
        lc.llama_memory_clear(lc.llama_get_memory(context), True)
        written, ids, start = np.empty((batch, new), np.int64), given, 0
        for i in range(new):
            fill(ids, start)
            if lc.llama_decode(context, room) != 0:
                raise RuntimeError("llama_decode failed")
            t = ids.shape[1]
            for s in range(batch):
                logits = lc.llama_get_logits_ith(context, s * t + t - 1)
                written[s, i] = np.ctypeslib.as_array(logits, (50257,)).argmax()
            ids, start = written[:, i : i + 1], start + t
        return written

    return generation(data, generate)


SIDES = (descent, transformers, onnxruntime, ctranslate2, llama_cpp)


def _named(engine: Callable[[Data, str], Run], width: str) -> Callable[[Data], Run]:
    return lambda data: engine(data, width)


for _engine in SIDES:  # what the harness asks for by name: descent_int8, llama_cpp_int4, …
    for _width in ("float32", "bf16", "int8", "int4"):
        globals()[f"{_engine.__name__}_{_width}"] = _named(_engine, _width)
