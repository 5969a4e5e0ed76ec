"""llama2.c: a header of a few integers, then the weights in a fixed order.

    v0   7 × i32 (a negative vocabulary: the classifier is not shared), float32 weights with the
         rotary tables of training among them
    v1   "ak42", version, 7 × i32, shared flag, zeros to byte 256; float32 weights
    v2   as v1 with a group size after the flag; matrices in int8, one float32 scale per group

Reference: github.com/karpathy/llama2.c, `export.py`. Its rotary positions turn neighbouring numbers
(2i, 2i+1) of a head; ours turn (i, i + D/2), so rows of q and k change places on the way in and
out. The rotary base is 10000 and ε is 1e-5 in all of these. Left out: its training checkpoints
(see `pytorch`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from descent.hub.bundle import Bundle
from descent.hub.formats.errors import FormatError
from descent.hub.formats.mapped import MappedFile
from descent.hub.formats.rotation import half_split, interleaved
from descent.hub.weights import Stored, Weights, as_float32

__all__ = ["MAGIC", "llama2c_parts", "read_llama2c"]

MAGIC = 0x616B3432  # "ak42" read as a little-endian integer
_HEADER = 256
_LIMITS = {"dim": 1 << 20, "hidden": 1 << 22, "layers": 1 << 12, "heads": 1 << 12,
           "kv_heads": 1 << 12, "vocabulary": 1 << 24, "context": 1 << 24}  # fmt: skip


class Sizes(NamedTuple):
    """The seven numbers of the header."""

    dim: int
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    vocabulary: int
    context: int

    @property
    def head(self) -> int:
        return self.dim // self.heads


def read_llama2c(file: MappedFile) -> Bundle:
    """A model of any of the three versions; v2's matrices are dequantised when they are read.

    Raises:
        FormatError: sizes that cannot be, or a file of another length.
    """
    (first,) = file.unpack("<I", 0, "the header")
    if first == MAGIC:
        (version,) = file.unpack("<i", 4, "the version")
        if version not in (1, 2):
            raise file.fail(f"llama2.c version {version}; known are 0, 1 and 2", 4)
        sizes, shared, group = _headed(file, version)
        tensors = _order(sizes, version, shared)
        end, start = _HEADER, _HEADER
    else:
        version, group = 0, 0
        numbers = file.unpack("<7i", 0, "the header")
        shared = numbers[5] > 0
        sizes = _sizes(file, (*numbers[:5], abs(numbers[5]), numbers[6]), 0)
        tensors = _order(sizes, 0, shared)
        end = start = 28
    stored, end = _laid_out(file, tensors, start, group)
    if end != file.size:
        raise file.fail(
            f"a llama2.c v{version} model of {sizes} ends here, the file has {file.size} bytes", end
        )
    return _bundle(file, sizes, shared, version, stored)


def _headed(file: MappedFile, version: int) -> tuple[Sizes, bool, int]:
    sizes = _sizes(file, file.unpack("<7i", 8, "the sizes"), 8)
    shared, group = file.unpack("<Bi", 36, "the flags")
    if shared not in (0, 1):
        raise file.fail(f"the shared-classifier flag is {shared}, not 0 or 1", 36)
    if version == 2 and not 1 <= group <= 1 << 16:
        raise file.fail(f"the group size is {group}", 37)
    return sizes, bool(shared), group if version == 2 else 0


def _sizes(file: MappedFile, numbers: tuple[int, ...], offset: int) -> Sizes:
    sizes = Sizes(*numbers)
    for (name, most), n in zip(_LIMITS.items(), numbers, strict=True):
        if not 1 <= n <= most:
            raise file.fail(f"{name} is {n} (1 to {most} can be); is this a llama2.c file?", offset)
    s = sizes
    if s.dim % s.heads or s.heads % s.kv_heads or s.head % 2:
        raise file.fail(f"{s.heads} heads, {s.kv_heads} of keys, do not divide {s.dim}", offset)
    return sizes


Order = list[tuple[str, tuple[int, ...], bool]]  # name (or "" to skip), shape, quantised in v2


def _order(s: Sizes, version: int, shared: bool) -> Order:
    """Names (ours), shapes and whether a matrix, as they follow one another in the file."""
    kv = s.head * s.kv_heads
    norms = {"attn_norm": (s.dim,), "mlp_norm": (s.dim,)}
    attention = {"attn.q_proj": (s.dim, s.dim), "attn.k_proj": (kv, s.dim),
                 "attn.v_proj": (kv, s.dim), "attn.o_proj": (s.dim, s.dim)}  # fmt: skip
    mlp = {"mlp.gate_proj": (s.hidden, s.dim), "mlp.down_proj": (s.dim, s.hidden),
           "mlp.up_proj": (s.hidden, s.dim)}  # fmt: skip

    def layers(part: str, shape: tuple[int, ...]) -> Order:
        return [(f"layers.{i}.{part}.weight", shape, len(shape) > 1) for i in range(s.layers)]

    def all_of(parts: dict[str, tuple[int, ...]]) -> Order:
        return [entry for part, shape in parts.items() for entry in layers(part, shape)]

    embed: Order = [("embed.weight", (s.vocabulary, s.dim), True)]
    norm: Order = [("norm.weight", (s.dim,), False)]
    head: Order = [] if shared else [("lm_head.weight", (s.vocabulary, s.dim), True)]
    if version:
        return [*all_of(norms), *norm, *embed, *all_of(attention), *all_of(mlp), *head]
    tables: Order = [("", (s.context, s.head // 2), False)] * 2
    first, second = layers("attn_norm", (s.dim,)), layers("mlp_norm", (s.dim,))
    return [*embed, *first, *all_of(attention), *second, *all_of(mlp), *norm, *tables, *head]


def _laid_out(
    file: MappedFile, tensors: Order, end: int, group: int
) -> tuple[dict[str, Stored], int]:
    stored = {}
    for name, shape, matrix in tensors:
        count = math.prod(shape)
        if group and matrix and count % group:
            raise file.fail(f"{name}: {count} numbers are no whole groups of {group}", end)
        if name:
            stored[name] = _tensor(file, end, shape, group if matrix else 0)
        end += count + count // group * 4 if group and matrix else count * 4
        file.check(end, 0, f"what follows {name or 'the rotary tables'}")
    return stored, end


def _tensor(file: MappedFile, offset: int, shape: tuple[int, ...], group: int) -> Stored:
    if not group:
        return Stored(shape, "F32", lambda once: file.array(offset, "<f4", shape, once=once))
    count = math.prod(shape)

    def dequantised(once: bool) -> np.ndarray:
        numbers = file.array(offset, "i1", (count // group, group), once=once)
        scales = file.array(offset + count, "<f4", (count // group, 1), once=once)
        return (numbers * scales).reshape(shape)

    return Stored(shape, "F32", dequantised)


def _bundle(
    file: MappedFile, s: Sizes, shared: bool, version: int, stored: dict[str, Stored]
) -> Bundle:
    for name, heads in (("q_proj", s.heads), ("k_proj", s.kv_heads)):
        rows = half_split(heads, s.head)
        for i in range(s.layers):
            full = f"layers.{i}.attn.{name}.weight"
            stored[full] = stored[full].taken(rows)
    config = {
        "vocab_size": s.vocabulary, "block_size": s.context, "n_layer": s.layers,
        "n_head": s.heads, "n_kv_head": s.kv_heads, "n_embd": s.dim, "n_hidden": s.hidden,
        "norm_eps": 1e-5, "rope_base": 10000.0, "tie": shared,
    }  # fmt: skip
    about = {"source": str(file.path), "format": f"llama2.c v{version}", "name": file.path.stem,
             "bos_id": 1, "eos_ids": [2], "context": s.context}  # fmt: skip
    return Bundle("llama", config, Weights(stored, [file]), None, about)


def llama2c_parts(bundle: Bundle, version: int = 0, group: int = 64) -> Iterator[Any]:
    """The file's bytes, piece by piece.

    Raises:
        FormatError: a model llama2.c has no place for, saying what it has.
    """
    sizes, shared = _fitting(bundle)
    if version == 2:
        while sizes.dim % group or sizes.hidden % group:
            group //= 2
    header = np.array(sizes, "<i4")
    if version == 0:
        header[5] *= 1 if shared else -1
        yield header.tobytes()
    else:
        head = np.array([MAGIC, version], "<i4").tobytes() + header.tobytes() + bytes([shared])
        head += np.array([group], "<i4").tobytes() if version == 2 else b""
        yield head.ljust(_HEADER, b"\0")
    tables = iter(_rotary_tables(sizes))
    for name, _, matrix in _order(sizes, version, shared):
        if not name:
            yield next(tables).tobytes()
            continue
        with bundle.weights.once(name) as value:
            array = as_float32(value)
            for part, heads in (("q_proj", sizes.heads), ("k_proj", sizes.kv_heads)):
                if part in name:
                    array = array[interleaved(heads, sizes.head)]
        yield from _groups(array, group) if version == 2 and matrix else [array.tobytes()]


def _groups(array: np.ndarray, group: int) -> Iterator[bytes]:
    rows = array.reshape(-1, group)
    scales = np.abs(rows).max(1) / np.float32(127)
    with np.errstate(invalid="ignore", divide="ignore"):
        numbers = np.nan_to_num(np.rint(rows / scales[:, None]))
    yield numbers.astype(np.int8).tobytes()
    yield scales.astype("<f4").tobytes()


def _rotary_tables(s: Sizes) -> list[np.ndarray]:
    """cos and sin as training kept them; run.c skips both."""
    f = 1.0 / 10000.0 ** (np.arange(0, s.head, 2)[: s.head // 2] / s.head)
    angles = np.outer(np.arange(s.context), f)
    return [np.cos(angles).astype("<f4"), np.sin(angles).astype("<f4")]


def _fitting(bundle: Bundle) -> tuple[Sizes, bool]:
    """The header of a bundle, or why there is none."""
    c = bundle.config
    if bundle.kind != "llama":
        raise FormatError("llama2.c", f"holds models of kind llama, this is a {bundle.kind}")
    usual = {"norm_eps": 1e-5, "rope_base": 10000.0, "rope_scaling": None, "qkv_bias": False,
             "activation": "silu", "head_dim": c["n_embd"] // c["n_head"]}  # fmt: skip
    for name, value in usual.items():
        if c.get(name) not in (None, value):
            raise FormatError("llama2.c", f"has no place for {name}={c[name]!r}, only {value!r}")
    if (c.get("window") or c["block_size"]) < c["block_size"]:
        raise FormatError("llama2.c", f"has no place for a window of {c['window']} tokens")
    kv = c.get("n_kv_head") or c["n_head"]
    hidden = bundle.weights.stored["layers.0.mlp.gate_proj.weight"].shape[0]
    s = Sizes(c["n_embd"], hidden, c["n_layer"], c["n_head"], kv, c["vocab_size"], c["block_size"])
    return s, "lm_head.weight" not in bundle.weights
