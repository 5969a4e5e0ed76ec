"""Every update rule: the loop in its file, compiled or not, gives the bits of its NumPy form; the
scalar function gives the numbers, and runs on `Value`s."""

import inspect

import numpy as np
import pytest

import descent.optim
from descent.op.updates import BLOCK, LARGE, SLAB_MIN, Update, run_updates, update
from descent.ops import updates
from descent.scalar import Value

RULES = pytest.mark.parametrize("rule", updates.RULES, ids=lambda r: r.name)
SIZES = [1, 7, BLOCK + 3, LARGE + 5]


def example(rule, n, dtype, seed=0):
    """Arrays for a rule (slots not negative, the mean small beside the root) and coefficients."""
    rng = np.random.default_rng(seed)
    arrays = [rng.random(n).astype(dtype) for _ in rule.arrays]
    arrays[1] -= arrays[1].dtype.type(0.5)
    if "mean" in rule.arrays:
        arrays[-1] *= arrays[-1].dtype.type(0.01)
        arrays[2] += arrays[2].dtype.type(0.1)
    defaults = (p.default for p in inspect.signature(rule.scalar).parameters.values())
    floats = [d for d in defaults if d is not inspect.Parameter.empty]
    pull = rule.coefficients.index("pull")
    floats[pull] = 0.1
    return arrays, floats


def test_every_rule_is_listed():
    found = {n for n in updates.__all__ if isinstance(getattr(updates, n), Update)}
    assert found == {r.name for r in updates.RULES}


@RULES
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_compiled_equals_numpy_to_the_bit(rule, dtype):
    for n in SIZES:
        arrays, floats = example(rule, n, dtype)
        compiled = [a.copy() for a in arrays]
        rule.run_numpy(arrays, floats)
        rule.loop.compiled(*compiled, *floats)
        for a, b in zip(arrays, compiled):
            assert (a == b).all()
            assert np.isfinite(a).all()


@RULES
def test_the_file_as_python_and_the_scalar_function_agree(rule):
    arrays, floats = example(rule, 5, np.float64)
    python = [a.copy() for a in arrays]
    scalars = [rule.scalar(*(float(a[i]) for a in arrays), *floats) for i in range(5)]
    rule.run_numpy(arrays, floats)
    rule.loop.py(*python, *floats)
    np.testing.assert_array_equal(arrays, python)
    written = [a for name, a in zip(rule.arrays, arrays) if name in rule.writes]
    np.testing.assert_allclose(np.reshape(scalars, (5, -1)).T, written, rtol=1e-15)


@RULES
def test_derivative_of_the_new_parameter_by_the_gradient(rule):
    arrays, floats = example(rule, 1, np.float64)
    numbers = [float(a[0]) for a in arrays]

    def moved(g):
        new = rule.scalar(numbers[0], g, *numbers[2:], *floats)
        return new[0] if isinstance(new, tuple) else new

    g = Value(numbers[1], label="g")
    y = moved(g)
    y.backward()
    h = 1e-6
    numeric = (moved(numbers[1] + h) - moved(numbers[1] - h)) / (2 * h)
    assert y.data == pytest.approx(moved(numbers[1]), rel=1e-15)
    assert g.grad == pytest.approx(numeric, rel=1e-5)
    assert g.grad < 0  # downhill


def test_many_arrays_of_all_sizes_in_one_run_equal_one_by_one():
    rule = updates.adam
    works = [example(rule, n, np.float32, seed=n) for n in (3, SLAB_MIN + 1, 1, 3 * SLAB_MIN, 1000)]
    alone = [[a.copy() for a in arrays] for arrays, _ in works]
    for arrays, (_, floats) in zip(alone, works):
        rule.run_numpy(arrays, floats)
    run_updates([(rule, arrays, floats) for arrays, floats in works])
    for arrays, (together, _) in zip(alone, works):
        for a, b in zip(arrays, together):
            assert (a == b).all()


@pytest.mark.parametrize("n", [5, 300])
def test_any_layout(n):
    """Arrays that lie otherwise in memory, whether compiled loops run or not (300² numbers)."""
    arrays, floats = example(updates.adam, n * n, np.float32)
    arrays = [a.reshape(n, n) for a in arrays]
    turned = [np.asfortranarray(a) for a in arrays]
    mixed = [turned[0].copy("F"), arrays[1].copy(), turned[2].copy("F"), arrays[3].copy()]
    for a in (arrays, turned, mixed):
        updates.adam.run(a, floats)
    np.testing.assert_array_equal(arrays, turned)
    np.testing.assert_array_equal(arrays, mixed)


def test_half_precision_and_empty_arrays():
    arrays, floats = example(updates.sgd, LARGE, np.float16)
    expected = arrays[0] - np.float16(0.1) * (arrays[1] + np.float16(0.1) * arrays[0])
    updates.sgd.run(arrays, floats)
    assert (arrays[0] == expected).all()
    updates.sgd.run([np.zeros(0, np.float32)] * 2, floats)


def test_a_rule_must_read_p_and_g_and_return_at_the_end():
    with pytest.raises(TypeError, match="first parameters"):

        @update
        def lost(x, g, rate=1.0):
            return x

    @update
    def branching(p, g, rate=1.0):
        if rate:
            return p - rate * g

    with pytest.raises(TypeError, match="last statement"):
        branching.loop_source()


def test_the_written_file_shows_the_rule():
    text = updates.sgd_nesterov.loop_source()
    assert "v = momentum * v + take * d" in text
    assert "P[i], V[i] = p - rate * (d + momentum * v), v" in text


class Noting:
    """A capture: it is told of a step, and nothing moves."""

    def __init__(self):
        self.told = []

    def optimizer_step(self, optimizer):
        self.told.append(optimizer)

    def update(self, optimizer, group, p, rule, arrays, state):
        self.told.append((p, rule, arrays, state, group))


def test_a_capture_is_told_instead_of_a_step(monkeypatch):
    from descent.autograd import _state

    p = descent.nn.Parameter(descent.tensor([1.0, 2.0]))
    p.grad = descent.tensor([0.5, -0.5])
    o = descent.optim.SGD([p], lr=0.1, momentum=0.9, dampening=0.5)
    noting = Noting()
    monkeypatch.setattr(_state, "capture", noting)
    o.step()
    monkeypatch.setattr(_state, "capture", None)
    step, (q, rule, arrays, state, group) = noting.told
    assert (step, q, rule) == (o, p, updates.sgd_momentum)
    assert p.tolist() == [1.0, 2.0]
    twin = descent.nn.Parameter(descent.tensor([1.0, 2.0]))
    peer = descent.optim.SGD([twin], lr=0.1, momentum=0.9, dampening=0.5)
    for _ in range(3):
        twin.grad = descent.tensor([0.5, -0.5])
        peer.step()
        rule.run(arrays, o.coefficients(state, group))
        assert p.tolist() == twin.tolist()
    assert set(o.state_dict()["state"][0]) == {"momentum_buffer"}
