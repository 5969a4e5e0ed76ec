"""Cache blocks: who holds them, which of them begin a text that is known, which go first.

    key of block i = hash(key of block i − 1, its tokens);   a text's known beginning is a key chain

A block holds the keys and values of `block_tokens` tokens. It is *held* (by one or more sequences),
*kept* (by none, but its content is known: a later prompt with the same beginning takes it up) or
*free*. When no block is free, the kept one unused the longest goes. The idea of pages and of shared
beginnings: Kwon et al. 2023, arXiv:2309.06180. Left out: blocks on disk.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

__all__ = ["BlockPool", "chain_key"]


def chain_key(before: bytes, tokens: Sequence[int]) -> bytes:
    """The key of a full block: of all tokens up to its end, not of its own alone."""
    from hashlib import blake2b

    return blake2b(before + np.asarray(tokens, np.int64).tobytes(), digest_size=16).digest()


class BlockPool:
    """Numbers 0 … n_blocks − 1, counted by reference."""

    def __init__(self, n_blocks: int) -> None:
        if n_blocks < 1:
            raise ValueError(f"a cache needs at least one block, not {n_blocks}")
        self.n_blocks = n_blocks
        self.refs = [0] * n_blocks
        self._free = list(range(n_blocks - 1, -1, -1))  # the lowest number is taken first
        self._key_of: dict[int, bytes] = {}
        self._by_key: dict[bytes, int] = {}
        self._kept: dict[int, None] = {}  # in the order in which they were let go

    @property
    def n_held(self) -> int:
        """Blocks that some sequence needs now."""
        return self.n_blocks - self.n_available

    @property
    def n_available(self) -> int:
        """Blocks that can be taken: free ones and kept ones."""
        return len(self._free) + len(self._kept)

    def take(self) -> int | None:
        """A block of one's own, of unknown content; None when every block is held."""
        if self._free:
            block = self._free.pop()
        elif self._kept:
            block = next(iter(self._kept))
            del self._kept[block]
            del self._by_key[self._key_of.pop(block)]
        else:
            return None
        self.refs[block] = 1
        return block

    def share(self, block: int) -> None:
        """One more sequence holds `block`."""
        self._kept.pop(block, None)
        self.refs[block] += 1

    def release(self, blocks: Iterable[int]) -> None:
        """A sequence lets go of its table; its last block is the first to be taken again."""
        for block in reversed(list(blocks)):
            self.refs[block] -= 1
            if self.refs[block] > 0:
                continue
            if self.refs[block] < 0:
                raise AssertionError(f"block {block} was released more often than it was taken")
            if block in self._key_of:
                self._kept[block] = None
            else:
                self._free.append(block)

    def register(self, block: int, key: bytes) -> None:
        """`block` is full and will not be written again; `key` is its chain key."""
        if key not in self._by_key and block not in self._key_of:
            self._by_key[key] = block
            self._key_of[block] = key

    def find(self, keys: Iterable[bytes]) -> list[int]:
        """The blocks that hold the longest known beginning of a chain, now shared by the caller."""
        found = []
        for key in keys:
            block = self._by_key.get(key)
            if block is None:
                break
            self.share(block)
            found.append(block)
        return found

    def forget(self) -> None:
        """Drop what is kept (the weights have changed); what is held stays, but nobody finds it."""
        self._free += self._kept
        self._kept.clear()
        self._key_of.clear()
        self._by_key.clear()
