"""Reading and writing the tensors of a module tree by dotted name: `state_dict` and back.

Nothing is written before everything has been checked: a failed load leaves the module as it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from descent.tensor import Size

__all__ = ["LoadReport", "load", "state"]


class LoadReport(NamedTuple):
    """What `load_state_dict(strict=False)` did not find a partner for."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return (
            f"LoadReport(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"
        )


def entries(module: Any, prefix: str = "") -> Iterable[tuple[str, Any]]:
    """Every (name, tensor) to be saved; tied tensors appear under each of their names."""
    for path, m in module.named_modules(prefix=prefix, remove_duplicate=False):
        dot = f"{path}." if path else ""
        for name, p in m._parameters.items():
            if p is not None:
                yield dot + name, p
        for name, b in m._buffers.items():
            if b is not None and name not in m._non_persistent:
                yield dot + name, b


def state(module: Any, destination: Any, prefix: str, keep_vars: bool) -> dict[str, Any]:
    """The tensors by name, sharing memory with the module's, in a dict."""
    found = {} if destination is None else destination
    for name, t in entries(module, prefix.removesuffix(".")):
        found[name] = t if keep_vars else t.detach()
    return found


def load(module: Any, given: Any, strict: bool, assign: bool) -> LoadReport:
    """Copy the numbers of `given` into the module's tensors of the same names.

    Raises:
        TypeError: when `given` is not a mapping.
        RuntimeError: naming every missing and unexpected key and every size that differs.
    """
    if not isinstance(given, Mapping):
        raise TypeError(f"Expected state_dict to be dict-like, got {type(given)}.")
    own = dict(entries(module))
    report = LoadReport([k for k in own if k not in given], [k for k in given if k not in own])
    errors = []
    if strict and report.missing_keys:
        errors.append(f"Missing key(s) in state_dict: {_quoted(report.missing_keys)}. ")
    if strict and report.unexpected_keys:
        errors.append(f"Unexpected key(s) in state_dict: {_quoted(report.unexpected_keys)}. ")
    arrays = {k: _array(k, given[k]) for k in own if k in given}
    errors += [
        f"size mismatch for {k}: copying a param with shape {Size(a.shape)} from checkpoint, "
        f"the shape in current model is {Size(own[k].array.shape)}."
        for k, a in arrays.items()
        if a.shape != own[k].array.shape
    ]
    if errors:
        name = type(module).__name__
        raise RuntimeError(f"Error(s) in loading state_dict for {name}:\n\t" + "\n\t".join(errors))
    for k, a in arrays.items():
        if assign:
            own[k].array = a
        else:
            np.copyto(own[k].array, a, casting="unsafe")
        own[k].version[0] += 1
    return report


def _quoted(names: list[str]) -> str:
    return ", ".join(f'"{n}"' for n in names)


def _array(key: str, value: Any) -> np.ndarray:
    array = getattr(value, "array", value)
    if not isinstance(array, np.ndarray):
        raise RuntimeError(
            f'While copying the parameter named "{key}": expected a tensor or array, '
            f"got {type(value).__name__}"
        )
    return array
