"""One kind of error for what can't be measured."""

__all__ = ["CostError"]


class CostError(ValueError):
    """A model, batch or size that can't be measured. One sentence that says what can."""
