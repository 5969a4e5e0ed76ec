"""What was sent for a version, kept so that it can be started again after the original changed.

    a folder of code     copied: the folder the file stands in, or the spec's folder
    a large folder       of it, the file and the Python files beside it that it imports
    a run folder         every file hard linked: Descent replaces files whole, so the version keeps
                         the weights it was deployed with and costs no disk
    an installed module, a hub's name      nothing to keep

Hidden files, caches and virtual environments are never code. The hash is SHA-256 over names and
contents (of files beyond 1 MB: sizes and modification times).
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from descent.deploy.errors import DeployError

__all__ = ["Kept", "chosen_files", "forget", "keep"]

MOST_FILES = 2_000
MOST_BYTES = 64_000_000
_LARGE = 1_000_000
_SKIPPED = {"__pycache__", "node_modules", "venv", "env", "dist", "build", "site-packages"}
_MODEL_FILES = (".json", ".safetensors", ".gguf", ".bin", ".onnx", ".pt", ".pth")
MOST_RUN_FILES = 20_000


@dataclass(frozen=True)
class Kept:
    """`service` as it is written relative to the kept folder; `notes` for who deployed."""

    service: str | None
    hash: str
    notes: tuple[str, ...] = ()


def keep(service: str | None, base: Path | None, folder: Path) -> Kept:
    """Copy or link into `folder` what `service`, as written in a spec standing in `base`, needs.

    Raises `DeployError` where a file that is named does not exist.
    """
    folder.mkdir(parents=True, exist_ok=True)
    kept = _kept(service, base, folder)
    _settle(folder)
    return kept


def _kept(service: str | None, base: Path | None, folder: Path) -> Kept:
    if service is None:
        return _keep_folder(base, folder)
    path, colon, attribute = service.partition(":")
    if path.endswith(".py"):
        return _keep_code(Path(path), attribute, base, folder)
    if not colon:
        where = (base / path if base is not None else Path(path)).expanduser()
        if where.is_dir() or where.is_file():
            return _keep_run(where.resolve(), folder)
        if path.startswith((".", "/", "~")):
            raise DeployError(f"there is no file or folder {where}")
        return Kept(service, _text_hash(service))
    if base is not None and _module_file(base, path) is not None:
        return _keep_module(path, attribute, base, folder)
    return Kept(service, _text_hash(service))


def chosen_files(base: Path, services: Sequence[str | None]) -> list[Path]:
    """The files of `base` that go to a node elsewhere. Raises `DeployError` where they are many."""
    wholes = []  # a run folder named as the target is sent alone
    for service in services:
        path, colon, _ = (service or "").partition(":")
        if service and not colon and (base / path).is_dir():
            wholes += [f for f in sorted((base / path).rglob("*")) if f.is_file()]
    if wholes and len(services) == 1:
        return wholes
    files = _few_files(base)
    if files is None:
        raise DeployError(
            f"{base} has more than {MOST_FILES:,} files or {MOST_BYTES // 10**6} MB: put what is "
            "to be deployed into a folder of its own"
        )
    return files + [file for file in wholes if file not in files]


def forget(folder: Path) -> None:
    """Remove what a version kept; what it was linked from stays."""
    shutil.rmtree(folder, ignore_errors=True)


def _keep_folder(base: Path | None, folder: Path) -> Kept:
    """A spec without a service: its containers' commands run in a copy of the spec's folder."""
    if base is None:
        return Kept(None, _text_hash(""))
    files = _few_files(base)
    if files is None:
        note = f"{base} is large: commands run in it, not in a copy"
        _link(base, folder)
        return Kept(None, _text_hash(str(base)), (note,))
    _copy(base, files, folder)
    return Kept(None, _tree_hash(folder))


def _keep_code(file: Path, attribute: str, base: Path | None, folder: Path) -> Kept:
    file = (file if base is None else base / file.expanduser()).expanduser()
    if not file.is_file():
        raise DeployError(f"there is no file {file}")
    file = file.resolve()
    inside = base is not None and file.is_relative_to(base.resolve())
    root = base.resolve() if inside and base is not None else file.parent
    named = f"{file.relative_to(root)}:{attribute}" if attribute else str(file.relative_to(root))
    files = _few_files(root)
    if files is None and root != file.parent:
        root, named = file.parent, f"{file.name}:{attribute}" if attribute else file.name
        files = _few_files(root)
    if files is not None:
        _copy(root, files, folder)
        return Kept(named, _tree_hash(folder))
    files = sorted(_imported(file, root))
    _copy(root, files, folder)
    taken = ", ".join(str(each.relative_to(root)) for each in files)
    note = f"{root} has more than {MOST_FILES:,} files or {MOST_BYTES // 10**6} MB: taken {taken}"
    return Kept(named, _tree_hash(folder), (note,))


def _keep_module(module: str, attribute: str, base: Path, folder: Path) -> Kept:
    files = _few_files(base)
    notes: tuple[str, ...] = ()
    if files is None:
        entry = _module_file(base, module)
        assert entry is not None
        files = sorted(_imported(entry, base))
        notes = (f"{base} is large: taken {len(files)} Python files that {module} imports",)
    _copy(base, files, folder)
    return Kept(f"{module}:{attribute}", _tree_hash(folder), notes)


def _keep_run(where: Path, folder: Path) -> Kept:
    """A run folder or a model file: linked under its own name."""
    target = folder / where.name
    if where.is_file():
        _link(where, target)
        return Kept(where.name, _tree_hash(folder))
    if not any(name.endswith(_MODEL_FILES) for name in os.listdir(where)):
        raise DeployError(
            f"{where} is neither a run nor a model: it has no {', '.join(_MODEL_FILES)} file"
        )
    left = MOST_RUN_FILES
    for root, folders, names in os.walk(where):
        folders[:] = [name for name in folders if name not in _SKIPPED]
        left -= len(names)
        if left < 0:
            raise DeployError(f"{where} has more than {MOST_RUN_FILES:,} files: that is no run")
        inside = target / Path(root).relative_to(where)
        inside.mkdir(parents=True, exist_ok=True)
        for name in names:
            if not name.endswith(".part"):
                _link(Path(root) / name, inside / name)
    return Kept(where.name, _tree_hash(folder))


def _settle(folder: Path) -> None:
    """What is kept survives a power cut, as the record that will name it does."""
    for where, _, names in os.walk(folder):
        for path in [*(os.path.join(where, name) for name in names), where]:
            with contextlib.suppress(OSError):  # a link to what is not ours to write
                handle = os.open(path, os.O_RDONLY)
                try:
                    os.fsync(handle)
                finally:
                    os.close(handle)


def _link(source: Path, target: Path) -> None:
    """A hard link to a file; to a folder, or across file systems, a symbolic one."""
    if target.is_dir() and not any(target.iterdir()):
        target.rmdir()
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_file():
        with contextlib.suppress(OSError):
            os.link(source, target, follow_symlinks=True)
            return
    target.symlink_to(source.resolve())


def _few_files(root: Path) -> list[Path] | None:
    """Every file of a folder of code; None as soon as there are too many."""
    files, total = [], 0
    for file in _walk(root):
        total += file.stat().st_size
        files.append(file)
        if len(files) > MOST_FILES or total > MOST_BYTES:
            return None
    return files


def _walk(root: Path) -> Iterator[Path]:
    for where, folders, names in os.walk(root):
        folders[:] = sorted(f for f in folders if not _passed_over(Path(where) / f))
        for name in sorted(names):
            file = Path(where) / name
            if not name.startswith(".") and not name.endswith(".pyc") and file.is_file():
                yield file


def _passed_over(folder: Path) -> bool:
    hidden = folder.name.startswith(".") or folder.name in _SKIPPED
    return hidden or (folder / "pyvenv.cfg").exists()


def _copy(root: Path, files: list[Path], folder: Path) -> None:
    for file in files:
        target = folder / file.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file, target)


def _imported(entry: Path, root: Path) -> set[Path]:
    """`entry` and the Python files under `root` that it imports, directly or not."""
    found: set[Path] = set()
    waiting = [entry]
    while waiting:
        file = waiting.pop()
        if file in found:
            continue
        found.add(file)
        for name in _names_imported(file):
            if (other := _module_file(root, name)) is not None:
                waiting.append(other)
                init = other.parent / "__init__.py"
                waiting += [init] if init.is_file() and init != other else []
    return found


def _names_imported(file: Path) -> Iterator[str]:
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):
        return  # loading it will say so, with the line
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _module_file(root: Path, module: str) -> Path | None:
    path = root.joinpath(*module.split("."))
    for file in (path.with_suffix(".py"), path / "__init__.py"):
        if file.is_file():
            return file
    return None


def _tree_hash(folder: Path) -> str:
    digest = hashlib.sha256()
    for where, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            file = Path(where) / name
            digest.update(str(file.relative_to(folder)).encode() + b"\0")
            state = file.stat()
            if state.st_size > _LARGE:
                digest.update(f"{state.st_size} {state.st_mtime_ns}".encode())
            else:
                digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def _text_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
