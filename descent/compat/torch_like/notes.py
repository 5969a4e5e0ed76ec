"""Notes to the person who runs a script: each on stderr, each once."""

from __future__ import annotations

import sys

__all__ = ["note_once"]

_said: set[str] = set()


def note_once(text: str) -> None:
    """Say `text` on stderr unless it has been said: stdout belongs to the script."""
    if text not in _said:
        _said.add(text)
        print(f"descent: {text}", file=sys.stderr)
