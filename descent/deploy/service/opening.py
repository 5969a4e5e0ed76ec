"""What a spec's `service` names, as an instance with load, predict and the rest.

    runs/names · model.gguf · gpt2       a run, a file, a hub's name: its goal's own service
    sorter.py:Sorter · pkg.mod:Sorter    a class, made with `config`
    sorter.py:sort                       a function: it is predict
    sorter.py:model                      a fitted estimator, a network, an ASGI app, an instance
    Sorter, Sorter()                     the thing itself

Nothing is loaded here but code; `load()` opens models. Reference: uvicorn's "module:attribute".
"""

from __future__ import annotations

import inspect
import json
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from descent.deploy.pool import LoadError
from descent.deploy.service import modules
from descent.deploy.service.estimators import from_estimator, from_module, is_estimator, is_module

__all__ = ["open_target"]


def open_target(
    target: Any,
    config: Mapping[str, Any] | None = None,
    *,
    folder: Path | None = None,
    name: str | None = None,
) -> Any:
    """The instance to load and ask.

    Args:
        target: as above; text, a path, or the thing itself.
        config: the spec's `config`.
        folder: what relative paths and "pkg.mod" are relative to; None: the working directory.
        name: the API's name, which a text model's own API calls it by.

    Raises:
        LoadError: nothing there, an error in the code (its file and line), a config that does not
            fit, or no predict.
    """
    given = dict(config or {})
    if not isinstance(target, str | Path):
        return _checked(_instance(target, given, "the service"), "the service")
    text = str(target)
    where, colon, path = text.rpartition(":")
    if not colon or text.startswith("hf://") or "/" in path or "\\" in path:
        return _model(text, given, folder, name)
    if not path or not where:
        raise LoadError(f"{text!r}: write file.py:Class or package.module:Class")
    module = _module(where, folder)
    try:
        made = _checked(_instance(modules.attribute(module, path), given, path), path)
    except BaseException:
        modules.forget(module.__name__)
        raise
    _forget_with(made, module.__name__)
    return made


def _module(where: str, folder: Path | None) -> Any:
    if where.endswith(".py"):
        file = Path(where).expanduser()
        return modules.load_file(file if file.is_absolute() or folder is None else folder / file)
    if "/" in where or "\\" in where:
        raise LoadError(f"{where!r} should end with .py (or be a package's dotted name)")
    return modules.load_module(where, folder if folder is not None else Path.cwd())


def _instance(found: Any, config: dict[str, Any], called: str) -> Any:
    if is_estimator(found):
        return from_estimator(found)
    if is_module(found):
        try:
            return from_module(found, config)
        except ValueError as error:
            raise LoadError(str(error)) from None
    if _is_asgi(found):
        return _Application(found)
    if isinstance(found, type):
        return _made(found, config, called)
    if inspect.isfunction(found) or (inspect.isroutine(found) and not inspect.isclass(found)):
        return _Function(found)
    return found


def _made(cls: type, config: dict[str, Any], called: str) -> Any:
    """`cls(config)`, `cls(**config)` or `cls()`, as its `__init__` is written."""
    try:
        arguments = inspect.signature(cls)
    except (TypeError, ValueError):
        arguments = inspect.Signature()
    parameters = list(arguments.parameters.values())
    if (
        parameters
        and parameters[0].name == "config"
        and parameters[0].kind is not parameters[0].VAR_KEYWORD
    ):
        positional, named = (config,), {}
    else:
        positional, named = (), config
    try:
        arguments.bind(*positional, **named)
    except TypeError as error:
        known = ", ".join(str(p) for p in parameters) or "nothing"
        raise LoadError(f"config does not fit {called}({known}): {error}") from None
    try:
        return cls(*positional, **named)
    except LoadError:
        raise
    except Exception as error:
        raise LoadError(f"{called} can't be made: {_where(error)}") from error


def _where(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    at = f"{trace.tb_frame.f_code.co_filename}, line {trace.tb_lineno}: " if trace else ""
    return f"{at}{type(error).__name__}: {error}"


def _checked(made: Any, called: str) -> Any:
    if callable(getattr(made, "predict", None)) or getattr(made, "asgi", None) is not None:
        return made
    if callable(made):
        return _Function(made.__call__)
    raise LoadError(f"{called} ({type(made).__name__}) has no `predict` method: add one")


def _model(text: str, config: dict[str, Any], folder: Path | None, name: str | None) -> Any:
    """A run folder by its goal; any other model is one that continues text."""
    from descent.deploy.service.texts import Completions, Translations

    path = Path(text).expanduser()
    if folder is not None and not path.is_absolute() and (folder / path).exists():
        path = folder / path
    if path.suffix in (".pkl", ".pickle", ".joblib"):
        raise LoadError(f"{path}: pickles run code as they load; import the model in a file.py")
    if path.suffix == ".py":
        raise LoadError(f"{text}: say which class or function serves, as {text}:Class")
    if path.is_dir() and _goal(path) == "translate":
        if config:
            raise LoadError(f"config.{next(iter(config))}: a translation has no options")
        return Translations(path)
    return Completions(path if path.exists() else text, config, name)


def _goal(folder: Path) -> str | None:
    try:
        return json.loads((folder / "config.json").read_text(encoding="utf-8")).get("goal")
    except (OSError, ValueError, AttributeError):
        return None


class _Function:
    """A function as a service; its kind and its annotations stay visible."""

    def __init__(self, function: Any) -> None:
        self.predict = function
        self.examples = getattr(function, "examples", [])


class _Application:
    """A whole ASGI application as a service."""

    def __init__(self, app: Any) -> None:
        self.asgi = app


def _is_asgi(found: Any) -> bool:
    if isinstance(found, type):
        return False
    if type(found).__module__.split(".")[0] in ("fastapi", "starlette"):
        return callable(found)
    try:
        named = list(inspect.signature(found).parameters)
    except (TypeError, ValueError):
        return False
    return named == ["scope", "receive", "send"]


def _forget_with(made: Any, module_name: str) -> None:
    """The code leaves memory with the instance."""
    try:
        weakref.finalize(made, modules.forget, module_name).atexit = False
    except TypeError:  # it has slots
        pass
