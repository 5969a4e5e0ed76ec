"""The view functions as copies: `permute_copy(x, …)` is `permute(x, …).clone()`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from descent.tensor import arranging, joining, shaping

__all__ = [
    "alias_copy", "as_strided_copy", "diagonal_copy", "expand_copy", "permute_copy",
    "split_with_sizes_copy", "squeeze_copy", "t_copy", "transpose_copy", "unbind_copy",
    "unfold_copy", "unsqueeze_copy", "view_copy",
]  # fmt: skip


def _copied(view: Callable[..., Any]) -> Callable[..., Any]:
    def function(input: Any, *args: Any, **kwargs: Any) -> Any:
        y = view(input, *args, **kwargs)
        return tuple(shaping.clone(p) for p in y) if isinstance(y, tuple) else shaping.clone(y)

    function.__name__ = function.__qualname__ = f"{view.__name__}_copy"
    function.__doc__ = f"`{view.__name__}` as a copy."
    return function


def alias_copy(input: Any) -> Any:
    """A copy with history."""
    return shaping.clone(input)


as_strided_copy = _copied(arranging.as_strided)
diagonal_copy = _copied(arranging.diagonal)
expand_copy = _copied(shaping.expand)
permute_copy = _copied(shaping.permute)
split_with_sizes_copy = _copied(joining.split_with_sizes)
squeeze_copy = _copied(shaping.squeeze)
t_copy = _copied(shaping.t)
transpose_copy = _copied(shaping.transpose)
unbind_copy = _copied(joining.unbind)
unfold_copy = _copied(arranging.unfold)
unsqueeze_copy = _copied(shaping.unsqueeze)
view_copy = _copied(shaping.view)
