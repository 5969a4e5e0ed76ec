"""The one exception of the formats: a file that is not what it says it is."""

from __future__ import annotations

from typing import Any

from descent.data.errors import DataError

__all__ = ["FormatError"]


class FormatError(DataError):
    """Which file, at which byte, what was found and what would be right, in one sentence."""

    def __init__(self, path: Any, problem: str, offset: int | None = None) -> None:
        place = "" if offset is None else f", byte {offset}"
        super().__init__(f"{path}{place}: {problem}")
        self.path, self.offset = path, offset
