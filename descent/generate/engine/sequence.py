"""One sequence in the cache: its ids, how many of them are computed, and the blocks that hold them.

    ids        [ a b c d | e f g h | i ]        block_tokens = 4
    table      [ block 7 | block 2 | block 5 ]
    computed   8                                ids[8:] are fed next

Left out: which ids come next (`tasks.py`), which sequence goes first (`scheduler.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from descent.generate.engine.pool import BlockPool, chain_key

__all__ = ["SequenceState"]


class SequenceState:
    """Ids and blocks of one sequence. The pool counts the blocks; nothing here computes."""

    def __init__(self, ids: Sequence[int], block_tokens: int) -> None:
        self.ids = list(ids)
        self.computed = 0
        self.table: list[int] = []
        self.block_tokens = block_tokens
        self._keys: list[bytes] = []  # of the full blocks of `ids`, as far as asked for
        self._registered = 0

    @property
    def uncomputed(self) -> int:
        """Ids whose keys and values are not in the cache."""
        return len(self.ids) - self.computed

    def blocks_for(self, n_tokens: int) -> int:
        """Blocks that hold n tokens."""
        return -(-n_tokens // self.block_tokens)

    def find_prefix(self, pool: BlockPool) -> int:
        """Take up known blocks of the beginning; the number of tokens that saves.

        The last id is always left to compute: its logits are what is wanted.
        """
        known = pool.find(self._keys_of((len(self.ids) - 1) // self.block_tokens))
        self.table = known
        self.computed = self._registered_tokens(len(known))
        return self.computed

    def _registered_tokens(self, n_blocks: int) -> int:
        self._registered = n_blocks
        return n_blocks * self.block_tokens

    def _keys_of(self, n_blocks: int) -> list[bytes]:
        size = self.block_tokens
        while len(self._keys) < n_blocks:
            at = len(self._keys)
            before = self._keys[-1] if at else b""
            self._keys.append(chain_key(before, self.ids[at * size : (at + 1) * size]))
        return self._keys[:n_blocks]

    def missing(self, pool: BlockPool, n_tokens: int) -> int:
        """How many blocks must be taken before tokens up to `n_tokens` can be written."""
        more = max(self.blocks_for(n_tokens) - len(self.table), 0)
        return more + self._writes_shared(pool)

    def _writes_shared(self, pool: BlockPool) -> bool:
        """Whether the next token goes into a block that another sequence reads too."""
        at = self.computed // self.block_tokens
        return at < len(self.table) and pool.refs[self.table[at]] > 1

    def make_room(
        self, pool: BlockPool, n_tokens: int, copy_block: Callable[[int, int], None]
    ) -> None:
        """Take the `missing` blocks; a shared one that is written is copied first."""
        if self._writes_shared(pool):
            at = self.computed // self.block_tokens
            shared, own = self.table[at], _taken(pool)
            copy_block(shared, own)
            self.table[at] = own
            pool.release([shared])
        while len(self.table) < self.blocks_for(n_tokens):
            self.table.append(_taken(pool))

    def register(self, pool: BlockPool) -> None:
        """Let later prompts find the blocks that have become full."""
        full = self.computed // self.block_tokens
        if full > self._registered:
            keys = self._keys_of(full)
            for at in range(self._registered, full):
                pool.register(self.table[at], keys[at])
            self._registered = full

    def fork(self, pool: BlockPool) -> SequenceState:
        """A second sequence with the same ids, sharing every block of what is computed."""
        twin = SequenceState(self.ids, self.block_tokens)
        twin.computed, twin._keys = self.computed, list(self._keys)
        twin._registered = self._registered
        twin.table = self.table[: self.blocks_for(self.computed)]
        for block in twin.table:
            pool.share(block)
        return twin

    def drop(self, pool: BlockPool) -> None:
        """Let go of the cache; everything is computed again when the sequence goes on."""
        pool.release(self.table)
        self.table = []
        self.computed = self._registered = 0

    def forget_oldest(self, pool: BlockPool, keep: int) -> None:
        """Go on with the last `keep` ids alone, as a text that begins there."""
        self.drop(pool)
        self.ids = self.ids[-keep:]
        self._keys = []


def _taken(pool: BlockPool) -> int:
    block = pool.take()
    if block is None:
        raise AssertionError("the scheduler promised a block that is not there")
    return block
