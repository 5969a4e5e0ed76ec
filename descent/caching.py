"""Where Descent keeps what it can make again or fetch again: kernels, written source, downloads."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

__all__ = ["cache_folder", "source_module"]


def cache_folder(kind: str) -> Path:
    """The folder for one kind of thing, under `DESCENT_CACHE`, else the user's cache folder
    (`$XDG_CACHE_HOME/descent`, else `~/.cache/descent`)."""
    if chosen := os.environ.get("DESCENT_CACHE"):
        return Path(chosen).expanduser() / kind
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "descent" / kind


def source_module(kind: str, name: str, text: str) -> ModuleType:
    """Written Python as a module from a real file in the cache folder: it can be read, stepped in a
    debugger, and its compiled form kept. The file is rewritten when it does not hold this text."""
    import hashlib  # loads OpenSSL: not for `import descent`

    file = f"{name}_{hashlib.sha256(text.encode()).hexdigest()[:12]}.py"
    path = cache_folder(kind) / file
    try:
        _write(path, text)
    except OSError:  # a read-only home
        import tempfile

        path = Path(tempfile.mkdtemp(prefix="descent-")) / file
        _write(path, text)
    spec = importlib.util.spec_from_file_location(f"descent_written_{path.stem}", path)
    assert spec is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    exec(compile(text, str(path), "exec"), module.__dict__)
    return module


def _write(path: Path, text: str) -> None:
    """Write unless it is there already: compiled forms are keyed by the file's time."""
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)
