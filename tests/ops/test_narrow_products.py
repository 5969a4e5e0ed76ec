"""Products of bf16 (against the same rounded numbers in float64) and of bytes (exact)."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from descent.ops import bf16, int8
from descent.ops.tiles import ADD, BIAS, PLAIN, WIDTH

GUARD = np.float32(77)
SHAPES = [(1, 1, 1), (3, 0, 5), (2, 3, 33), (14, 16, 32), (33, 65, 40), (130, 30, 7), (5, 2100, 20)]  # fmt: skip


def to_bf16(x):
    """Rounded by the definition: the nearest of the two neighbours, the even one between them."""
    down = (x.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)
    up = ((x.view(np.uint32) & np.uint32(0xFFFF0000)) + np.uint32(0x10000)).view(np.float32)
    to_down, to_up = np.abs(x.astype(float) - down), np.abs(x.astype(float) - up)
    odd = (down.view(np.uint32) >> np.uint32(16) & np.uint32(1)).astype(bool)
    return np.where((to_up < to_down) | ((to_up == to_down) & odd), up, down)


def check_bf16(m, k, n, mode, transposed):
    rng = np.random.default_rng(m * 1009 + k * 31 + n)
    a, b = (rng.standard_normal(s).astype(np.float32) for s in ((m, k), (k, n)))
    bias, before = (rng.standard_normal(s).astype(np.float32) for s in (n, (m, n)))
    panels = np.full(bf16.panels_size(k, n), -1, np.int32)
    memory, row, col = ((b.T).ravel(), 1, k) if transposed else (b.ravel(), n, 1)
    bf16.pack(memory, row, col, k, n, panels, 0, -(-n // WIDTH))
    y = np.full((m + 2, n + 3), GUARD)
    y[1:-1, 1:-2] = before
    flat = y.reshape(-1)[n + 4 :]
    left, row, col = ((a.T).ravel(), 1, m) if transposed else (a.ravel(), k, 1)
    bf16.product(left, row, col, panels, k, n, flat, n + 3, 0, m, 0, -(-n // WIDTH), mode, bias)
    a, b = to_bf16(a).astype(float), to_bf16(b).astype(float)
    extra = {PLAIN: 0.0, BIAS: bias.astype(float), ADD: before.astype(float)}[mode]
    bound = (k + 3) * 2.0**-23 * (np.abs(a) @ np.abs(b) + np.abs(extra)) + 1e-30
    assert (np.abs(y[1:-1, 1:-2] - (a @ b + extra)) <= bound).all()
    y[1:-1, 1:-2] = GUARD
    assert (y == GUARD).all()


def check_packed(m, k, n, mode, transposed):
    """Both sides packed, the right one in parts: what `product` gives, but for the order of sums."""
    rng = np.random.default_rng(m * 1009 + k * 31 + n)
    a, b = (rng.standard_normal(s).astype(np.float32) for s in ((m, k), (k, n)))
    bias, before = (rng.standard_normal(s).astype(np.float32) for s in (n, (m, n)))
    left, row, col = ((a.T).ravel(), 1, m) if transposed else (a.ravel(), k, 1)
    near = np.full(bf16.panels_size(k, m), -1, np.int32)
    bf16.pack(left, col, row, k, m, near, 0, -(-m // WIDTH))
    y, whole = before.copy(), before.copy()
    panels, count = np.full(bf16.panels_size(k, n), -1, np.int32), -(-n // WIDTH)
    bf16.pack(b.ravel(), n, 1, k, n, panels, 0, count)
    bf16.product(left, row, col, panels, k, n, whole.reshape(-1), n, 0, m, 0, count, mode, bias)
    step = max(2, k // 4 * 2)
    for p in range(0, max(k, 1), step):
        terms, how = min(step, k - p), ADD if p else mode
        bf16.pack(b.ravel()[p * n :], n, 1, terms, n, panels, 0, count)
        bf16.product_of_packed(
            near, (k + 1) // 2, p // 2, panels, terms, n, y.reshape(-1), n, m, 0, count, how, bias
        )
    bound = (k + 3) * 2.0**-22 * (np.abs(a) @ np.abs(b) + np.abs(bias) + np.abs(before)) + 1e-30
    assert (np.abs(y - whole) <= bound).all()


def check_int8(m, k, n, mode, transposed):
    """Whole numbers with ±127 in each row and column have scale 1: the product is exact."""
    rng = np.random.default_rng(m * 1009 + k * 31 + n)
    a, b = (rng.integers(-127, 128, s).astype(np.float32) for s in ((m, k), (k, n)))
    if k:
        a[:, -1], b[0] = -127, 127
    bias, before = (rng.integers(-9, 9, s).astype(np.float32) for s in (n, (m, n)))
    panels, wide = np.full(int8.panels_size(k, n), -1, np.int32), -(-n // WIDTH) * WIDTH
    scales, offsets = np.empty(wide, np.float32), np.empty(wide, np.int32)
    memory, row, col = ((b.T).ravel(), 1, k) if transposed else (b.ravel(), n, 1)
    int8.pack(memory, row, col, k, n, panels, scales, offsets, 0, -(-n // WIDTH), False)
    y = np.full((m + 2, n + 3), GUARD)
    y[1:-1, 1:-2] = before
    flat = y.reshape(-1)[n + 4 :]
    left, row, col = ((a.T).ravel(), 1, m) if transposed else (a.ravel(), k, 1)
    int8.product(
        left, row, col, panels, scales, offsets, k, n, flat, n + 3,
        0, m, 0, -(-n // WIDTH), mode, bias,
    )  # fmt: skip
    whole = (a.astype(np.int32) @ b.astype(np.int32)).astype(np.float32)
    extra = {PLAIN: np.float32(0), BIAS: bias, ADD: before}[mode]
    np.testing.assert_array_equal(y[1:-1, 1:-2], whole + extra)
    y[1:-1, 1:-2] = GUARD
    assert (y == GUARD).all()


@pytest.mark.parametrize("check", [check_bf16, check_packed, check_int8])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_shapes(shape, check):
    for mode in (PLAIN, BIAS, ADD):
        check(*shape, mode, False)


@pytest.mark.parametrize("check", [check_bf16, check_packed, check_int8])
@settings(max_examples=40, deadline=None)
@given(
    m=st.integers(1, 45), k=st.integers(0, 70), n=st.integers(1, 80),
    mode=st.sampled_from([PLAIN, BIAS, ADD]), transposed=st.booleans(),
)  # fmt: skip
def test_any_shape_and_layout(check, m, k, n, mode, transposed):
    check(m, k, n, mode, transposed)


@pytest.mark.parametrize("check", [check_bf16, check_packed, check_int8])
def test_as_written(check, monkeypatch):
    monkeypatch.setenv("DESCENT_COMPILE", "0")
    for shape in ((1, 1, 1), (5, 18, 35)):
        check(*shape, BIAS, True)


def test_int8_of_any_numbers_is_within_half_a_step():
    rng = np.random.default_rng(3)
    m, k, n = 9, 50, 40
    a, b = (rng.standard_normal(s).astype(np.float32) for s in ((m, k), (k, n)))
    panels = np.empty(int8.panels_size(k, n), np.int32)
    scales, offsets, y = (
        np.empty(64, np.float32),
        np.empty(64, np.int32),
        np.empty((m, n), np.float32),
    )
    int8.pack(b.ravel(), n, 1, k, n, panels, scales, offsets, 0, 2, False)
    int8.product(a.ravel(), k, 1, panels, scales, offsets, k, n, y.reshape(-1), n, 0, m, 0, 2, PLAIN, a.ravel())  # fmt: skip
    s, t = np.abs(a).max(1, keepdims=True) / 127, np.abs(b).max(0) / 127
    bound = s / 2 * np.abs(b).sum(0) + np.abs(a).sum(1, keepdims=True) * t / 2 + k * s * t / 4
    assert (np.abs(y - a.astype(float) @ b) <= 1.001 * bound).all()
