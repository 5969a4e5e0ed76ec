"""A user's code loaded under a name of its own, so that two versions of it live side by side.

    sorter.py, helpers.py of version 3  →  modules descent_code_3.sorter, descent_code_3.helpers

`import helpers` inside such code finds the version's own `helpers`, at any time: its modules have
an `__import__` that looks in their folder first. Code that stands in no folder of its own
("package.module:Class", installed) is imported as usual and shared. Left out: `importlib`
calls with a sibling's plain name.
"""

from __future__ import annotations

import builtins
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import itertools
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

from descent.deploy.pool import LoadError

__all__ = ["attribute", "forget", "load_file", "load_module"]

_PREFIX = "descent_code_"
_numbers = itertools.count(1)
_plain_import = builtins.__import__


def load_file(file: Path) -> ModuleType:
    """A Python file and what it imports from its folder, as modules of their own.

    Raises `LoadError` with the file, the line and what went wrong there.
    """
    if not file.is_file():
        raise LoadError(f"there is no file {file}")
    return _load(file.parent, file.stem)


def load_module(name: str, folder: Path | None = None) -> ModuleType:
    """ "pkg.mod": from `folder` where it is there (loaded anew), else from what is installed."""
    if folder is not None and _is_local(folder, name.partition(".")[0]):
        return _load(folder, name)
    try:
        return importlib.import_module(name)
    except BaseException as error:
        raise _explained(error, name, None) from error


def attribute(module: ModuleType, path: str) -> Any:
    """A name in a module ("Class", "Outer.Inner"); LoadError lists what there is."""
    found: Any = module
    for step in path.split("."):
        if not hasattr(found, step):
            own = [n for n, v in vars(module).items() if not n.startswith("_") and _own(v, module)]
            there = f"; it has {', '.join(own)}" if own else ""
            raise LoadError(f"{module.__file__ or module.__name__} has no {path!r}{there}")
        found = getattr(found, step)
    return found


def forget(module_name: str) -> None:
    """Drop a version's modules from memory's table; running code keeps what it uses."""
    root = module_name.partition(".")[0]
    if root.startswith(_PREFIX):
        for name in [n for n in sys.modules if n == root or n.startswith(root + ".")]:
            sys.modules.pop(name, None)


def _load(folder: Path, name: str) -> ModuleType:
    root = f"{_PREFIX}{next(_numbers)}"
    package = ModuleType(root, f"Code of {folder}")
    package.__path__ = [str(folder.resolve())]
    package.__dict__["__descent_root__"] = folder.resolve()
    sys.modules[root] = package
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
    importlib.invalidate_caches()
    try:
        return importlib.import_module(f"{root}.{name}")
    except BaseException as error:
        forget(root)
        raise _explained(error, name, folder.resolve()) from error


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the modules of such folders; all others are left to the usual finders."""

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> Any:
        if not fullname.startswith(_PREFIX) or path is None:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and type(spec.loader) is importlib.machinery.SourceFileLoader:
            spec.loader = _Loader(fullname, spec.loader.path)
        return spec


class _Loader(importlib.machinery.SourceFileLoader):
    """Gives a module its own `__import__` before its first line runs; writes no bytecode beside
    code that is a version's record."""

    def exec_module(self, module: ModuleType) -> None:
        root = module.__name__.partition(".")[0]
        module.__dict__["__builtins__"] = {**vars(builtins), "__import__": _import_within(root)}
        super().exec_module(module)

    def set_data(self, path: str, data: Any, *, _mode: int = 0o666) -> None:
        return None


def _import_within(root: str) -> Any:
    def imports(name: str, globals: Any = None, locals: Any = None, fromlist: Any = (),
                level: int = 0) -> ModuleType:  # fmt: skip
        top = name.partition(".")[0]
        package = sys.modules.get(root)
        if level or package is None or not _is_local(package.__dict__["__descent_root__"], top):
            return _plain_import(name, globals, locals, fromlist, level)
        module = importlib.import_module(f"{root}.{name}")
        if not fromlist:
            return sys.modules[f"{root}.{top}"]
        if hasattr(module, "__path__"):  # `from package import submodule`
            for wanted in fromlist:
                if wanted != "*" and not hasattr(module, wanted):
                    _try_submodule(f"{module.__name__}.{wanted}")
        return module

    return imports


def _try_submodule(name: str) -> None:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise


def _is_local(folder: Path, top: str) -> bool:
    """As Python looks in a script's folder: a file, or a package."""
    return (folder / f"{top}.py").is_file() or (folder / top / "__init__.py").is_file()


def _explained(error: BaseException, name: str, folder: Path | None) -> LoadError:
    """Which line of the user's own code failed, and how."""
    if isinstance(error, SyntaxError):
        return LoadError(f"{error.filename}, line {error.lineno}: {error.msg}")
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if folder and Path(f.filename).is_relative_to(folder)]
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if isinstance(error, ModuleNotFoundError):
        what = f"No module named {str(error.name).removeprefix(_root_of(error.name))!r}: install it"
    if own:
        return LoadError(f"{own[-1].filename}, line {own[-1].lineno}: {what}")
    return LoadError(f"can't import {name}: {what}")


def _root_of(name: str | None) -> str:
    return f"{name.partition('.')[0]}." if name and name.startswith(_PREFIX) else ""


def _own(value: Any, module: ModuleType) -> bool:
    return getattr(value, "__module__", module.__name__) == module.__name__ and not isinstance(
        value, ModuleType
    )
