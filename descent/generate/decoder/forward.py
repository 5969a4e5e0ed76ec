"""The forward pass of a decoder-only transformer, as the list of works that every step runs.

    x ← x + Attention(Norm(x));   x ← x + MLP(Norm(x))            every layer
    logits = Norm(x) · headᵀ                                      of the wanted rows

Read `write_down` from top to bottom: it is the GPT and the Llama family (`parts.py` says what
differs). Rows are tokens, of any sequences and any positions; keys and values go to the blocks of
the rows' sequences (`descent.ops.paged`). The embedding, a lookup, is done before (`stepping.py`).
"""

from __future__ import annotations

import math

import numpy as np

from descent.generate.decoder.matrices import Inputs, Matrix, block_of, packed
from descent.generate.decoder.parts import Parts, Source
from descent.kernel.phases import Phases, Units
from descent.ops.decoding import ACTIVATIONS, GATES, ROWS, WANTED, layer_norm, rms_norm
from descent.ops.paged import BLOCK, attend, attend_halves, place, place_halves
from descent.ops.paged import up as up_to_16

__all__ = ["Buffers", "Weights", "write_down"]

Array = np.ndarray
EACH_ROW, EACH_WANTED = Units(0, 1, ROWS), Units(0, 1, WANTED)


class Weights:
    """All matrices of a model, packed at one width."""

    def __init__(self, parts: Parts, source: Source, width: str) -> None:
        in_blocks = source.in_blocks(f"{parts.layers[0].down}.weight")
        unit = block_of(width, parts.hidden, in_blocks)
        # Hidden numbers are made, activated and narrowed a unit at a time, by one thread.
        self.hidden_units = parts.hidden // unit if parts.hidden % unit == 0 else 1
        each = parts.hidden // self.hidden_units if parts.gated else 0
        # The head first: its source may be the largest of all, and is gone before the rest comes.
        name = next(n for n in parts.head if f"{n}.weight" in source)
        self.head: Matrix = packed(source, [name], width)
        self.layers = [
            (
                packed(source, layer.qkv, width),
                packed(source, [layer.o], width),
                packed(source, layer.up, width, interleaved=each),
                packed(source, [layer.down], width),
            )
            for layer in parts.layers
        ]

    @property
    def nbytes(self) -> int:
        return self.head.nbytes + sum(m.nbytes for layer in self.layers for m in layer)


class Buffers:
    """Everything between the tokens and the logits, for up to `rows` rows."""

    def __init__(self, parts: Parts, rows: int, blocks: int, halves: bool, threads: int) -> None:
        p = parts
        self.tall, self.wide = -(-p.d // 4) * 4, up_to_16(p.d)
        self.head = BLOCK * (self.tall + self.wide)
        self.layer = p.kv_heads * self.head
        self.block = len(p.layers) * self.layer
        dtype = np.uint16 if halves else np.float32
        self.cache = np.zeros((blocks, self.block), dtype)
        self.positions, self.sequence = np.zeros(rows, np.int32), np.zeros(rows, np.int32)
        self.tables = np.zeros(1, np.int32)
        self.all_rows, self.wanted = np.arange(rows, dtype=np.int32), np.zeros(rows, np.int32)

        def numbers(n: int) -> Array:
            return np.zeros((rows, n), np.float32)

        self.x, self.h = numbers(p.width), numbers(p.width)
        heads = p.heads + 2 * p.kv_heads
        self.qkv = np.zeros(rows * heads * p.d + BLOCK, np.float32)  # q is read in whole fours
        self.y, self.up = numbers(p.heads * p.d), numbers(p.hidden * (2 if p.gated else 1))
        self.act, self.last = numbers(p.hidden), numbers(p.width)
        self.cos, self.sin = p.angles(min(p.context, blocks * BLOCK))
        # What one thread needs: scores of a whole sequence, and heads of y, for four rows.
        self.room = up_to_16(min(p.context, blocks * BLOCK)) + BLOCK
        self.rooms = np.zeros((threads, 4 * self.room + 5 * self.wide), np.float32)
        self.logits = np.zeros((0, p.vocab_size), np.float32)


def write_down(
    parts: Parts, source: Source, weights: Weights, b: Buffers, phases: Phases
) -> tuple[list[int], int]:
    """All works of a step, in order; the numbers of those that read tables, and of the head."""
    p, halves, readers, inputs = parts, b.cache.dtype == np.uint16, [], Inputs()

    def norm(name: str, x: Array, rows: Array, y: Array, units: Units, reader: Matrix) -> None:
        weight = source.vector(f"{name}.weight", p.width)
        bias = source.vector(f"{name}.bias", p.width)
        given = [np.array([p.width]), x, y, weight, bias, np.array([p.norm_eps], np.float32), rows]
        phases.add(layer_norm if p.norm == "layer" else rms_norm, units, given)
        reader.take(phases, inputs, y, units)

    def attention(i: int, reader: Matrix) -> None:
        shape = [p.heads, p.kv_heads, p.d, b.wide, b.tall, b.block, i * b.layer, p.window, b.room]
        where = [np.array(shape, np.int64), b.positions, b.sequence, b.tables, b.qkv, b.cache]
        work = place_halves if halves else place
        readers.append(phases.add(work, EACH_ROW, [*where, b.cos, b.sin]))
        scale = np.array([1 / math.sqrt(p.d)], np.float32)
        work, each_head = attend_halves if halves else attend, Units(0, p.kv_heads, ROWS)
        readers.append(phases.add(work, each_head, [*where, b.y, b.rooms, scale]))
        if p.heads * p.d // p.kv_heads % reader.block == 0:
            reader.take(phases, inputs, b.y, each_head, p.kv_heads)
        else:
            phases.pause()
            reader.take(phases, inputs, b.y, EACH_ROW)

    def mlp(up: Matrix, down: Matrix) -> None:
        n = weights.hidden_units
        units = Units(n, common=n)
        up.multiply(phases, inputs, b.h, b.up, ROWS, common=n if n > 1 else 0)
        if n == 1:
            phases.pause()
        work = (GATES if p.gated else ACTIVATIONS)[p.activation]
        phases.then(work, units, [np.array([p.hidden // n, p.hidden]), b.up, b.act])
        down.take(phases, inputs, b.act, units, n, columns=True)
        down.multiply(phases, inputs, b.act, b.x, ROWS, add=True)

    for i, (layer, (qkv, o, up, down)) in enumerate(zip(p.layers, weights.layers)):
        norm(layer.attn_norm, b.x, b.all_rows, b.h, EACH_ROW, qkv)
        qkv.multiply(phases, inputs, b.h, b.qkv, ROWS)
        attention(i, o)
        o.multiply(phases, inputs, b.y, b.x, ROWS, add=True)
        norm(layer.mlp_norm, b.x, b.all_rows, b.h, EACH_ROW, up)
        mlp(up, down)
    norm(p.last_norm, b.x, b.wanted, b.last, EACH_WANTED, weights.head)
    return readers, weights.head.multiply(phases, inputs, b.last, b.logits, WANTED)
