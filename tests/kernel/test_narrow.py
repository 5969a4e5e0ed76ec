"""Narrow numbers: the compiled forms equal those written, on values that round, overflow or are NaN."""

import numpy as np
import pytest

from descent.kernel import kernel, lanes, narrow, registers

rng = np.random.default_rng(2)
ODD = np.array(
    [0, -0.0, 1, -1, 65504, 65520, 1e9, -1e9, 6e-8, 2e-8, 1e-30, np.inf, -np.inf, np.nan, 1 / 3, 2049],
    np.float32,
)  # fmt: skip


@kernel
def through(x, y, z):
    narrow.write(y, 1, lanes.load(x, 0))
    lanes.store(z, 0, narrow.widened(y, 1))
    for i in range(16):
        narrow.put(y, 20 + i, x[i])


@pytest.mark.parametrize("dtype", [np.float32, np.uint16])
@pytest.mark.parametrize("x", [ODD, rng.standard_normal(16).astype(np.float32)])
def test_halves(dtype, x):
    found = []
    for form in (through.compiled, through.py):
        y, z = np.zeros(40, dtype), np.zeros(16, np.float32)
        form(x, y, z)
        found.append((y, z))
    (fast, fast_z), (slow, slow_z) = found
    np.testing.assert_array_equal(fast_z, slow_z)
    np.testing.assert_array_equal(fast, slow)
    with np.errstate(over="ignore"):
        right = x if dtype == np.float32 else x.astype(np.float16).astype(np.float32)
    np.testing.assert_array_equal(fast_z, right)
    np.testing.assert_array_equal(fast[1:17], fast[20:36])
    assert fast[0] == fast[17] == fast[36] == 0


@kernel
def small(x, y, words, out):
    narrow.put_bytes(y, 3, narrow.rounded(lanes.load(x, 0)))
    for i in range(8):
        words[i] = narrow.word(x[2 * i], x[2 * i + 1])
    lanes.expect(x, 0)
    out[0] = lanes.largest(lanes.load(x, 0))
    lanes.store(out, 1, lanes.load(x, 0) / lanes.load(x, 1))


def test_bytes_words_largest_quotients():
    x = (100 * rng.standard_normal(17)).astype(np.float32)
    found = []
    for form in (small.compiled, small.py):
        arrays = np.zeros(20, np.uint8), np.zeros(8, np.int32), np.zeros(17, np.float32)
        form(x, *arrays)
        found.append(arrays)
    for fast, slow in zip(*found):
        np.testing.assert_array_equal(fast, slow)
    assert found[0][2][0] == x[:16].max()
    assert np.isnan(small_largest(np.float32(np.nan)))


def small_largest(v):
    x = np.ones(17, np.float32)
    x[7] = v
    out = np.zeros(17, np.float32)
    small.compiled(x, np.zeros(20, np.uint8), np.zeros(8, np.int32), out)
    return out[0]


@kernel
def in_pairs(x, y, one_by_one):
    lanes.store(y, 1, narrow.pairs(x, 2))
    for i in range(16):
        one_by_one[i] = narrow.word(x[2 + 2 * i], x[3 + 2 * i])


def test_pairs_are_neighbours_rounded():
    x = np.concatenate([rng.standard_normal(18).astype(np.float32), ODD])
    for form in (in_pairs.compiled, in_pairs.py):
        y, single = np.full(19, 7, np.int32), np.zeros(16, np.int32)
        form(x, y, single)
        np.testing.assert_array_equal(y[1:17], single)
        assert (y[0], y[17]) == (7, 7)
        low = (y[1:17] << 16).view(np.float32)
        np.testing.assert_allclose(low, x[2:34:2], rtol=2.0**-8)


@kernel
def blocks(a, b, starts, s, t, y, sums):
    of = registers.shape(3, 2)
    block = registers.fill(of, starts, 1, 2)
    block = registers.outer_bytes(block, a, 2, 9, b, 1)
    block = registers.outer_nibbles(block, a, 2, 9, b, 3)
    registers.write(block, sums, 0, 32, 0, 32)
    total = registers.add_scaled(registers.zeros(of, y), block, s, 1, 2, t, 4)
    registers.write(total, y, 0, 32, 0, 32)


def test_blocks_of_bytes_and_half_bytes():
    info = np.iinfo(np.int32)
    a, b = (rng.integers(info.min, info.max, n, np.int32) for n in (40, 300))
    starts, s = rng.integers(-900, 900, 8).astype(np.int32), rng.random(8).astype(np.float32)
    t = rng.random(40).astype(np.float16).view(np.int32)
    found = []
    for form in (blocks.compiled, blocks.py):
        y, sums = np.zeros(96, np.float32), np.zeros(96, np.int32)
        form(a, b, starts, s, t, y, sums)
        found.append((y, sums))
    np.testing.assert_array_equal(found[0][1], found[1][1])
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-6)
    assert sum_of_row(a, b, starts) == found[0][1][32]


def sum_of_row(a, b, starts):
    """Row 1, column 0 of the block, number by number."""
    left = a.view(np.int8)[4 * 11 : 4 * 19].astype(int)
    whole = [b.view(np.uint8)[4 * (1 + 32 * (p // 4)) + p % 4] for p in range(32)]
    halves = [
        b.view(np.uint8)[4 * (3 + 32 * (p // 8)) + p % 4] >> 4 * (p // 4 % 2) & 15
        for p in range(32)
    ]
    return int(starts[3] + left @ np.array(whole, int) + left @ np.array(halves, int))
