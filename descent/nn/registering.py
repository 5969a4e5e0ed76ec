"""Filing parts of a module under names, and hooks with a handle to take them away again."""

from __future__ import annotations

from typing import Any

__all__ = ["RemovableHandle", "add_hook", "check_name", "forget"]


class RemovableHandle:
    """What registering a hook returns: `remove()` takes the hook away."""

    def __init__(self, hooks: list[Any], hook: Any) -> None:
        self._hooks, self._hook = hooks, hook

    def remove(self) -> None:
        """Take the hook away; a second time does nothing."""
        if self._hook in self._hooks:
            self._hooks.remove(self._hook)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exc: object) -> None:
        self.remove()


def add_hook(hooks: list[Any], hook: Any, prepend: bool, with_kwargs: bool) -> RemovableHandle:
    entry = (hook, with_kwargs)
    hooks.insert(0 if prepend else len(hooks), entry)
    return RemovableHandle(hooks, entry)


def check_name(module: Any, name: Any, kind: str, table: dict[str, Any]) -> None:
    if not isinstance(name, str):
        raise TypeError(f"{kind} name should be a string. Got {type(name).__name__}")
    if "." in name:
        raise KeyError(f'{kind} name can\'t contain ".", got: {name}')
    if name == "":
        raise KeyError(f'{kind} name can\'t be empty string ""')
    if hasattr(module, name) and name not in table:
        raise KeyError(f"attribute '{name}' already exists")


def forget(module: Any, name: str, keep: str = "") -> bool:
    """Take `name` out of whatever table has it, but for the one it stays in."""
    found = False
    for table in ("_parameters", "_buffers", "_modules"):
        if table != keep and name in module.__dict__[table]:
            del module.__dict__[table][name]
            found = True
    if name in module.__dict__:
        del module.__dict__[name]
        found = True
    module._non_persistent.discard(name)
    return found
