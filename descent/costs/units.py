"""Figures as people read them: three digits and a unit."""

from __future__ import annotations

__all__ = ["duration", "quantity", "size"]

_LARGE = ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k"))


def _digits(x: float) -> str:
    return f"{float(f'{x:.3g}'):g}"


def quantity(n: float) -> str:
    """1234567 → "1.23 M"."""
    for unit, name in _LARGE:
        if n >= unit:
            return _digits(n / unit) + name
    return _digits(n)


def size(n_bytes: float) -> str:
    """1234567 → "1.23 MB"."""
    return f"{quantity(n_bytes)}B" if n_bytes >= 1e3 else f"{n_bytes:.0f} B"


def duration(seconds: float) -> str:
    """0.00123 → "1.23 ms"."""
    for unit, name in ((1.0, "s"), (1e-3, "ms")):
        if seconds >= unit:
            return f"{_digits(seconds / unit)} {name}"
    return f"{_digits(1e6 * seconds)} µs"
