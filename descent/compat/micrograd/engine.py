"""micrograd.engine: `Value`."""

from descent.scalar import Value

__all__ = ["Value"]
