"""Many small steps beside their compiled forms: outputs, state and generator after every call.

Most run the written file uncompiled (what compiling adds is Numba's); some are compiled, many of
them as one step. The same steps run once more with their slabs in random order, works of different
slabs interleaved, as threads might do.
"""

import random

import numpy as np
import pytest

from descent.compiler import plan, program
from tests.compiler import by_hand, expressions, in_place, random_steps, stateful, training
from tests.compiler.beside import beside

STEPS = {**in_place.PROGRAMS, **training.PROGRAMS, **stateful.PROGRAMS, **by_hand.PROGRAMS}
TOLERANCE = {"rtol": 2e-4, "atol": 1e-5}


def options(name):
    given = expressions.CASES[name][2]
    return {k: v for k, v in given.items() if k not in ("dtype", "grad")}


@pytest.fixture
def as_written(monkeypatch):
    monkeypatch.setenv("DESCENT_COMPILE", "0")


@pytest.mark.parametrize("name", expressions.CASES)
def test_expressions(name, as_written):
    beside(expressions.step_of([name]), **{**TOLERANCE, **options(name)})


@pytest.mark.parametrize("name", STEPS)
def test_steps(name, as_written):
    build, given = STEPS[name]
    beside(build, **{**TOLERANCE, **given})


@pytest.mark.parametrize("seed", range(40))
def test_random_steps(seed, as_written):
    beside(random_steps.step_of(seed, 12 + seed), rtol=1e-3, atol=1e-4)


@pytest.fixture
def shuffled(monkeypatch, as_written):
    """Slabs in any order, works of several slabs interleaved."""
    order = random.Random(5)
    monkeypatch.setattr(plan, "WORTH_THREADS", 0)
    monkeypatch.setattr(plan, "WORTH_SLAB", 1)
    monkeypatch.setattr(plan, "n_threads", lambda: 2)
    seen = {"shared": 0}

    def run(self):
        for p, (first, last, _) in enumerate(self.written.phases.tolist()):
            phase = self.plan.phases[p]
            if not phase.works:
                continue
            most = phase.units or max(w.units for w in phase.works)
            slabs = min(most, order.choice([1, 2, 3, 4, 5, 8]))
            seen["shared"] += slabs > 1 and last - first > 1
            queue = [s for s in range(slabs) for _ in range(first, last)]
            order.shuffle(queue)
            at = [first] * slabs
            for s in queue:
                number, units, common, frame = self.written.program[at[s]].tolist()
                at[s] += 1
                each = units // common if common else 1
                parts = common or units
                lo, hi = parts * s // slabs * each, parts * (s + 1) // slabs * each
                if lo < hi:
                    with np.errstate(all="ignore"):
                        self.functions[number](lo, hi, self.table[frame], 0)

    monkeypatch.setattr(program.Program, "_run", run)
    return seen


def test_slabs_in_any_order(shuffled):
    for name in expressions.CASES:
        beside(expressions.step_of([name]), **{**TOLERANCE, **options(name), "refused": None})
    for build, given in STEPS.values():
        beside(build, **{**TOLERANCE, **given, "refused": None})
    for seed in range(100, 120):
        beside(random_steps.step_of(seed, 25), rtol=1e-3, atol=1e-4)
    assert shuffled["shared"] > 100


INTEGERS = ["int_round", "int_long", "bool_cast", "bool_and", "uint8", "intsum", "boolsum", "boolmean",
            "int_div", "int_mod", "fdiv", "int_pow", "allany", "bool_mul", "add_scalar_int"]  # fmt: skip
MOVED = ["flip_mm", "flip_sum", "slice_step", "slice_mm", "bmm_bcast", "bmm_t", "mm_big", "mm1", "mv",
         "view_chain", "index_neg", "index_col", "roll", "same_strided", "expand2", "zerod2"]  # fmt: skip
SMOOTH = ["acts", "gelut", "logs", "powt", "powneg", "rpow", "div", "clamp", "where", "softmax0", "erf",
          "logsm", "lnorm", "float64", "f64_mix", "reduce1", "var", "norm1", "chain_long"]  # fmt: skip


@pytest.mark.parametrize("names", [INTEGERS, MOVED, SMOOTH], ids=["integers", "moved", "smooth"])
def test_compiled(names):
    beside(expressions.step_of(names), calls=2, **TOLERANCE)


@pytest.mark.parametrize(
    "name", ["shapes", "drop", "eager_between", "index_ids", "ce_oob", "manual_sgd2", "tied"]
)
def test_compiled_steps(name):
    build, given = STEPS[name]
    beside(build, **{**TOLERANCE, **given})
