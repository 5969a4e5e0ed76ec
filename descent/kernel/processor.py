"""Which of its units this processor has, without loading a compiler.

has("AVX512F")   NumPy looked when it was imported; the names are its own
"""

from __future__ import annotations

import functools

__all__ = ["has", "vector_floats"]


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
