"""Which of its units this processor has, without loading a compiler.

has("AVX512F")   NumPy looked when it was imported; the names are its own
"""

from __future__ import annotations

import functools
from pathlib import Path

__all__ = ["has", "has_amx", "vector_floats"]


@functools.cache
def _features() -> dict[str, bool]:
    try:
        from numpy._core._multiarray_umath import (  # pyright: ignore[reportMissingImports]
            __cpu_features__,  # pyright: ignore[reportAttributeAccessIssue]
        )
    except ImportError:  # not public: a later NumPy may put it elsewhere
        return {}
    return dict(__cpu_features__)


def has(feature: str) -> bool:
    """Whether the processor has a unit, by NumPy's name ("AVX2", "AVX512BF16", "ASIMD", …)."""
    return _features().get(feature, False)


def vector_floats() -> int:
    """float32 in one vector register: 16, 8 or 4."""
    return 16 if has("AVX512F") else 8 if has("AVX2") and has("FMA3") else 4


@functools.cache
def has_amx() -> bool:
    """Whether there is a matrix unit for bf16 and bytes (by Linux's list: NumPy does not look)."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    flags = next((line.split() for line in text.splitlines() if line.startswith("flags")), [])
    return {"amx_tile", "amx_bf16", "amx_int8"} <= set(flags)
