"""One kind of error for questions that have no answer."""

__all__ = ["QuestionError"]


class QuestionError(ValueError):
    """An op, element or token that is not there; the message says what is. One sentence."""
