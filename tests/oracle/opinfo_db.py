"""PyTorch's own op descriptions (`op_db`): names, samples, tolerances. Loaded once per process."""

from __future__ import annotations

import functools
import random
import sys
import types
import unittest
import warnings
from collections.abc import Iterator

import numpy as np
import torch

__all__ = ["dtypes_of", "key_of", "load", "samples_of", "tolerance"]

FLOATS = (torch.float32, torch.float64)
# Test classes whose toleranceOverride is about comparing two implementations of the op on the CPU;
# overrides for compilers, forward-mode AD, MPS and the like say nothing about us.
COMPARING = ("TestCommon", "TestUnaryUfuncs", "TestBinaryUfuncs", "TestReductions", None)


@functools.cache
def load() -> dict[str, object]:
    """{name or name.variant: OpInfo} of every op PyTorch describes."""
    if "expecttest" not in sys.modules:  # a test helper torch's module imports and op_db never uses
        stub = types.ModuleType("expecttest")
        stub.TestCase = unittest.TestCase
        stub.assert_expected_inline = None
        sys.modules["expecttest"] = stub
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch.testing._internal.common_methods_invocations import op_db
    return {key_of(op): op for op in op_db}


def key_of(op) -> str:
    return f"{op.name}.{op.variant_test_name}" if op.variant_test_name else op.name


def dtypes_of(op) -> tuple[torch.dtype, ...]:
    """float32 and float64 where the op has them; an op for integers alone is measured in int64."""
    floats = tuple(d for d in FLOATS if op.supports_dtype(d, "cpu"))
    return floats or ((torch.int64,) if op.supports_dtype(torch.int64, "cpu") else ())


def samples_of(op, dtype: torch.dtype) -> list:
    """Every sample input, the same ones on every call."""
    torch.manual_seed(0)
    random.seed(0)
    np.random.seed(0)
    grad = op.supports_autograd and dtype in op.supported_backward_dtypes("cpu")
    return list(op.sample_inputs("cpu", dtype, requires_grad=grad))


def tolerance(op, dtype: torch.dtype, out: np.dtype) -> tuple[float, float]:
    """(rtol, atol): torch.testing.assert_close's for `out`, or the op's own where that is wider."""
    rtol, atol = {"float16": (1e-3, 1e-5), "float32": (1.3e-6, 1e-5), "float64": (1e-7, 1e-7)}.get(
        out.name, (0.0, 0.0)
    )
    for table in _overrides(op):
        if dtype in table and rtol:
            own = table[dtype]  # toleranceOverride: tol(atol, rtol); precisionOverride: atol alone
            rtol, atol = (
                max(rtol, getattr(own, "rtol", 0)),
                max(atol, own if isinstance(own, float) else own.atol),
            )
    return rtol, atol


def _overrides(op) -> Iterator[dict]:
    for decorator in op.decorators:
        if getattr(decorator, "cls_name", None) not in COMPARING:
            continue
        if getattr(decorator, "device_type", None) not in (None, "cpu"):
            continue
        if not getattr(decorator, "active_if", True):
            continue
        for inner in getattr(decorator, "decorators", [decorator]):
            if isinstance(getattr(inner, "d", None), dict):
                yield inner.d
