import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from descent.generate.engine.pool import BlockPool, chain_key


def test_kept_blocks_are_found_and_the_oldest_goes_first():
    pool = BlockPool(3)
    a, b, c = (pool.take() for _ in range(3))
    assert sorted([a, b, c]) == [0, 1, 2]
    assert pool.take() is None
    ka, kb = chain_key(b"", [1, 2]), chain_key(chain_key(b"", [1, 2]), [3, 4])
    pool.register(a, ka)
    pool.register(b, kb)
    pool.release([a, b, c])
    assert pool.n_held == 0
    assert pool.find([ka, kb, b"other"]) == [a, b]
    pool.release([a, b])
    assert pool.take() == c  # free before kept
    assert pool.take() == b  # the end of a text before its beginning
    assert pool.find([ka, kb]) == [a]


def test_keys_depend_on_everything_before():
    assert chain_key(chain_key(b"", [1]), [2]) != chain_key(chain_key(b"", [3]), [2])
    assert chain_key(b"", [1, 2]) == chain_key(b"", (1, 2))


def test_releasing_too_often_is_a_defect_that_shows():
    pool = BlockPool(1)
    block = pool.take()
    pool.release([block])
    with pytest.raises(AssertionError, match="more often"):
        pool.release([block])


class Pool(RuleBasedStateMachine):
    """Against a plain model: lists of held tables."""

    def __init__(self):
        super().__init__()
        self.pool, self.tables, self.known = BlockPool(5), [], {}

    @rule(key=st.sampled_from([b"a", b"b", b"c", None]))
    def take(self, key):
        block = self.pool.take()
        held = {b for table in self.tables for b in table}
        assert (block is None) == (len(held) == 5)
        if block is not None:
            assert block not in held
            self.known = {k: b for k, b in self.known.items() if b != block}
            if key is not None:
                self.pool.register(block, key)
                self.known.setdefault(key, block)
            self.tables.append([block])

    @precondition(lambda self: self.tables)
    @rule(data=st.data())
    def let_go(self, data):
        self.pool.release(self.tables.pop(data.draw(st.integers(0, len(self.tables) - 1))))

    @rule(keys=st.lists(st.sampled_from([b"a", b"b", b"c"]), unique=True))
    def find(self, keys):
        found = self.pool.find(keys)
        for key, block in zip(keys, found):
            assert self.known[key] == block
        if len(found) < len(keys):
            assert keys[len(found)] not in self.known
        self.tables.append(found)

    @invariant()
    def counts_agree(self):
        held = [b for table in self.tables for b in table]
        assert self.pool.refs == [held.count(b) for b in range(5)]
        assert self.pool.n_held == len(set(held))


Pool.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestPool = Pool.TestCase
