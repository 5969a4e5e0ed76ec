"""Printing tensors as PyTorch does: a common width, 4 digits, the edges of large tensors.

Floats that are all whole numbers print as `1.`; numbers print as 1.0000e+05 when the largest is
more than 1000 times the smallest, or above 10⁸, or when the smallest is below 10⁻⁴. After the
numbers stand the size when it can't be seen, the dtype when it is not the usual one, and history.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from descent.autograd import current_node
from descent.dtypes import get_default_dtype

__all__ = ["get_printoptions", "printoptions", "set_printoptions", "to_string"]


@dataclass
class _Options:
    precision: int = 4
    threshold: float = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None


_options = _Options()
_PROFILES = {
    "default": _Options(),
    "short": _Options(precision=2, edgeitems=2),
    "full": _Options(threshold=math.inf),
}


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """How tensors print from now on; what is left out stays, but sci_mode becomes automatic.

    Args:
        precision: digits after the point. threshold: elements above which only edges print.
        edgeitems: elements at each edge. linewidth: characters a line.
        profile: "default", "short" or "full". sci_mode: force or forbid 1.0000e+05.
    """
    if profile is not None:
        if profile not in _PROFILES:
            raise ValueError(f"profile must be one of {', '.join(_PROFILES)}; got {profile!r}")
        vars(_options).update(asdict(_PROFILES[profile]))
    given = {
        "precision": precision, "threshold": threshold, "edgeitems": edgeitems,
        "linewidth": linewidth,
    }  # fmt: skip
    vars(_options).update({k: v for k, v in given.items() if v is not None})
    _options.sci_mode = sci_mode


def get_printoptions() -> dict[str, Any]:
    """The options in force."""
    return asdict(_options)


@contextmanager
def printoptions(**options: Any) -> Iterator[None]:
    """`set_printoptions` for the lines of a `with`."""
    before = asdict(_options)
    set_printoptions(**options)
    try:
        yield
    finally:
        vars(_options).update(before)


def _edges(a: np.ndarray) -> np.ndarray:
    """The elements that a summary shows."""
    e = _options.edgeitems
    for d in range(a.ndim):
        if a.shape[d] > 2 * e:
            n = a.shape[d]
            a = a.take([*range(e), *range(n - e, n)], d)
    return a


class _Numbers:
    """How one number prints, decided from all that are shown."""

    def __init__(self, shown: np.ndarray) -> None:
        self.floats = shown.dtype.kind == "f"
        self.scientific, self.whole, self.width = False, True, 1
        values = shown.ravel()
        if self.floats:
            values = values[np.isfinite(values) & (values != 0)].astype(np.float64)
            if values.size:
                self._choose(values)
        texts = [self._text(v) for v in values.tolist()]
        self.width = max([1, *map(len, texts)])

    def _choose(self, values: np.ndarray) -> None:
        size = np.abs(values)
        least, most = float(size.min()), float(size.max())
        self.whole = bool((values == np.ceil(values)).all())
        wide = most / least > 1000 or most > 1e8 or least < 1e-4
        self.scientific = wide if _options.sci_mode is None else _options.sci_mode

    def _text(self, value: Any) -> str:
        if not self.floats:
            return f"{value}"
        if self.scientific:
            return f"{value:.{_options.precision}e}"
        if self.whole:
            return f"{value:.0f}." if math.isfinite(value) else f"{value:.0f}"
        return f"{value:.{_options.precision}f}"

    def format(self, value: Any) -> str:
        return self._text(value).rjust(self.width)


def _vector(a: np.ndarray, indent: int, summarize: bool, numbers: _Numbers) -> str:
    e = _options.edgeitems
    if summarize and not e:
        items = ["..."]
    elif summarize and len(a) > 2 * e:
        first, last = a[:e].tolist(), a[-e:].tolist()
        items = [*map(numbers.format, first), " ...", *map(numbers.format, last)]
    else:
        items = [numbers.format(v) for v in a.tolist()]
    per_line = max(1, (_options.linewidth - indent) // (numbers.width + 2))
    lines = [", ".join(items[i : i + per_line]) for i in range(0, len(items), per_line)]
    return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"


def _block(a: np.ndarray, indent: int, summarize: bool, numbers: _Numbers) -> str:
    if a.ndim == 0:
        return numbers.format(a.item())
    if a.ndim == 1:
        return _vector(a, indent, summarize, numbers)
    e, rows = _options.edgeitems, range(len(a))
    cut = summarize and len(a) > 2 * e
    shown = [*rows[:e], *rows[len(a) - e :]] if cut else [*rows]
    parts = [_block(a[i], indent + 1, summarize, numbers) for i in shown]
    if cut:
        parts.insert(e, "...")
    return "[" + ("," + "\n" * (a.ndim - 1) + " " * (indent + 1)).join(parts) + "]"


def _body(a: np.ndarray, indent: int) -> str:
    if not a.size:
        return "[]"
    summarize = a.size > _options.threshold
    return _block(a, indent, summarize, _Numbers(_edges(a) if summarize else a))


def _suffixes(t: Any) -> list[str]:
    a, found = t.array, []
    default = get_default_dtype().np
    if (not a.size and a.ndim != 1) or (a.size and not _options.edgeitems):
        found.append(f"size={tuple(a.shape)}")
    usual = (default,) if not a.size else (default, np.dtype(np.int64), np.dtype(np.bool_))
    if a.dtype not in usual:
        found.append(f"dtype=torch.{a.dtype.name}")
    node = current_node(t)
    if node is not None:
        found.append(f"grad_fn=<{node.name()}>")
    elif t.requires_grad:
        found.append("requires_grad=True")
    return found


def to_string(self: Any) -> str:
    """`tensor([1., 2.], requires_grad=True)`."""
    prefix = "tensor("
    text = prefix + _body(self.array, len(prefix))
    column = len(text) - text.rfind("\n") + 1
    for suffix in _suffixes(self):
        if column + len(suffix) + 2 > _options.linewidth:
            text += ",\n" + " " * len(prefix) + suffix
            column = len(prefix) + len(suffix)
        else:
            text += ", " + suffix
            column += len(suffix) + 2
    return text + ")"
