"""Products with packed matrices: every width, any rows; shared, alone, as written."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from descent.ops import amx_trial, packed
from descent.ops.packed import Packed

WIDTHS = ("float32", "bf16", "int8")
SHAPES = [(1, 1, 1), (3, 0, 5), (2, 3, 33), (14, 16, 32), (33, 65, 40), (130, 30, 7), (5, 2100, 20)]  # fmt: skip


def whole(m, k, n, seed=0):
    """Whole numbers that all widths hold exactly (int8: ±127 in each row and column)."""
    rng = np.random.default_rng(seed)
    a, b = (rng.integers(-127, 128, s).astype(np.float32) for s in ((m, k), (k, n)))
    if k:
        a[:, 0], b[0] = 127, -127
    return a, b, rng.integers(-9, 9, n).astype(np.float32)


def check(width, m, k, n):
    a, b, bias = whole(m, k, n, m * 1009 + k * 31 + n)
    times_b, exact = Packed(b, width), a.astype(np.int64) @ b.astype(np.int64)
    # Sums of bf16 round once they pass 2²⁴, as float32 sums do.
    room = 2.0**-23 * (np.abs(a).astype(float) @ np.abs(b)) if k * 127**2 > 2**24 else 0
    room = 2.0**-24 * np.abs(exact) if width == "int8" else room  # whole sums, rounded once
    assert (np.abs(times_b(a) - exact) <= room).all()
    assert (np.abs(times_b(a, bias) - (exact + bias)) <= 2 * room).all()


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("shape", [*SHAPES, (300, 100, 70), (256, 384, 96)], ids=str)
def test_shapes(width, shape):
    check(width, *shape)


@pytest.mark.parametrize("width", WIDTHS)
@settings(max_examples=40, deadline=None)
@given(m=st.integers(1, 45), k=st.integers(0, 70), n=st.integers(1, 80))
def test_any_shape(width, m, k, n):
    check(width, m, k, n)


@pytest.mark.parametrize("width", WIDTHS)
def test_as_written(width, monkeypatch):
    monkeypatch.setenv("DESCENT_COMPILE", "0")
    for shape in ((1, 1, 1), (8, 16, 16), (5, 18, 35)):
        check(width, *shape)


@pytest.mark.parametrize("width", WIDTHS)
def test_layouts_and_where_the_result_goes(width):
    a, b, bias = whole(40, 50, 60)
    expected = Packed(b, width)(a, bias)
    turned = Packed(np.asfortranarray(b), width)
    np.testing.assert_array_equal(turned(np.asfortranarray(a), bias), expected)
    np.testing.assert_array_equal(Packed(np.repeat(b, 2, 1)[:, ::2], width)(a, bias), expected)
    y = np.empty((40, 60), np.float32)
    assert turned(a, bias, y) is y
    np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize("width", WIDTHS)
def test_many_threads_at_once(width):
    """Each gets its own result, whatever others multiply meanwhile."""
    cases = [whole(m, 130, 200, m) for m in (3, 40, 129, 200)]
    products = [Packed(b, width) for _, b, _ in cases]
    expected = [product(a) for product, (a, _, _) in zip(products, cases)]
    wrong = []

    def again(i):
        for _ in range(30):
            if not np.array_equal(products[i](cases[i][0]), expected[i]):
                wrong.append(i)

    threads = [threading.Thread(target=again, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_bits_do_not_depend_on_the_number_of_threads():
    code = (
        "import numpy as np, hashlib; from descent.ops.packed import Packed\n"
        "rng = np.random.default_rng(1)\n"
        "a, b = (rng.standard_normal(s, np.float32) for s in ((200, 300), (300, 500)))\n"
        "for w in ('float32', 'bf16', 'int8'):\n"
        "    print(hashlib.sha256(Packed(b, w)(a).tobytes()).hexdigest())"
    )
    found = [
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "DESCENT_THREADS": threads},
            capture_output=True, text=True, check=True, timeout=120,
        ).stdout
        for threads in ("1", "2", "3")
    ]  # fmt: skip
    assert found[0].count("\n") == 3
    assert found[0] == found[1] == found[2]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_process_has_threads_of_its_own():
    a, b, _ = whole(64, 256, 256)
    expected = Packed(b, "bf16")(a)
    child = os.fork()
    if child == 0:
        os._exit(0 if np.array_equal(Packed(b, "bf16")(a), expected) else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_what_does_not_fit_is_refused():
    a, b, bias = whole(2, 3, 4)
    with pytest.raises(ValueError, match=r'"float32", "bf16" and "int8"'):
        Packed(b, "int3")
    with pytest.raises(ValueError, match=r"float32 matrix \[k, n\].*float64 \(3, 4\)"):
        Packed(b.astype(float), "bf16")
    product = Packed(b, "bf16")
    with pytest.raises(ValueError, match=r"float32 \[m, 3\] is needed, not float32 \(3, 4\)"):
        product(b)
    with pytest.raises(ValueError, match=r"bias is float32 \[4\], not float32 \(3,\)"):
        product(a, bias[:3])
    with pytest.raises(ValueError, match=r"out is float32 \[2, 4\]"):
        product(a, None, np.empty((4, 2), np.float32).T)
    square = np.ones((3, 3), np.float32)
    with pytest.raises(ValueError, match="memory of its own"):
        Packed(square, "float32")(square, None, square)


@pytest.mark.parametrize("width", ["bf16", "int8"])
def test_with_tiles_of_the_processor_as_written(width, monkeypatch):
    """Where there is AMX other works do it; nobody here has one, so as its loops are written."""
    monkeypatch.setenv("DESCENT_COMPILE", "0")
    monkeypatch.setattr(amx_trial, "usable", lambda: True)
    packed._crew.cache_clear()
    assert packed._width(width).multiply in (packed.pairs_on_amx, packed.bytes_on_amx)
    try:
        for shape in ((1, 1, 1), (5, 18, 35), (130, 9, 40)):
            check(width, *shape)
    finally:
        packed._crew.cache_clear()
