"""Products with long sums and large results: cut by depth, put off, compiled in other processes."""

import contextlib

import numpy as np
import pytest

import descent as dc
from descent.compiler import passes, product_works
from descent.compiler.graph import Buffer, Product, Reduce, View, contiguous_strides
from descent.kernel import ahead
from descent.nn import functional as F

rng = np.random.default_rng(0)


def numbers(*shape):
    return rng.standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize(
    ("precision", "tolerance", "compiled"),
    [("float32", 2e-6, "0"), ("bf16", 2e-2, "0"), ("bf16", 2e-2, "1")],
)
def test_long_sums(precision, tolerance, compiled, monkeypatch):
    if compiled == "0":
        monkeypatch.setenv("DESCENT_COMPILE", "0")
        monkeypatch.setattr(product_works, "CHUNK", 1 << 11)
        monkeypatch.setattr(product_works, "FAR", 0)
    m, k, n = (33, 9001, 200) if compiled == "1" else (3, 201, 70)
    a, b, bias = numbers(m, k), numbers(n, k), numbers(n)
    weight, added = dc.tensor(b), dc.tensor(bias)
    step = dc.compile(lambda x: (F.linear(x, weight, added), x @ weight.t()), precision=precision)
    exact = a.astype(float) @ b.T
    for y, want in zip(step(dc.tensor(a)), (exact + bias, exact)):
        assert np.abs(y.numpy() - want).max() <= tolerance * np.abs(exact).max()
    assert "product_by_depth" in step.source()


@pytest.mark.parametrize("compiled", ["0", "1"])
def test_what_is_multiplied_is_rounded_once(compiled, monkeypatch):
    """bf16: a work packs the left side for all threads, forward and for both gradients."""
    monkeypatch.setenv("DESCENT_COMPILE", compiled)
    monkeypatch.setattr(product_works, "usable", lambda: False)
    m, k, n = (40, 96, 400) if compiled == "1" else (5, 33, 70)
    x, w = (dc.tensor(numbers(*shape), requires_grad=True) for shape in ((m, k), (n, k)))

    def step(x):
        loss = (x @ w.t()).square().mean()
        loss.backward()
        return loss

    found = [np.array(step(x).item())]
    exact = w.grad.numpy().copy()
    w.grad = None
    compiled_step = dc.compile(step, precision="bf16")
    found.append(compiled_step(x).numpy())
    np.testing.assert_allclose(found[1], found[0], rtol=1e-2)
    np.testing.assert_allclose(w.grad.numpy(), exact, atol=2e-2 * np.abs(exact).max())
    assert "product_of_packed(" in compiled_step.source()


def view(number, *shape, kind="temporary"):
    array = np.empty(int(np.prod(shape)), np.float32)
    return View(Buffer(number, kind, array), 0, shape, contiguous_strides(shape))


def put_off(*others):
    """Where the product of a (1 × 2000 × 2) and c (1 × 2 × 2000) comes to stand before others."""
    a, c, y = view(0, 1, 2000, 2), view(1, 1, 2, 2000), view(2, 1, 2000, 2000)
    product = Product(y, a, c)
    nodes = [product, *(make(a, y) for make in others)]
    return passes.late_products(nodes).index(product)


def elsewhere(a, y):
    return Reduce(view(3, 4, 5), view(4, 4), 1)


def reads_it(a, y):
    return Reduce(y, view(5, 1, 2000), 2)


def changes_what_it_reads(a, y):
    return Reduce(view(6, 1, 2000, 2, 3), a, 3)


def test_a_large_product_waits_for_its_reader():
    assert put_off(elsewhere, elsewhere, reads_it) == 2
    assert put_off(elsewhere, changes_what_it_reads, reads_it) == 1
    assert put_off(reads_it, elsewhere) == 0


def test_a_product_of_much_comes_at_once():
    a, c, y = view(0, 1, 2000, 3000), view(1, 1, 3000, 1000), view(2, 1, 2000, 1000)
    product = Product(y, a, c)
    nodes = [product, elsewhere(a, y), reads_it(a, y)]
    assert passes.late_products(nodes) == nodes


def test_made_elsewhere(monkeypatch):
    """Other processes get every kernel but the first, from both ends, and are waited for."""

    class Stub:
        was_compiled = True

        def __init__(self, name):
            self.name = name

        def address(self, *kinds):
            done.append(self.name)
            return self.name

    class Process:
        def wait(self):
            done.append("waited")

    done, given = [], []

    @contextlib.contextmanager
    def helper(kernels, kinds):
        given.append([k.name for k in kernels])
        yield Process()

    monkeypatch.setattr(ahead, "_helper", helper)
    monkeypatch.setattr(ahead, "n_threads", lambda: 2)
    kernels = [Stub(i) for i in range(ahead.MANY + 3)]
    assert ahead.addresses(kernels, "int64", elsewhere=True) == list(range(len(kernels)))
    rest = list(range(1, len(kernels)))
    assert given == [rest, rest[::-1]]
    assert done == [0, "waited", "waited", *rest]
