"""Loops over float32 scalar functions: what the whole-array forms give, also at the edges."""

import numpy as np
import pytest

from descent.op import Elementwise
from descent.ops import vectormath
from descent.ops.blocks import LARGE
from descent.ops.lanewise import loop_of
from descent.view.ops import all_ops

FORMS = {
    name: form
    for op in all_ops().values()
    if isinstance(op, Elementwise)
    for name, form in [
        (op.name, op.arrays),
        *((f"{op.name}_grad", d.arrays) for d in op.derivatives.values()),
    ]
    if hasattr(form, "tuned")
}
POSITIVE = {"log", "log2", "log10", "log1p", "sqrt", "rsqrt"}
SPECIAL = np.float32([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-40, 90, -90, 1e12, -1e12])


def numbers(name: str, form) -> list[np.ndarray]:
    """Arrays that take the loop: many plain numbers, a few special ones in front."""
    rng = np.random.default_rng(3)
    inputs = form.tuned.py.__code__.co_argcount - 1
    arrays = [rng.normal(0, 2, LARGE + 5).astype(np.float32) for _ in range(inputs)]
    if name in POSITIVE:
        arrays = [abs(a) + np.float32(0.01) for a in arrays]
    return arrays


def test_there_are_such_forms():
    assert {"gelu", "gelu_grad", "exp", "tanh", "sin", "relu_grad", "rsqrt"} <= set(FORMS)


@pytest.mark.parametrize("name", FORMS)
def test_the_loop_gives_what_the_form_gives(name):
    form = FORMS[name]
    arrays = numbers(name, form)
    expected = form.__wrapped__(*[a.astype(np.float64) for a in arrays])
    got = form(*arrays)
    assert got.dtype == np.float32
    # 1 + tanh far to the left keeps few digits, here as in the whole-array form on float32.
    close = {"atol": 4e-6} if "gelu" in name else {"atol": 3e-7}
    np.testing.assert_allclose(got, expected, rtol=3e-6, **close)


@pytest.mark.parametrize("name", FORMS)
def test_special_numbers_come_out_alike(name):
    form = FORMS[name]
    arrays = numbers(name, form)
    arrays[0][: len(SPECIAL)] = SPECIAL
    for a in arrays[1:]:
        a[: len(SPECIAL)] = 1
    with np.errstate(all="ignore"):
        special = [a[: len(SPECIAL)].astype(np.float64) for a in arrays]
        expected = form.__wrapped__(*special).astype(np.float32)
        got = form(*arrays)[: len(SPECIAL)]
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-30 if "grad" not in name else 1e-6)


def test_two_loops_from_one_template_stay_two():
    x = np.linspace(0.5, 2, 40, dtype=np.float32)
    for fn, truth in ((vectormath.exp32, np.exp), (vectormath.log32, np.log)):
        y = np.empty_like(x)
        loop_of(fn)(x, y)
        np.testing.assert_allclose(y, truth(x), rtol=1e-5)
    kept = {loop_of(fn).py.__qualname__ for fn in (vectormath.exp32, vectormath.log32)}
    assert len(kept) == 2  # the disk cache goes by this name
