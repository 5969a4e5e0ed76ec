"""Where Descent keeps what it can make or fetch again: compiled kernels, downloads."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["cache_folder"]


def cache_folder(kind: str) -> Path:
    """The folder for one kind of thing, under `DESCENT_CACHE`, else the user's cache folder
    (`$XDG_CACHE_HOME/descent`, else `~/.cache/descent`)."""
    if chosen := os.environ.get("DESCENT_CACHE"):
        return Path(chosen).expanduser() / kind
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "descent" / kind
