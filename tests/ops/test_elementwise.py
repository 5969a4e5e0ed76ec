"""Every elementwise op: NumPy form = compiled = Python, derivatives, explanations."""

import math

import numpy as np
import pytest

from descent.op import Elementwise
from descent.ops import (
    activations,
    arithmetic,
    bessel,
    choices,
    comparisons,
    exponentials,
    gammas,
    logic,
    normal,
    rectifiers,
    rounding,
    special,
    trigonometry,
)
from tests.ops.checks import check_elementwise

FAMILIES = (
    activations, arithmetic, bessel, choices, comparisons, exponentials, gammas, logic, normal,
    rectifiers, rounding, special, trigonometry,
)  # fmt: skip
OPS = {
    op.name + ("_number" if op is arithmetic.power else ""): op
    for family in FAMILIES
    for op in (getattr(family, n) for n in family.__all__)
    if isinstance(op, Elementwise)
}

# Where an op is defined (and smooth): (low, high) of its inputs; the rest takes (-2.4, 2.4).
RANGES = {
    **dict.fromkeys(("log", "log2", "log10", "sqrt", "rsqrt", "entr", "lgamma"), (0.1, 5)),
    **dict.fromkeys(("digamma", "polygamma", "pow", "reciprocal", "div"), (0.3, 4)),
    **dict.fromkeys(("xlogy", "xlog1py", "fmod", "remainder", "div_floor"), (0.3, 4)),
    **dict.fromkeys(("div_trunc", "addcdiv"), (0.3, 4)),
    **dict.fromkeys(("asin", "acos", "atanh", "erfinv"), (-0.95, 0.95)),
    **dict.fromkeys(("ndtri", "logit"), (0.05, 0.95)),
    **dict.fromkeys(("i0", "i0e", "i1", "i1e"), (-4, 4)),
    "log1p": (-0.8, 3),
    "acosh": (1.1, 4),
    "zeta": (1.2, 4),
    "erfcx": (-2, 9),
    "log_ndtr": (-9, 3),
    "hardswish": (-5, 5),
    "hardsigmoid": (-5, 5),
}
WHOLE = ("gcd", "lcm")
BITS = ("bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_not")
SHIFTS = ("bitwise_left_shift", "bitwise_right_shift")
METAS = {
    "elu": {"alpha": 1.3, "scale": 1.1, "input_scale": 0.7},
    "pow_number": {"exponent": 3},
    "round": {"decimals": 1},
    "polygamma": {"n": 2},
    "softplus": {"beta": 1.5, "threshold": 2.0},
    "hardtanh": {"low": -0.7, "high": 1.2},
    "threshold": {"limit": 0.3, "value": -1.0},
    "isclose": {"rtol": 0.1, "atol": 0.1},
}


def inputs_of(name: str, op: Elementwise) -> list[np.ndarray]:
    """Inputs that broadcast against each other; the same ones on every run."""
    rng = np.random.default_rng(7)
    shapes = [(3, 4), (4,), (3, 1)]
    if name in WHOLE or name in BITS:
        return [rng.integers(-40, 40, s) for s in shapes[: len(op.inputs)]]
    if name in SHIFTS:
        return [rng.integers(-40, 40, (3, 4)), rng.integers(0, 5, (4,))]
    low, high = RANGES.get(name, (-2.4, 2.4))
    arrays = [rng.uniform(low, high, s) for s in shapes[: len(op.inputs)]]
    if name == "where":
        arrays[0] = arrays[0] > 0
    return arrays


@pytest.mark.parametrize("name", OPS)
def test_every_form_agrees(name):
    check_elementwise(OPS[name], *inputs_of(name, OPS[name]), **METAS.get(name, {}))


def test_every_name_is_an_op_of_its_own():
    assert len(OPS) == sum(
        isinstance(getattr(family, n), Elementwise) for family in FAMILIES for n in family.__all__
    )


@pytest.mark.parametrize(
    ("op", "at", "slope"),
    [
        (arithmetic.absolute, 0.0, 0.0),
        (rectifiers.relu, 0.0, 0.0),
        (rectifiers.leaky_relu, 0.0, 0.01),
        (rectifiers.hardtanh, 1.0, 0.0),
        (rectifiers.hardswish, -3.0, 0.0),
        (trigonometry.sinc, 0.0, 0.0),
        (exponentials.sqrt, 0.0, math.inf),
    ],
)
def test_derivatives_at_kinks_are_pytorchs(op, at, slope):
    x, one = np.array(at), np.array(1.0)
    (y,), ctx = op.forward([x], {}, [True])
    with np.errstate(all="ignore"):
        assert op.backward(ctx, one, [True])[0] == slope
    v = op.explain([x], (), {})
    assert v.data == y


def test_a_tie_is_shared_and_a_bound_keeps_its_gradient():
    two, dy = np.array([2.0]), np.array([1.0])
    for op in (choices.maximum, choices.minimum):
        _, ctx = op.forward([two, two], {}, [True, True])
        assert [float(g[0]) for g in op.backward(ctx, dy, [True, True])] == [0.5, 0.5]
        assert op.explain([two, two], (0,), {}).data == 2.0
    _, ctx = choices.clamp.forward([two, two, two + 1], {}, [True, True, True])
    grads = choices.clamp.backward(ctx, dy, [True, True, True])
    assert [float(g[0]) for g in grads] == [1.0, 0.0, 0.0]


SPECIAL = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e30, -1e30])


@pytest.mark.parametrize(
    "name", [n for n, op in OPS.items() if len(op.inputs) == 1 and n not in BITS]
)
def test_extreme_numbers_come_out_alike(name):
    op, meta = OPS[name], METAS.get(name, {})
    (y,), _ = op.forward([SPECIAL], meta)
    np.testing.assert_allclose(
        np.asarray(y, float), np.asarray(op.run_python([SPECIAL], meta), float), rtol=1e-9
    )


@pytest.mark.parametrize("name", [n for n in OPS if n not in (*BITS, *SHIFTS, *WHOLE)])
def test_empty_and_scalar_arrays(name):
    op, meta = OPS[name], METAS.get(name, {})
    arrays = inputs_of(name, op)
    needs = [a.dtype.kind == "f" and n in op.derivatives for a, n in zip(arrays, op.inputs)]
    for shape in ((0, 3), ()):
        small = [np.broadcast_to(a.reshape(-1)[:1].reshape(()), shape) for a in arrays]
        small32 = [a.astype(np.float32) if a.dtype.kind == "f" else a for a in small]
        (y,), ctx = op.forward(small32, meta, needs)
        assert type(y) is np.ndarray
        assert y.shape == shape
        assert y.dtype == (op.out_dtype or np.float32)
        with np.errstate(all="ignore"):
            for g, need in zip(op.backward(ctx, y.astype(np.float32), needs), needs):
                assert not need or (g.shape == shape and g.dtype == np.float32)


def test_erf_is_exact_to_the_last_digits():
    x = np.concatenate([np.linspace(-7, 7, 4001), [1e-300, 1e-8, 0.0]])
    expected = np.array([math.erf(v) for v in x])
    np.testing.assert_allclose(special.erf_arrays(x), expected, rtol=5e-16)
    np.testing.assert_allclose([special.erf_scalar(float(v)) for v in x], expected, rtol=5e-16)
    single = special.erf_arrays(x.astype(np.float32))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, expected, atol=5e-7)


def test_erfc_keeps_its_digits_in_the_tail():
    x = np.linspace(-6, 26, 2001)
    expected = np.array([math.erfc(v) for v in x])
    np.testing.assert_allclose(special.erfc_arrays(x), expected, rtol=1e-12)
    np.testing.assert_allclose([special.erfc_scalar(float(v)) for v in x], expected, rtol=1e-12)


def test_lgamma_agrees_with_the_standard_library():
    x = np.concatenate([np.linspace(-9.7, 30, 1000), [1e5, 1e300]])
    expected = [math.lgamma(v) for v in x]
    np.testing.assert_allclose(gammas.lgamma.forward([x], {})[0][0], expected, 1e-13, 1e-13)


def test_inverses_undo():
    p = np.concatenate([np.linspace(0.001, 0.999, 99), [1e-12, 1e-200]])
    np.testing.assert_allclose(normal.ndtr.arrays(normal.ndtri.arrays(p)), p, rtol=1e-11)
    x = np.linspace(-0.999, 0.999, 99)
    np.testing.assert_allclose(special.erf_arrays(normal.erfinv.arrays(x)), x, rtol=1e-14)


def test_bessel_series_and_asymptote_meet():
    x = np.array([19.999999, 20.0, 20.000001, -19.999999, -20.000001])
    for op in (bessel.i0, bessel.i0e, bessel.i1, bessel.i1e):
        (y,), _ = op.forward([x], {})
        np.testing.assert_allclose(y, op.run_python([x], {}), rtol=1e-13)
        np.testing.assert_allclose(abs(y), abs(y[1]), rtol=2e-6)
    # I₀(20), I₁(20) and both times e^−20, in 30-digit arithmetic
    expected = [43558282.559553534, 42454973.38512777, 0.08978031188482602, 0.08750622218328867]
    found = [
        float(op.forward([np.array(20.0)], {})[0][0])
        for op in (bessel.i0, bessel.i1, bessel.i0e, bessel.i1e)
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-13)
