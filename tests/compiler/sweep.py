"""Every op of PyTorch's list, on PyTorch's own samples, through `descent.compile`: forward, backward,
and again with other numbers in the same places. Counts what is equal, refused (why) or WRONG.

    DESCENT_COMPILE=0 python -m tests.compiler.sweep [--each 6] [--ops add,sum] [--wrong]

Not part of the quick tests: minutes. Exits with 1 when something is wrong.
"""

from __future__ import annotations

import argparse
import logging
import sys
import warnings
from collections import Counter
from typing import Any

import numpy as np
import torch

import descent as dc
from descent.autograd import TensorBase
from tests.compiler.beside import same
from tests.oracle.carry import Carrier, LeftOut
from tests.oracle.coverage import namespace_of
from tests.oracle.measure import _describe, _flat
from tests.oracle.opinfo_db import load, samples_of
from tests.oracle.resolve import find


class World:
    """One sample in tensors of its own, and the step that runs the op on them and walks back."""

    def __init__(self, ns: Any, op: Any, sample: Any) -> None:
        carry = Carrier(ns)
        self.args = carry((sample.input, *sample.args))
        self.kwargs = carry(sample.kwargs)
        leaves = carry.leaves
        self.tensors = [t for t in carry._seen.values() if isinstance(t, TensorBase)]
        self.leaves = leaves

        def step(*args: Any, **kwargs: Any) -> Any:
            for t in leaves:
                t.grad = None
            out = [o for o in _flat(op(*args, **kwargs), dc.Size)]
            loss: Any = 0
            for o in out:
                if isinstance(o, TensorBase) and o.requires_grad:
                    n = o.numel()
                    weights = np.linspace(0.5, 1.5, n, dtype=np.float32).astype(o.array.dtype)
                    loss = loss + (o * dc.tensor(weights).reshape(o.shape)).sum()
            if isinstance(loss, TensorBase) and loss.requires_grad:
                loss.backward()
            return out

        self.step = step

    def call(self, step: Any) -> list[Any]:
        dc.manual_seed(42)
        try:
            out = [np.array(o.array) if isinstance(o, TensorBase) else o
                   for o in step(*self.args, **self.kwargs)]  # fmt: skip
        except Exception as error:
            out = [type(error).__name__]
        return [out, [None if t.grad is None else np.array(t.grad.array) for t in self.leaves]]

    def move(self) -> None:
        """Other numbers in the same memory."""
        for t in self.tensors:
            if t.array.dtype.kind == "f" and t.array.flags.writeable:
                with np.errstate(all="ignore"):
                    t.array[...] = t.array * np.float32(0.875)


def outcome(ns: Any, ours: Any, sample: Any) -> tuple[str, str]:
    """("equal" | "refused" | "raises" | "wrong", details)."""
    eager, compiled = World(ns, ours, sample), World(ns, ours, sample)
    step = dc.compile(compiled.step, keep_grads=True)
    for i in range(2):
        expected, got = eager.call(eager.step), compiled.call(step)
        try:
            same(expected, got, 1e-4, 1e-5, f"call {i}")
        except AssertionError as error:
            refused = f" [refused: {step.refused}]" if step.refused else ""
            return "wrong", " ".join(str(error).split())[:220] + refused
        if expected[0] and isinstance(expected[0][0], str) and len(expected[0]) == 1:
            return "raises", expected[0][0]
        if i == 0:
            eager.move(), compiled.move()
    return ("refused", step.refused) if step.refused else ("equal", "")


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--each", type=int, default=6, help="samples per op")
    parser.add_argument("--ops", default="")
    parser.add_argument("--wrong", action="store_true", help="print only what is wrong")
    given = parser.parse_args()
    logging.getLogger("descent.compile").setLevel(logging.CRITICAL)
    warnings.simplefilter("ignore")
    ns = namespace_of("descent")
    counts: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    ops: dict[str, set[str]] = {}
    for key, op in load().items():
        ours = find(ns, op.name, op.variant_test_name)
        if ours is None or (given.ops and key not in given.ops.split(",")):
            continue
        if "empty" in key or not op.supports_dtype(torch.float32, "cpu"):  # empty: any numbers do
            continue
        samples = samples_of(op, torch.float32)
        for n in sorted({round(x) for x in np.linspace(0, len(samples) - 1, given.each)}):
            try:
                what, why = outcome(ns, ours, samples[n])
            except LeftOut:
                continue
            counts[what] += 1
            ops.setdefault(what, set()).add(key)
            if what == "wrong":
                print("WRONG", key, _describe(samples[n])[:90], why, flush=True)
            if what == "refused":
                reasons[why.split(":", 1)[-1][:90]] += 1
                ops.setdefault("R " + why[:90], set()).add(key)
    print(dict(counts))
    print({what: len(keys) for what, keys in ops.items() if not what.startswith("R ")})
    if not given.wrong:
        for reason, n in reasons.most_common(60):
            names = {
                k for r, keys in ops.items() if r.startswith("R ") and reason in r for k in keys
            }
            print(f"{n:5} {reason}   {', '.join(sorted(names)[:12])}")
    return int(counts["wrong"] > 0)


if __name__ == "__main__":
    sys.exit(main())
