"""Mixed precision and compilation as PyTorch scripts ask for them: everything stays float32, eager.

`autocast` and `GradScaler` are there so that scripts run; numbers are those of plain float32.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from typing import Any

from descent.compat.torch_like.notes import note_once
from descent.dtypes import dtype

__all__ = [
    "GradScaler", "autocast", "bfloat16", "compile", "get_float32_matmul_precision",
    "set_float32_matmul_precision",
]  # fmt: skip

_precision = {"float32": "highest"}


class _Absent(dtype):
    """A number type that can be named (for `autocast`) but not computed in."""

    __slots__ = ()

    def __init__(self, name: str, itemsize: int) -> None:
        self.name, self.itemsize, self.category = name, itemsize, 2
        self.is_floating_point, self.is_complex = True, False

    @property
    def np(self) -> Any:
        """Raises TypeError: there is no such array."""
        raise TypeError(f"{self.name} tensors are not in Descent: use float32")


bfloat16 = _Absent("bfloat16", 2)


class autocast(contextlib.ContextDecorator):
    """Context manager and decorator without effect, but a note when it was asked for 16 bits."""

    def __init__(
        self, device_type: str = "cpu", dtype: Any = None, enabled: bool = True, **options: Any
    ) -> None:
        if enabled:
            note_once("autocast has no effect: Descent computes in float32 here")

    def __enter__(self) -> autocast:
        return self

    def __exit__(self, *exc: object) -> None:
        return None


class GradScaler:
    """Loss scaling with the factor 1: float32 gradients do not underflow."""

    def __init__(self, *args: Any, **options: Any) -> None:
        pass

    def scale(self, outputs: Any) -> Any:
        """The outputs."""
        return outputs

    def unscale_(self, optimizer: Any) -> None:
        """Nothing to undo."""

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """`optimizer.step()`."""
        return optimizer.step(*args, **kwargs)

    def update(self, new_scale: Any = None) -> None:
        """The factor stays 1."""

    def get_scale(self) -> float:
        """1."""
        return 1.0

    def is_enabled(self) -> bool:
        """False."""
        return False

    def state_dict(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Nothing to restore."""


def compile(model: Callable[..., Any] | None = None, **options: Any) -> Any:
    """The function or module itself: ops are compiled one by one anyway."""
    if model is None:
        return functools.partial(compile, **options)
    note_once("torch.compile returns its argument: every op of Descent is compiled by itself")
    return model


def set_float32_matmul_precision(precision: str) -> None:
    """Remembered; products are always computed in full float32."""
    if precision not in ("highest", "high", "medium"):
        raise RuntimeError(f"precision must be highest, high or medium, got {precision!r}")
    _precision["float32"] = precision


def get_float32_matmul_precision() -> str:
    """What was set."""
    return _precision["float32"]
