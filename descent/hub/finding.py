"""A model argument to a path on this machine: a path, a run's name, a short name, a hub's name.

Looks only; `descent.hub.pulling` fetches. Needs nothing but the standard library.
"""

from __future__ import annotations

from pathlib import Path

from descent.hub.boxed import boxed
from descent.hub.cache import ModelCache
from descent.hub.known import KNOWN
from descent.hub.naming import HubError, HubName

__all__ = ["find", "missing"]


def find(
    name_or_path: str | Path, *, revision: str | None = None, quant: str | None = None
) -> Path:
    """Where the model lies: a folder or a file.

    A path that exists wins over a name; `complete` also means `runs/complete`; `descent-code` is
    the model in the package.

    Raises:
        HubError: not on this machine, with the command that would fetch it.
    """
    text = str(name_or_path)
    if not text.startswith("hf://"):
        for path in (Path(text).expanduser(), Path("runs") / text):
            if path.exists():
                return path
        if found := boxed(text):
            return found
        if _looks_like_a_path(text):
            raise HubError(f"there is no file or folder {text}")
    name = HubName.parse(text, revision=revision, quant=quant)
    local = ModelCache(name.repo).local(name)
    if local is None:
        raise HubError(missing(name))
    return local


def missing(name: HubName) -> str:
    """That a model is not here, and what fetches it."""
    short = [alias for alias, known in KNOWN.items() if known.repo == name.repo]
    # A short name stands for one quantisation: it says the same only if that one is asked for.
    exact = [alias for alias in short if KNOWN[alias].quant == name.quant]
    shown = exact[0] if exact and name.revision == "main" else str(name)
    return f"{name} is not on this machine: `descent pull {shown}` fetches it"


def _looks_like_a_path(text: str) -> bool:
    path = Path(text)
    return (
        text.startswith((".", "/", "~"))
        or len(path.parts) > 2
        or path.suffix in {".bin", ".gguf", ".pt", ".pth", ".safetensors", ".json"}
    )
