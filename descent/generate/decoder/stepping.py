"""A `Decoder`: the numbers of generation for many sequences at once, on plain arrays.

    decoder = Decoder.of(model, width="int8")
    logits = decoder.step(tokens, positions, sequence, tables, wanted)

Keys and values of all sequences lie in one cache of blocks; who owns which block is the caller's
business (the engine's). Left out: sampling, and everything that is not an array.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from descent.generate.decoder.forward import Buffers, Weights, write_down
from descent.generate.decoder.parts import Parts, Source, parts_of
from descent.generate.decoder.table import Table
from descent.kernel.phases import Phases
from descent.ops.decoding import ROWS, WANTED, WIDEST
from descent.ops.paged import BLOCK

__all__ = ["Decoder", "Width"]

Array = np.ndarray
Width = Literal["float32", "bf16", "int8", "int4"]
ROWS_AT_ONCE = 256  # a longer step is done in pieces: the buffers stay small, the caches warm
LITTLE = 2_000_000  # multiply-adds of a step below which threads would mostly wait for each other


class Decoder:
    """A decoder-only transformer over a paged cache. One thread at a time.

    Attributes:
        vocab_size: V.
        context: the most tokens a sequence may have.
        n_blocks: blocks of the cache.
        block_tokens: tokens a block holds.
        width: how the weights are kept.
    """

    block_tokens = BLOCK

    def __init__(
        self, parts: Parts, source: Source, width: Width = "float32",
        cache_tokens: int | None = None,
    ) -> None:  # fmt: skip
        if width not in ("float32", "bf16", "int8", "int4"):
            raise ValueError(f"width must be float32, bf16, int8 or int4: got {width!r}")
        self.parts, self.width = parts, width
        self.vocab_size = parts.vocab_size
        wanted = max(2 * parts.context, 4096) if cache_tokens is None else cache_tokens
        self.n_blocks = max(1, -(-wanted // BLOCK))
        self.context = min(parts.context, self.n_blocks * BLOCK)
        self._weights = Weights(parts, source, width)
        self._embed = Table(source, parts.embed)
        self._places = Table(source, parts.places) if parts.places else None
        self._phases = Phases(3)
        halves = width != "float32"
        self._b = Buffers(parts, ROWS_AT_ONCE, self.n_blocks, halves, self._phases.threads)
        self._readers, self._head = write_down(parts, source, self._weights, self._b, self._phases)
        self._phases.close()
        self._numbers = sum(m.n * m.k for layer in self._weights.layers for m in layer)

    @classmethod
    def of(
        cls, model: Any, *, width: Width = "float32", cache_tokens: int | None = None
    ) -> Decoder:
        """The decoder of a GPT or Llama model, or of a bundle of one.

        Args:
            width: how the weights are kept: "float32", "bf16", "int8" (a scale per 32 or 64
                numbers) or "int4" (a scale per 32).
            cache_tokens: tokens of all sequences together that the cache has room for.

        Raises:
            ValueError: another kind of model, or an unknown width.
        """
        source = Source(model)
        return cls(parts_of(source.kind, source.config), source, width, cache_tokens)

    @property
    def nbytes(self) -> int:
        """Bytes of the packed matrices."""
        return self._weights.nbytes

    def step(
        self, tokens: Array, positions: Array, sequence: Array, tables: Array, wanted: Array
    ) -> Array:
        """Read N tokens, and say what comes after M of them.

        Args:
            tokens, positions: int32 [N]; rows of one sequence follow each other, positions rising.
            sequence: int32 [N], the row of `tables` each token belongs to.
            tables: int32 [S, most blocks], the cache blocks of each sequence, in order.
            wanted: int32 [M], which of the N rows' logits are wanted, rising.

        Returns:
            float32 [M, V]; overwritten by the next call.

        Raises:
            IndexError: a token, position, sequence, block or wanted row that does not exist.
        """
        out = self._room_for(len(wanted))
        self._read(tokens, positions, sequence, tables, wanted, out)
        return out

    def hidden(
        self, tokens: Array, positions: Array, sequence: Array, tables: Array, wanted: Array
    ) -> Array:
        """As `step`, but the last norm's output, float32 [M, C] (a new array)."""
        out = np.empty((len(wanted), self.parts.width), np.float32)
        self._read(tokens, positions, sequence, tables, wanted, out)
        return out

    def copy_block(self, src: int, dst: int) -> None:
        """Make block `dst` hold what `src` does: all layers' keys and values."""
        self._b.cache[dst] = self._b.cache[src]

    def _room_for(self, n: int) -> Array:
        if len(self._b.logits) < n:
            self._b.logits = np.empty((n, self.vocab_size), np.float32)
        return self._b.logits[:n]

    def _read(
        self, tokens: Array, positions: Array, sequence: Array, tables: Array, wanted: Array,
        out: Array,
    ) -> None:  # fmt: skip
        tables = np.ascontiguousarray(tables, np.int32)
        self._check(tokens, positions, sequence, tables, wanted)
        self._use(tables)
        n, logits = len(tokens), out.shape[1] == self.vocab_size and out.base is self._b.logits
        done = 0
        for start in range(0, n, ROWS_AT_ONCE):
            stop = min(start + ROWS_AT_ONCE, n)
            m = int(np.searchsorted(wanted, stop)) - done
            self._b.wanted[:m] = np.asarray(wanted[done : done + m]) - start
            self._piece(tokens[start:stop], positions[start:stop], sequence[start:stop])
            part = out[done : done + m]
            # The head runs in either case: for `hidden` into rows that nobody reads.
            self._phases.replace(self._head, 4, part if logits else self._room_for(m))
            self._phases.sizes[WANTED] = m
            self._phases.run(alone=(stop - start) * self._numbers < LITTLE)
            if not logits:
                part[:] = self._b.last[:m]
            done += m

    def _use(self, tables: Array) -> None:
        """Copy the tables to where the works read them."""
        if tables.size > len(self._b.tables):
            self._b.tables = np.empty(2 * tables.size, np.int32)
            for work in self._readers:
                self._phases.replace(work, 4, self._b.tables)
        self._b.tables[: tables.size] = tables.reshape(-1)
        self._phases.sizes[WIDEST] = tables.shape[1]

    def _piece(self, tokens: Array, positions: Array, sequence: Array) -> None:
        n, b = len(tokens), self._b
        b.positions[:n], b.sequence[:n] = positions, sequence
        self._embed.rows(tokens, b.x[:n])
        if self._places is not None:
            self._places.rows(positions, b.h[:n])
            b.x[:n] += b.h[:n]
        self._phases.sizes[ROWS] = n

    def _check(
        self, tokens: Array, positions: Array, sequence: Array, tables: Array, wanted: Array
    ) -> None:
        def inside(name: str, x: Array, limit: int) -> None:
            x = np.asarray(x, np.int32)
            if x.size and x.view(np.uint32).max() >= limit:  # below 0 is beyond 2³¹
                raise IndexError(f"{name} must be from 0 to {limit - 1}: got {x}")

        if not len(tokens) == len(positions) == len(sequence):
            raise ValueError(
                "tokens, positions and sequence must be equally many: got "
                f"{len(tokens)}, {len(positions)}, {len(sequence)}"
            )
        inside("tokens", tokens, self.vocab_size)
        inside("positions", positions, min(self.context, tables.shape[1] * BLOCK))
        inside("sequence", sequence, tables.shape[0])
        inside("wanted", wanted, len(tokens))
        inside("tables", tables.reshape(-1), self.n_blocks)
