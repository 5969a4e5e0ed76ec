"""Which files a source means: a file, a folder (searched through), a glob, or a list of these.

The order is that of the names, so it is the same on every machine. A file reached twice, through
a link or two globs, counts once; a loop of links ends where it closes.
"""

import fnmatch
import glob
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from descent.data.errors import DataError

__all__ = ["SKIPPED_FOLDERS", "TEXT_SUFFIXES", "Source", "find_files", "show_source"]

Source = str | os.PathLike | Iterable[str | os.PathLike]
TEXT_SUFFIXES = frozenset(
    ".py .pyi .pyx .txt .text .md .markdown .rst .tex .c .h .cc .hh .cpp .hpp .cxx .cu .m .mm "
    ".java .kt .kts .scala .groovy .clj .js .jsx .mjs .ts .tsx .vue .svelte .go .rs .rb .php "
    ".cs .fs .vb .swift .dart .lua .pl .pm .r .jl .hs .ml .mli .ex .exs .erl .elm .lisp .el "
    ".scm .zig .nim .sh .bash .zsh .fish .ps1 .bat .sql .html .htm .css .scss .less .yaml .yml "
    ".toml .ini .cfg .proto .graphql .cmake .mk .tf .asm .s .f90 .f .pas .ada .v .sv .vhd".split()
)
SKIPPED_FOLDERS = frozenset({"__pycache__", "node_modules", "site-packages", "dist-packages"})


def find_files(
    source: Source,
    *,
    pattern: str | None = None,
    skip_folders: frozenset[str] = SKIPPED_FOLDERS,
    on_skip: Callable[[str, str], None] = lambda name, reason: None,
) -> list[tuple[str, Path]]:
    """The files `source` means, as (name, path), ordered by name.

    Hidden folders, virtual environments and `skip_folders` are not searched. Inside folders only
    TEXT_SUFFIXES are taken, or what matches `pattern` ("*.py"; on the name or the relative path).
    A file or glob named outright is taken whatever its suffix. `on_skip` hears of folders
    that cannot be opened. Raises DataError when nothing is there.
    """
    several = not isinstance(source, str | os.PathLike)
    found: list[tuple[str, Path]] = []
    for item in source if several else [source]:
        for root in _roots(item):
            if root.is_dir():
                prefix = f"{root.resolve().name}/" if several else ""
                inside = _walk(root, pattern, skip_folders, on_skip)
                found += [(prefix + path.relative_to(root).as_posix(), path) for path in inside]
            else:
                found.append((root.name if not several else root.as_posix(), root))
    return _once(sorted(found))


def show_source(source: Source) -> str:
    """`source` for a message."""
    if isinstance(source, str | os.PathLike):
        return str(source)
    items = [str(item) for item in source]
    return ", ".join(items[:3]) + (f" and {len(items) - 3} more" if len(items) > 3 else "")


def _roots(item: str | os.PathLike) -> list[Path]:
    if not os.fspath(item):
        raise DataError("the path is empty; name a file, a folder or a glob")
    path = Path(item).expanduser()
    try:
        if path.exists():
            return [path]
        matches = sorted(glob.glob(str(path), recursive=True)) if glob.has_magic(str(path)) else []
    except (OSError, ValueError) as error:  # a name too long, or with a NUL in it
        raise DataError(f"{str(item)[:200]!r} cannot be looked up: {error}") from None
    if matches:
        return [Path(match) for match in matches]
    if path.is_symlink():
        raise DataError(f"{item} is a link to {os.readlink(path)}, which does not exist")
    kind = "nothing matches" if glob.has_magic(str(path)) else "no such file or folder:"
    raise DataError(f"{kind} {str(item)!r} (looked from {Path.cwd()})")


def _walk(root: Path, pattern: str | None, skip_folders, on_skip) -> Iterator[Path]:
    seen: set[tuple[int, int]] = set()
    pending = [root]
    while pending:
        folder = pending.pop()
        try:
            status = folder.stat()
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            if folder == root:
                raise DataError(f"folder {root} cannot be opened: {error.strerror}") from None
            on_skip(folder.relative_to(root).as_posix() + "/", f"unreadable, {error.strerror}")
            continue
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        if folder != root and any(entry.name == "pyvenv.cfg" for entry in entries):
            continue
        for entry in entries:
            path = folder / entry.name
            if entry.name.startswith("."):
                continue
            if _is_folder(path):
                if entry.name not in skip_folders:
                    pending.append(path)
            elif _wanted(path.relative_to(root), pattern):
                yield path


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False


def _wanted(relative: Path, pattern: str | None) -> bool:
    if pattern is None:
        return relative.suffix.lower() in TEXT_SUFFIXES
    return any(fnmatch.fnmatch(name, pattern) for name in (relative.name, relative.as_posix()))


def _once(found: list[tuple[str, Path]]) -> list[tuple[str, Path]]:
    kept, seen = [], set()
    for name, path in found:
        try:
            status = path.stat()
        except OSError:
            kept.append((name, path))  # reading it will give the reason
            continue
        if (status.st_dev, status.st_ino) not in seen:
            seen.add((status.st_dev, status.st_ino))
            kept.append((name, path))
    return kept
