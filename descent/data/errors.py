"""The one exception of the data floor: bad input, said in a sentence."""

__all__ = ["DataError"]


class DataError(ValueError):
    """What was wrong, where, and what would be right; the command line prints it as it stands."""
