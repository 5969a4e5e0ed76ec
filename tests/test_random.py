"""descent.random against PyTorch's CPU generator: same seed, same calls, same bits (last bits aside without AVX2)."""

import copy

import numpy as np
import pytest
import torch

from descent import random

pytestmark = pytest.mark.oracle

SEEDS = [0, 42, 1337, 2147483647, 2**40 + 5, -1, -(2**63), 2**64 - 1]
SIZES = [0, 1, 7, 15, 16, 17, 31, 100, 1000, 12345]
SHAPES = [*SIZES, (), (3, 5), (4, 0, 2), (16, 16), (5, 7, 11)]
FLOATS = ["float32", "float64"]
# Without AVX2 PyTorch rounds a*b + c twice and takes other logarithms: floats differ in the last bits.
EXACT = torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512")


def pair(seed):
    return random.Generator().manual_seed(seed), torch.Generator().manual_seed(seed)


def as_tuple(shape):
    return (shape,) if isinstance(shape, int) else shape


def same(ours, theirs):
    theirs = theirs.numpy()
    assert ours.dtype == theirs.dtype
    assert ours.shape == theirs.shape
    if EXACT or ours.dtype.kind != "f" or ours.size == 0:
        assert ours.tobytes() == theirs.tobytes()
    else:
        scale = np.abs(theirs).max()
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=64 * np.finfo(ours.dtype).eps * scale)


def same_state(g, t):
    ours, theirs = g.get_state(), t.get_state().numpy()
    compared = None if EXACT else 5016  # the twister; behind it lies the waiting normal
    assert ours[:compared].tobytes() == theirs[:compared].tobytes()


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_float_draws_of_every_size(shape, dtype):
    kind, dims = getattr(torch, dtype), as_tuple(shape)
    for seed in SEEDS:
        g, t = pair(seed)
        for _ in range(2):  # the second round meets the waiting normal of the first
            same(random.rand(shape, dtype, g), torch.rand(dims, dtype=kind, generator=t))
            same(random.randn(shape, dtype, g), torch.randn(dims, dtype=kind, generator=t))
            want = torch.empty(dims, dtype=kind).uniform_(-0.3, 0.017, generator=t)
            same(random.uniform(shape, -0.3, 0.017, dtype, g), want)
            want = torch.empty(dims, dtype=kind).normal_(1.3, 0.7, generator=t)
            same(random.normal(1.3, 0.7, shape, dtype, g), want)
            want = torch.empty(dims, dtype=kind).exponential_(0.7, generator=t)
            same(random.exponential(shape, 0.7, dtype, g), want)
            want = torch.empty(dims, dtype=kind).bernoulli_(0.8, generator=t)
            same(random.bernoulli(0.8, shape, dtype, g), want)
            p = torch.rand(dims, dtype=kind, generator=t)
            same(random.rand(shape, dtype, g), p)
            same(random.bernoulli(p.numpy(), generator=g), torch.bernoulli(p, generator=t))
        same_state(g, t)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    ("mean", "std"), [(0, 1), (0, 0.02), (-5, 3), (1e-3, 1e4), (0.1, 0), (7, 1)]
)
def test_normal_mean_and_std(mean, std, dtype):
    for n in (5, 15, 16, 333, 100_000):
        g, t = pair(n)
        want = torch.empty(n, dtype=getattr(torch, dtype)).normal_(mean, std, generator=t)
        same(random.normal(mean, std, n, dtype, g), want)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    ("low", "high"), [(-1, 1), (2.5, 7.1), (0.1, 0.1 + 1e-6), (3, 3), (-1e30, 1e-9)]
)
def test_uniform_bounds(low, high, dtype):
    g, t = pair(9)
    want = torch.empty(100_000, dtype=getattr(torch, dtype)).uniform_(low, high, generator=t)
    same(random.uniform(100_000, low, high, dtype, g), want)


def test_a_million_normals_are_bit_equal():
    g, t = pair(5)
    same(random.randn((1000, 1001), generator=g), torch.randn(1000, 1001, generator=t))
    same_state(g, t)


RANGES = [
    ("int64", 0, 27),
    ("int64", -5, 3),
    ("int64", 0, 2**28 - 1),
    ("int64", 0, 2**28),
    ("int64", -3, 2**32),
    ("int64", -(2**63), 2**63 - 1),
    ("int32", -(2**31), 2**31 - 1),
    ("int16", -7, 2**15),
    ("int8", -128, 128),
    ("uint8", 0, 256),
    ("bool", 0, 2),
    ("float32", -10, 2**24),
    ("float64", -(2**53), 2**53),
]


@pytest.mark.parametrize(("dtype", "low", "high"), RANGES)
def test_randint(dtype, low, high):
    for seed in SEEDS:
        g, t = pair(seed)
        for shape in SHAPES:
            want = torch.randint(
                low, high, as_tuple(shape), dtype=getattr(torch, dtype), generator=t
            )
            same(random.randint(low, high, shape, dtype, g), want)
        same_state(g, t)


@pytest.mark.parametrize("dtype", ["int64", "int32", "int16", "float32", "float64"])
def test_randperm(dtype):
    for seed in SEEDS:
        g, t = pair(seed)
        for n in [*SIZES, 2]:
            same(
                random.randperm(n, dtype, g),
                torch.randperm(n, dtype=getattr(torch, dtype), generator=t),
            )
        same_state(g, t)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [(1,), (27,), (1000,), (1, 27), (32, 65), (7, 5000)], ids=str)
def test_multinomial(shape, dtype):
    for seed in SEEDS[:6]:
        g, t = pair(seed)
        probs = torch.rand(shape, dtype=getattr(torch, dtype), generator=t) ** 4 + 1e-6
        random.rand(shape, dtype, g)
        few = min(5, shape[-1])
        for count, again in [
            (1, False),
            (1, True),
            (few, False),
            (few, True),
            (50, True),
            (1, False),
        ]:
            want = torch.multinomial(probs, count, replacement=again, generator=t)
            same(random.multinomial(probs.numpy(), count, again, g), want)
        same_state(g, t)


def test_multinomial_never_draws_what_is_impossible():
    probs = np.array([[0, 0.5, 0, 0.5, 0], [1, 0, 0, 0, 0]], np.float32)
    for again in (False, True):
        for seed in range(50):
            g, t = pair(seed)
            count = 4 if again else 1
            ours = random.multinomial(probs, count, again, g)
            same(ours, torch.multinomial(torch.from_numpy(probs), count, again, generator=t))
            assert np.take_along_axis(probs, ours, 1).min() > 0


def test_the_lecture_samples_the_same_names_table():
    """makemore: sampling with `torch.multinomial(p, num_samples=1, replacement=True, generator=g)`."""
    g, t = pair(2147483647)
    counts = random.randint(0, 500, (27, 27), generator=g).astype(np.float32)
    table = torch.randint(0, 500, (27, 27), generator=t).float()
    ours, theirs = (counts + 1), (table + 1)
    ours /= ours.sum(1, keepdims=True)
    theirs /= theirs.sum(1, keepdims=True)
    i = j = 0
    for _ in range(200):
        i = random.multinomial(ours[i], 1, True, g).item()
        j = torch.multinomial(theirs[j], num_samples=1, replacement=True, generator=t).item()
        assert i == j


def test_interleaved_calls_consume_the_same_stream():
    dice = np.random.default_rng(3)
    g, t = pair(1337)
    p = np.linspace(0.1, 0.9, 30, dtype=np.float32)
    for _ in range(400):
        n, kind = int(dice.choice(SIZES[:8])), dice.integers(8)
        dtype = FLOATS[dice.integers(2)]
        tk = getattr(torch, dtype)
        if kind == 0:
            same(random.rand(n, dtype, g), torch.rand(n, dtype=tk, generator=t))
        elif kind == 1:
            same(random.randn(n, dtype, g), torch.randn(n, dtype=tk, generator=t))
        elif kind == 2:
            high = 1 << int(dice.integers(1, 60))
            same(random.randint(0, high, n, generator=g), torch.randint(0, high, (n,), generator=t))
        elif kind == 3:
            same(random.randperm(n, generator=g), torch.randperm(n, generator=t))
        elif kind == 4:
            want = torch.empty(n, dtype=tk).bernoulli_(0.3, generator=t)
            same(random.bernoulli(0.3, n, dtype, g), want)
        elif kind == 5:
            want = torch.bernoulli(torch.from_numpy(p), generator=t)
            same(random.bernoulli(p, generator=g), want)
        elif kind == 6:
            want = torch.multinomial(torch.from_numpy(p), 3, generator=t)
            same(random.multinomial(p, 3, generator=g), want)
        else:
            want = torch.empty(n, dtype=tk).exponential_(2.0, generator=t)
            same(random.exponential(n, 2.0, dtype, g), want)
    same_state(g, t)


def test_dropout_draws_its_mask_as_a_number_p():
    g = random.Generator().manual_seed(11)
    torch.manual_seed(11)
    x = torch.ones(64, 33)
    y = torch.nn.functional.dropout(x, 0.2)
    mask = random.bernoulli(1 - 0.2, (64, 33), generator=g)
    same(mask / np.float32(1 - 0.2), y)
    same(random.rand(3, generator=g), torch.rand(3))


def test_default_generator_is_torchs_default():
    random.manual_seed(1337)
    torch.manual_seed(1337)
    same(random.randn(5), torch.randn(5))
    same(random.randint(0, 10, (4,)), torch.randint(10, (4,)))
    same(random.get_rng_state(), torch.get_rng_state())
    assert random.initial_seed() == torch.initial_seed() == 1337


def test_state_travels_both_ways():
    for draws in (0, 1, 3, 623, 624, 625, 1248, 2000):
        g, t = pair(6)
        random.rand(draws, generator=g)
        torch.rand(draws, generator=t)
        random.randn(3, generator=g)  # leaves a normal waiting
        torch.randn(3, generator=t)
        same_state(g, t)
        fresh, other = random.Generator(), torch.Generator()
        other.set_state(torch.from_numpy(g.get_state()))
        fresh.set_state(t.get_state().numpy())
        assert fresh.initial_seed() == 6
        for _ in range(2):
            same(
                random.randn(20, "float64", fresh),
                torch.randn(20, dtype=torch.float64, generator=other),
            )
            same(random.randn(3, generator=fresh), torch.randn(3, generator=other))


def test_copies_go_on_alone_from_the_same_point():
    g, t = pair(3)
    random.randn(3, generator=g)
    torch.randn(3, generator=t)
    for twin in (copy.deepcopy(g), g.clone_state()):
        random.rand(5, generator=twin)
    same(random.randn(30, generator=g), torch.randn(30, generator=t))


def test_new_generators_start_as_torchs_do():
    g, t = random.Generator(), torch.Generator()
    assert g.initial_seed() == t.initial_seed()
    same_state(g, t)
    for seed in SEEDS:
        assert g.manual_seed(seed) is g
        assert g.initial_seed() == t.manual_seed(seed).initial_seed()


ERRORS = {
    "negative size": lambda r, a, g: r.rand((2, -3)) if g else r.rand(2, -3),
    "bad bernoulli": lambda r, a, g: r.bernoulli(1.5, 3) if g else a(3).bernoulli_(1.5),
    "nan bernoulli": lambda r, a, g: (
        r.bernoulli(float("nan"), 3) if g else a(3).bernoulli_(float("nan"))
    ),
    "negative std": lambda r, a, g: r.normal(0, -1, 3) if g else a(3).normal_(0, -1),
    "negative std, empty": lambda r, a, g: r.normal(0, -1, 0) if g else a(0).normal_(0, -1),
    "uniform order": lambda r, a, g: r.uniform(3, 1, 0) if g else a(3).uniform_(1, 0),
    "uniform end": lambda r, a, g: r.uniform(3, 0, 1e39) if g else a(3).uniform_(0, 1e39),
    "uniform nan": lambda r, a, g: (
        r.uniform(3, float("nan"), 1) if g else a(3).uniform_(float("nan"), 1)
    ),
    "rate zero": lambda r, a, g: r.exponential(3, 0) if g else a(3).exponential_(0),
    "empty range": lambda r, a, g: r.randint(5, 5, (2,)),
    "reversed range, empty": lambda r, a, g: r.randint(5, 3, (0,)),
    "uint8 high": lambda r, a, g: r.randint(0, 300, (2,), dtype=np.uint8 if g else torch.uint8),
    "uint8 low": lambda r, a, g: r.randint(-1, 3, (2,), dtype=np.uint8 if g else torch.uint8),
    "bool high": lambda r, a, g: r.randint(0, 3, (2,), dtype=bool if g else torch.bool),
    "randperm negative": lambda r, a, g: r.randperm(-1),
    "multinomial rank": lambda r, a, g: r.multinomial(a(2, 3, 4), 1),
    "multinomial negative": lambda r, a, g: r.multinomial(-a(3), 1),
    "multinomial nan": lambda r, a, g: r.multinomial(a(3) * float("nan"), 1),
    "multinomial zeros": lambda r, a, g: r.multinomial(a(3) * 0, 1),
    "multinomial zeros again": lambda r, a, g: r.multinomial(a(3) * 0, 2, True),
    "multinomial too many": lambda r, a, g: r.multinomial(a(3), 4),
    "multinomial none": lambda r, a, g: r.multinomial(a(3), 0),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_are_torchs(name):
    with pytest.raises(RuntimeError) as theirs:
        ERRORS[name](torch, torch.ones, False)
    with pytest.raises(RuntimeError) as ours:
        ERRORS[name](random, lambda *dims: np.ones(dims, np.float32), True)
    first_words = str(theirs.value).split()[:4]
    assert str(ours.value).split()[:4] == first_words


def test_randperm_limits_are_torchs():
    assert random.randperm(256, np.uint8).max() == 255
    for n, dtype in [(257, np.uint8), (129, np.int8), (2**24 + 2, np.float32)]:
        with pytest.raises(RuntimeError, match="cannot be greater than"):
            random.randperm(n, dtype)
