"""descent.random without PyTorch: numbers written down from PyTorch 2.13, state, errors, statistics."""

import hashlib
import threading
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from descent import random
from descent.random import integers
from descent.random.fma import fma, fma32, fma64


def seeded(seed):
    return random.Generator().manual_seed(seed)


def test_lecture_numbers():
    """The opening of torch.rand with seed 42, and makemore's first weights (seed 2147483647)."""
    assert [round(x, 4) for x in random.rand(4, generator=seeded(42)).tolist()] == [
        0.8823,
        0.9150,
        0.3829,
        0.9593,
    ]
    weights = random.randn((27, 27), generator=seeded(2147483647))
    assert [round(x, 4) for x in weights[0, :4].tolist()] == [1.5674, -0.2373, -0.0274, -1.1008]
    random.manual_seed(1337)
    assert random.randint(0, 1_000_000, 4).tolist() == [387415, 456957, 542492, 57000]


def test_uniforms_to_the_bit():
    got = [float(x).hex() for x in random.rand(4, generator=seeded(42))]
    assert got == [
        "0x1.c3b8cc0000000p-1",
        "0x1.d47b660000000p-1",
        "0x1.880d700000000p-2",
        "0x1.eb2a1c0000000p-1",
    ]
    got = [float(x).hex() for x in random.rand(3, np.float64, seeded(42))]
    assert got == ["0x1.dc66cbea3db30p-5", "0x1.01ae177aca870p-4", "0x1.fa3563ccea238p-4"]


def test_normals_to_the_bit():
    got = [float(x).hex() for x in random.randn(5, generator=seeded(1337))]
    assert got == [
        "-0x1.0353b60000000p+1",
        "-0x1.0862980000000p+1",
        "-0x1.3492a80000000p+0",
        "-0x1.d30f0a0000000p-1",
        "-0x1.400e8a0000000p+0",
    ]
    got = [float(x).hex() for x in random.randn(20, generator=seeded(1337))[[0, 1, 8, 15, 18, 19]]]
    assert got == [
        "0x1.7238600000000p-3",
        "-0x1.1eabd60000000p-4",
        "-0x1.858c780000000p-5",
        "0x1.4119600000000p+1",
        "0x1.81acd00000000p-3",
        "-0x1.147c0c0000000p+1",
    ]
    digest = hashlib.sha256(random.randn(100_000, generator=seeded(1337)).tobytes()).hexdigest()
    assert digest == "b9e4b5af7c25ed86dda9897f9b791ea694d86fc1f7f10790627fd04624a31be9"
    first, last = random.randn(17, np.float64, seeded(0))[[0, 16]]
    assert first == pytest.approx(float.fromhex("-0x1.27bb92e9262dcp+1"), rel=1e-15)
    assert last == pytest.approx(float.fromhex("0x1.5986ed8e63e98p-1"), rel=1e-15)


def test_integers_orders_and_choices():
    assert random.randint(0, 27, 8, generator=seeded(42)).tolist() == [6, 23, 7, 22, 9, 2, 7, 23]
    wide = random.randint(-5, 2**40, 3, generator=seeded(42)).tolist()
    assert wide == [441476371554, 395845085946, 458553876606]
    assert random.randperm(10, generator=seeded(42)).tolist() == [2, 6, 1, 8, 4, 5, 0, 9, 3, 7]
    p = np.array([0.6, 0.3, 0.1], np.float32)
    many = random.multinomial(p, 100, True, seeded(2147483647))[:20].tolist()
    assert many == [1, 1, 1, 0, 0, 2, 2, 0, 1, 1, 1, 0, 2, 1, 1, 1, 2, 0, 0, 1]
    g = seeded(2147483647)
    single = [random.multinomial(p, 1, generator=g).item() for _ in range(12)]
    assert single == [0, 0, 1, 0, 1, 0, 2, 0, 0, 0, 2, 0]


def test_bernoulli_of_a_number_and_of_an_array_draw_differently():
    number = random.bernoulli(0.5, 12, generator=seeded(7)).tolist()
    assert number == [1, 1, 0, 0, 0, 0, 1, 0, 0, 0, 1, 1]
    each = random.bernoulli(np.full(12, 0.5, np.float32), generator=seeded(7)).tolist()
    assert each == [0, 1, 0, 0, 1, 1, 1, 0, 1, 0, 0, 0]
    shared = random.bernoulli(np.array([[0.0], [1.0]], np.float32), (2, 9), bool, seeded(7))
    assert shared.tolist() == [[False] * 9, [True] * 9]
    assert random.bernoulli(0.0, 50).max() == 0
    assert random.bernoulli(1.0, 50).min() == 1


def test_exponential():
    got = [float(x).hex() for x in random.exponential(3, generator=seeded(7))]
    assert got == ["0x1.4f81e40000000p-2", "0x1.4775520000000p-2", "0x1.fb2e500000000p+0"]


def test_state_is_torchs_bytes_and_round_trips():
    g = seeded(1337)
    random.randn(5, generator=g)  # a normal is left waiting
    state = g.get_state()
    assert (state.dtype, state.shape) == (np.uint8, (5056,))
    digest = hashlib.sha256(state.tobytes()).hexdigest()
    assert digest == "f7b4286e55d7a4075384068d28f7f7bb619fc196f4218c633d7413e5eeeb42c3"
    expected = random.randn(7, generator=g), random.rand(700, generator=g)
    again = random.Generator().set_state(state)
    np.testing.assert_array_equal(random.randn(7, generator=again), expected[0])
    np.testing.assert_array_equal(random.rand(700, generator=again), expected[1])


def test_wrong_state_is_refused_and_changes_nothing():
    g = seeded(3)
    before = g.get_state()
    damaged = before.copy()
    damaged[8] = 77  # left
    for bad, error, words in [
        (np.zeros(5, np.uint8), RuntimeError, "size 5056"),
        (np.zeros(5056, np.uint8), RuntimeError, "Invalid mt19937"),
        (damaged, RuntimeError, "left=77"),
        (np.zeros(5056, np.float32), TypeError, "uint8"),
    ]:
        with pytest.raises(error, match=words):
            g.set_state(bad)
    np.testing.assert_array_equal(g.get_state(), before)


def test_arguments_of_the_wrong_kind():
    for wrong, error in [
        (1.5, RuntimeError),
        ("7", RuntimeError),
        (None, RuntimeError),
        (2**64, ValueError),
    ]:
        with pytest.raises(error, match="seed"):
            random.Generator().manual_seed(wrong)
    with pytest.raises(RuntimeError, match="CPU only"):
        random.Generator("cuda:0")
    with pytest.raises(TypeError, match="generator must be"):
        random.rand(3, generator=np.random.default_rng(0))
    for call in (random.rand, random.randn, random.uniform, random.exponential):
        with pytest.raises(NotImplementedError, match="float32 or float64"):
            call(3, dtype=np.int64)
    with pytest.raises(NotImplementedError, match="multinomial"):
        random.multinomial([1, 2], 1)
    with pytest.raises(TypeError, match="shape"):
        random.bernoulli(0.5)
    with pytest.raises(RuntimeError, match="row 1, category 0"):
        random.multinomial(np.array([[1.0, 2.0], [-1.0, 2.0]]), 1)
    with pytest.raises(RuntimeError, match=r"sum of probabilities <= 0\) in row 1"):
        random.multinomial(np.array([[1.0, 2.0], [0.0, 0.0]]), 3, True)


def test_seed_differs_between_calls():
    g = random.Generator()
    seeds = {g.seed() for _ in range(5)}
    assert len(seeds) == 5
    assert g.initial_seed() in seeds
    assert max(seeds) < 2**53


def test_inside_out_permutation_for_huge_n(monkeypatch):
    """The path above 214,748,363 elements, entered at 1: a permutation from 2n words."""
    monkeypatch.setattr(integers, "_INSIDE_OUT_FROM", 1)
    g, other = seeded(5), seeded(5)
    order = random.randperm(1000, generator=g)
    assert sorted(order.tolist()) == list(range(1000))
    other.random32(2000)
    np.testing.assert_array_equal(g.get_state(), other.get_state())
    expected: list[int] = []  # Fisher-Yates inside out, from its definition
    for i, word in enumerate(seeded(5).random64(1000).tolist()):
        expected.append(i)
        j = word % (i + 1)
        expected[i], expected[j] = expected[j], i
    assert order.tolist() == expected


def test_threads_share_a_generator_without_losing_a_normal():
    alone = random.randn((200, 3), generator=seeded(8)).size
    g, drawn = seeded(8), []

    def work():
        drawn.extend(x for _ in range(100) for x in random.randn(3, generator=g).tolist())

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(drawn)) == alone == 600
    expected = seeded(8)
    in_order = [x for _ in range(200) for x in random.randn(3, generator=expected).tolist()]
    assert sorted(drawn) == sorted(in_order)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_statistics(dtype):
    n, g = 200_000, seeded(0)
    error = 5 / np.sqrt(n)  # five standard errors of a mean with unit variance
    u = random.uniform(n, -1, 3, dtype, g)
    assert u.min() >= -1
    assert u.max() < 3
    assert abs(u.mean() - 1) < 2 * error
    z = random.normal(2, 3, n, dtype, g)
    assert abs(z.mean() - 2) < 3 * error
    assert abs(z.std() - 3) < 3 * error
    e = random.exponential(n, 4, dtype, g)
    assert abs(e.mean() - 0.25) < error
    assert abs(random.bernoulli(0.3, n, dtype, g).mean() - 0.3) < error
    p = np.array([1, 2, 3, 4], dtype)
    often = np.bincount(random.multinomial(p, n, True, g), minlength=4) / n
    np.testing.assert_allclose(often, p / 10, atol=error)
    pairs = random.multinomial(np.tile(p, (20_000, 1)), 2, generator=g)
    assert (pairs[:, 0] != pairs[:, 1]).all()
    np.testing.assert_allclose(np.bincount(pairs[:, 0]) / 20_000, p / 10, atol=5 / np.sqrt(20_000))


def numbers(bits):
    whole = st.integers(-(1 << bits), 1 << bits)
    return st.builds(lambda m, e: m * 2.0**e, whole, st.integers(-60, 10))


@given(a=numbers(53), b=numbers(53), c=numbers(53))
def test_fma64_rounds_once(a, b, c):
    exact = Fraction(a) * Fraction(b) + Fraction(c)
    assert fma64(np.array([a]), np.float64(b), np.float64(c))[0] == float(exact)


@given(a=numbers(24), b=numbers(24), c=numbers(24))
def test_fma32_rounds_once(a, b, c):
    exact = Fraction(a) * Fraction(b) + Fraction(c)
    got = fma32(np.array([a], np.float32), np.float32(b), np.float32(c))[0]
    below, above = (np.nextafter(got, np.float32(s)) for s in (-np.inf, np.inf))
    distance = abs(Fraction(float(got)) - exact)
    assert distance <= min(abs(Fraction(float(x)) - exact) for x in (below, above))


def test_fma32_beside_a_midpoint():
    """1 + 2⁻²⁴ ± 2⁻⁷²: float64 rounds it to the midpoint of two float32 and forgets on which side."""
    a, b = np.array([2.0**-36, -(2.0**-36)], np.float32), np.float32(2.0**-36)
    c = np.float64(1 + 2.0**-24) * np.ones(2)
    assert fma32(a, b, c).tolist() == [1 + 2.0**-23, 1.0]


def test_fma_of_trivial_scale_and_shift():
    x = np.array([1.5, -0.0, 3.25], np.float32)
    assert fma(x, 1, 0).tolist() == [1.5, 0.0, 3.25]
    assert fma(x, 1, 2).tolist() == [3.5, 2.0, 5.25]
    assert fma(x, 2, 0).tolist() == [3.0, 0.0, 6.5]
