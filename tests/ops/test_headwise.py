"""Attention in squares: every size and limit gives what the definition gives, in float64."""

import numpy as np
import pytest

from descent.ops import attending, headwise

rng = np.random.default_rng(3)


def defined(q, k, v, limit, dy, scale):
    """y, lse, dq, dk and dv by whole arrays of float64."""
    q, k, v, dy = (a.astype(np.float64) for a in (q, k, v, dy))
    s = np.where(np.arange(k.shape[1]) < limit[:, None], scale * (q @ k.swapaxes(1, 2)), -np.inf)
    m = s.max(2, keepdims=True)
    p = np.exp(s - m)
    lse = m + np.log(p.sum(2, keepdims=True))
    p = np.exp(s - lse)
    y, dp = p @ v, dy @ v.swapaxes(1, 2)
    g = scale * p * (dp - (dy * y).sum(2, keepdims=True))
    return y, lse[:, :, 0], g @ k, g.swapaxes(1, 2) @ q, p.swapaxes(1, 2) @ dy


def given(b, t, s, d, e):
    return [
        rng.standard_normal(x).astype(np.float32)
        for x in ((b, t, d), (b, s, d), (b, s, e), (b, t, e))
    ]


def on(rung, q, k, v, limit, dy, scale):
    """The same by a rung of the op."""
    y, lse = attending.attention.ladder.run_rung(rung, (q, k, v, limit), (scale,), list)
    back = (q, k, v, limit, y, lse, dy)
    return y, lse, *attending.attention_grad.run_rung(rung, back, (scale,), list)


def check(rung, q, k, v, limit, dy, scale=0.4):
    wanted = defined(q, k, v, limit, dy, scale)
    for name, got, right in zip(
        ("y", "lse", "dq", "dk", "dv"), on(rung, q, k, v, limit, dy, scale), wanted
    ):
        np.testing.assert_allclose(got, right, rtol=1e-4, atol=3e-5, err_msg=name)


@pytest.mark.parametrize(
    ("t", "s", "d", "e"),
    [
        (16, 16, 16, 16),  # one square
        (64, 64, 32, 16),
        (1, 1, 1, 1),
        (7, 30, 5, 20),  # nothing is a multiple of 16
        (70, 300, 16, 16),  # several stretches of keys and bands of queries
        (130, 65, 20, 33),
    ],
)
@pytest.mark.parametrize("limit", ["all", "causal", "any"])
def test_equals_the_definition(t, s, d, e, limit):
    q, k, v, dy = given(3, t, s, d, e)
    seen = {
        "all": np.full(t, s),
        "causal": np.minimum(np.arange(t) + 1, s),
        "any": rng.integers(1, s + 1, t),
    }
    check("tuned", q, k, v, seen[limit], dy)


def test_few_entries_are_shared_by_bands_of_queries(monkeypatch):
    monkeypatch.setattr(attending, "worth_sharing", lambda operations: True)
    monkeypatch.setattr(attending, "n_threads", lambda: 2)
    assert len(attending.bands(1, 300, 300, 16)) > 2
    for b in (1, 3, 9):
        q, k, v, dy = given(b, 200, 200, 16, 16)
        check("tuned", q, k, v, np.arange(200) + 1, dy)


def test_whole_arrays_in_pieces(monkeypatch):
    monkeypatch.setattr(attending, "HELD", 500)
    for b, t, s in ((5, 12, 12), (2, 90, 40)):
        q, k, v, dy = given(b, t, s, 6, 4)
        check("numpy", q, k, v, rng.integers(1, s + 1, t), dy)


def test_what_a_query_does_not_see_may_be_anything():
    q, k, v, dy = given(2, 40, 40, 16, 16)
    limit = np.minimum(np.arange(40) + 1, 20)
    before = on("tuned", q, k, v, limit, dy, 0.3)
    k[:, 20:], q[:, 3] = np.nan, 1e4  # a score of 1e4 and more: no overflow
    after = on("tuned", q, k, v, limit, dy, 0.3)
    np.testing.assert_array_equal(np.delete(before[0], 3, 1), np.delete(after[0], 3, 1))
    assert np.isfinite(after[0]).all()
    assert np.isfinite(after[1]).all()


def test_as_written_it_is_the_same():
    q, k, v, dy = given(1, 17, 17, 16, 3)
    limit = np.arange(17) + 1
    wanted = defined(q, k, v, limit, dy, 0.5)
    y, lse = np.empty((1, 17, 3), np.float32), np.empty((1, 17), np.float32)
    flat = attending.flat
    size, scale = (17, 17, 16, 3), np.float32(0.5)
    headwise.attend.py(0, 1, *flat(q, k, v), limit, *flat(y, lse), *size, scale)
    np.testing.assert_allclose(y, wanted[0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(lse, wanted[1], rtol=1e-5)
