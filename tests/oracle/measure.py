"""Run PyTorch's samples of one op through PyTorch and through another library, and compare.

Forward: values within torch.testing.assert_close's tolerance (or the op's own), shapes, number
types, Python types. Gradient: the same random cotangent for every differentiable output, then the
`.grad` of every input that asks for one. Both sides get their own copy of the inputs and the same seed.
"""

from __future__ import annotations

import functools
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from .carry import UPSTREAM, Carrier, LeftOut, check_output
from .compare import Mismatch, array, compare
from .opinfo_db import dtypes_of, key_of, samples_of
from .resolve import find

__all__ = ["Result", "measure", "measure_op"]

# PyTorch's OpInfo of rand_like calls randn_like (its tests look at shapes alone); we compare numbers.
THEIRS = {"rand_like": torch.rand_like}


@dataclass
class Result:
    """One op in one number type."""

    key: str
    dtype: str
    samples: int = 0
    forward: int = 0  # samples whose forward agrees
    gradient_due: int = 0  # samples in which PyTorch has a gradient
    gradient: int = 0  # … and in which ours agrees
    arbitrated: int = (
        0  # passing samples in which PyTorch's float32 is off by more than its tolerance
    )
    left_out: Counter = field(default_factory=Counter)  # reason → samples
    missing: bool = False  # the library has no such function
    failure: str = ""  # the first one
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """Every sample, forward and gradient; a left-out sample is not a passing one."""
        full = self.forward == self.samples > 0 and self.gradient == self.gradient_due
        return full and not self.left_out


def measure_op(op: Any, ns: Any) -> list[Result]:
    """One result per number type (float32, float64; int64 for ops on integers alone)."""
    return [measure(op, dtype, ns) for dtype in dtypes_of(op)]


def measure(op: Any, dtype: torch.dtype, ns: Any) -> Result:
    result = Result(key_of(op), str(dtype).removeprefix("torch."))
    begin = time.perf_counter()
    ours = find(ns, op.name, op.variant_test_name)
    if ours is None:
        result.missing, result.failure = True, f"no function or method {op.name}"
        return result
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for i, sample in enumerate(samples_of(op, dtype)):
            result.samples += 1
            try:
                _run_sample(op, ours, dtype, sample, ns, result)
            except LeftOut as reason:
                result.left_out[str(reason)] += 1
            except Mismatch as problem:
                result.failure = result.failure or f"sample {i} {_describe(sample)}: {problem}"
    result.seconds = time.perf_counter() - begin
    return result


def _run_sample(op: Any, ours: Any, dtype: torch.dtype, sample: Any, ns: Any, result: Result):
    theirs, mine = Carrier(torch), Carrier(ns)
    reference = THEIRS.get(op.name, op.op)
    try:
        wanted = list(_flat(_call(torch, reference, theirs, sample)))
    except LeftOut:
        raise
    except Exception as error:
        raise LeftOut(UPSTREAM) from error
    for x in wanted:
        check_output(x)
    try:
        got = list(_flat(_call(ns, ours, mine, sample), getattr(ns, "Size", torch.Size)))
    except Exception as error:
        raise Mismatch(f"forward raised {_short(error)}") from error
    if len(got) != len(wanted):
        raise Mismatch(f"{len(got)} outputs instead of {len(wanted)}")
    precise = functools.cache(lambda: _in_float64(reference, sample))
    equal = True
    for n, (a, e) in enumerate(zip(got, wanted)):
        what = f"output {n}" if len(got) > 1 else "output"
        equal &= compare(a, e, op, dtype, what, lambda n=n: precise()[0][n])
    result.forward += 1
    equal &= _compare_gradients(op, dtype, (mine, got), (theirs, wanted), precise, result)
    result.arbitrated += not equal


def _in_float64(reference: Any, sample: Any) -> tuple[dict, dict]:
    """PyTorch's outputs and gradients of the same numbers in float64, by position."""
    carry = Carrier(torch, widen=True)
    outputs = dict.fromkeys(range(100))
    grads = dict.fromkeys(range(100))
    try:
        out = list(_flat(_call(torch, reference, carry, sample)))
        outputs |= {n: array(x) for n, x in enumerate(out) if isinstance(x, torch.Tensor)}
        through = [x for x in out if isinstance(x, torch.Tensor) and x.requires_grad]
        grads |= dict(enumerate(_backward(torch, through, carry))) if through else {}
    except RuntimeError:  # the sample insists on float32: nothing arbitrates
        pass
    return outputs, grads


def _call(ns: Any, op: Any, carry: Carrier, sample: Any) -> Any:
    args = carry((sample.input, *sample.args))
    kwargs = carry(sample.kwargs)
    if hasattr(ns, "manual_seed"):
        ns.manual_seed(42)  # the seed PyTorch's wrapper_set_seed uses around random ops
    return op(*args, **kwargs)


def _compare_gradients(
    op: Any, dtype: torch.dtype, mine: tuple, theirs: tuple, precise: Any, result: Result
) -> bool:
    """False when float64 had to arbitrate."""
    (mine_carried, got), (theirs_carried, wanted) = mine, theirs
    through = [i for i, x in enumerate(wanted) if isinstance(x, torch.Tensor) and x.requires_grad]
    if not through:
        return True
    try:
        expected = _backward(torch, [wanted[i] for i in through], theirs_carried)
    except RuntimeError:
        return True  # PyTorch has no gradient here either
    result.gradient_due += 1
    for i, x in enumerate(got):
        needs = bool(getattr(x, "requires_grad", False))
        if needs != (i in through):
            raise Mismatch(f"output {i} has requires_grad={needs}, PyTorch's {i in through}")
    try:
        actual = _backward(mine_carried.ns, [got[i] for i in through], mine_carried)
    except Exception as error:
        raise Mismatch(f"backward raised {_short(error)}") from error
    equal = True
    for n, (a, e) in enumerate(zip(actual, expected)):
        what = f"gradient of input {n}"
        equal &= compare(a, e, op, dtype, what, lambda n=n: precise()[1][n])
    result.gradient += 1
    return equal


def _backward(ns: Any, outputs: list, carried: Carrier) -> list:
    """Back through every output with fixed random cotangents; the gradient arrays of the leaves."""
    rng = np.random.default_rng(7)
    for n, out in enumerate(outputs, start=1):
        # The same numbers in either precision. Positive: of either sign, sums over broadcast axes cancel, and float32 noise decides
        dy = rng.uniform(0.5, 1.5, tuple(out.shape)).astype(np.float32).astype(array(out).dtype)
        dy = ns.from_numpy(np.asarray(dy))
        if n < len(outputs):
            out.backward(dy, retain_graph=True)
        else:
            out.backward(dy)
    # No path to a leaf is None or zeros, as each library likes: both say that nothing depends on it
    return [
        np.zeros_like(array(leaf)) if leaf.grad is None else array(leaf.grad)
        for leaf in carried.leaves
    ]


def _flat(x: Any, size: type = torch.Size) -> Iterator[Any]:
    if isinstance(x, (tuple, list)) and not isinstance(x, size):
        for item in x:
            yield from _flat(item, size)
    else:
        yield x


def _short(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}"[:300]


def _describe(sample: Any) -> str:
    """f32[2,3] and plain values, as one would type the call."""
    parts = [_word(x) for x in (sample.input, *sample.args)]
    parts += [f"{k}={_word(v)}" for k, v in sample.kwargs.items()]
    return f"({', '.join(parts)})"


def _word(x: Any) -> str:
    if isinstance(x, torch.Tensor):
        kind = str(x.dtype).removeprefix("torch.").replace("float", "f").replace("int", "i")
        return f"{kind}[{','.join(map(str, x.shape))}]"
    if isinstance(x, (list, tuple)):
        inner = ", ".join(_word(i) for i in x)
        return f"[{inner}]" if isinstance(x, list) else f"({inner},)"
    return repr(x)[:60]
