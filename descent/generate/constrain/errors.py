"""The one error of constraints."""

from __future__ import annotations

__all__ = ["ConstraintError"]


class ConstraintError(ValueError):
    """A pattern or schema that cannot be kept to; the message says where and why."""
