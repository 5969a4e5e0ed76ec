"""Which module is running: what a trace asks to name the place of every op.

While a `record_modules(root)` is open in a thread, every module called in that thread is put on a
stack, innermost last, with its dotted path from `root`. An op observer (`descent.autograd.observe`)
that wants to know where an op runs reads `module_stack()`. While nothing records, a module call
pays for one look at a thread-local attribute.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

__all__ = ["ModuleCall", "current_path", "module_stack", "record_modules"]


class ModuleCall:
    """One running call of a module.

    Attributes:
        path: dotted path from the recorded root, "" for the root itself.
        module: the module; its class is `type(module)`, shown as `cls`.
        number: 0 for the first call in this recording, then 1, 2, …
        parent: the call that made this one, or None.
        inputs: the positional arguments.
        output: what it returned; None while it runs.
    """

    __slots__ = ("inputs", "module", "number", "output", "parent", "path")

    def __init__(
        self, path: str, module: Any, number: int, parent: ModuleCall | None, inputs: Any
    ) -> None:
        self.path, self.module, self.number, self.parent = path, module, number, parent
        self.inputs = inputs
        self.output: Any = None

    @property
    def cls(self) -> str:
        """The name of the module's class."""
        return type(self.module).__name__

    def __repr__(self) -> str:
        return f"ModuleCall({self.path or '(root)'}: {self.cls}, number={self.number})"


class _Here(threading.local):
    recorder: record_modules | None = None


here = _Here()  # `Module.__call__` looks at here.recorder


class record_modules:
    """Context manager: keep the stack of running modules of this thread.

    Args:
        root: the module from which paths are counted.
        listener: called as `listener("enter", call)` and `listener("exit", call)`.
    """

    def __init__(self, root: Any, listener: Callable[[str, ModuleCall], None] | None = None):
        self.paths = {id(m): path for path, m in root.named_modules()}
        self.listener = listener
        self.stack: list[ModuleCall] = []
        self.count = 0
        self._outer: record_modules | None = None

    def __enter__(self) -> record_modules:
        self._outer, here.recorder = here.recorder, self
        return self

    def __exit__(self, *exc: object) -> None:
        here.recorder = self._outer

    def call(self, module: Any, args: Any, kwargs: Any) -> Any:
        """Run the module with itself on the stack."""
        parent = self.stack[-1] if self.stack else None
        call = ModuleCall(self._path(module, parent), module, self.count, parent, args)
        self.count += 1
        self.stack.append(call)
        if self.listener is not None:
            self.listener("enter", call)
        try:
            call.output = module._call(args, kwargs)
        finally:
            self.stack.pop()
        if self.listener is not None:
            self.listener("exit", call)
        return call.output

    def _path(self, module: Any, parent: ModuleCall | None) -> str:
        path = self.paths.get(id(module))
        if path is not None:
            return path
        # A module made on the fly, outside the tree: it is named after its class.
        prefix = f"{parent.path}." if parent is not None and parent.path else ""
        return f"{prefix}<{type(module).__name__}>"


def module_stack() -> tuple[ModuleCall, ...]:
    """The modules running in this thread, outermost first; empty when nothing records."""
    recorder = here.recorder
    return tuple(recorder.stack) if recorder is not None else ()


def current_path() -> str:
    """The dotted path of the innermost running module; "" at the root or when nothing records."""
    recorder = here.recorder
    return recorder.stack[-1].path if recorder is not None and recorder.stack else ""
