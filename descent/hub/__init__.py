"""Pretrained models in and out: files of other programs, and the folders of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from descent.hub.bundle import Bundle
    from descent.hub.finding import find
    from descent.hub.loading import load
    from descent.hub.pulling import pull
    from descent.hub.saving import save

__all__ = ["Bundle", "find", "load", "pull", "save"]

_PLACES = {
    "Bundle": "bundle", "load": "loading", "save": "saving", "find": "finding", "pull": "pulling",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """Each name is imported when it is first used: `import descent.hub` costs nothing."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
