"""`Module`: a tree of layers that owns parameters and knows its parts by name.

A module holds three tables: parameters (learned), buffers (saved, not learned), and submodules.
Assigning a `Parameter` or a `Module` to an attribute files it there, as in PyTorch; everything
else here walks that tree. `module(x)` runs `forward(x)`, between hooks when there are any.
Left out: backward hooks, hooks on state_dict, lazy and scripted modules, devices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from descent.autograd import TensorBase
from descent.dtypes import to_dtype
from descent.nn import state
from descent.nn.parameter import Parameter
from descent.nn.recording import here
from descent.nn.registering import RemovableHandle, add_hook, check_name, forget
from descent.tensor import Tensor, device

__all__ = ["Module"]


class Module:
    """Base of all layers and models. Subclasses build parts in `__init__`, compute in `forward`."""

    training: bool

    def __init__(self) -> None:
        tables: Any = {"_parameters": {}, "_buffers": {}, "_modules": {}, "_non_persistent": set()}
        self.__dict__.update(tables, training=True, _pre_hooks=[], _hooks=[])

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the output; every subclass says how."""
        raise NotImplementedError(
            f'Module [{type(self).__name__}] is missing the required "forward" function'
        )

    # -- calling -----------------------------------------------------------------------------

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if here.recorder is not None:
            return here.recorder.call(self, args, kwargs)
        return self._call(args, kwargs)

    def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not self._pre_hooks and not self._hooks:
            return self.forward(*args, **kwargs)
        for hook, with_kwargs in list(self._pre_hooks):
            if with_kwargs:
                changed = hook(self, args, kwargs)
                if changed is not None:
                    args, kwargs = changed
            else:
                changed = hook(self, args)
                if changed is not None:
                    args = changed if isinstance(changed, tuple) else (changed,)
        output = self.forward(*args, **kwargs)
        for hook, with_kwargs in list(self._hooks):
            given = (self, args, kwargs, output) if with_kwargs else (self, args, output)
            changed = hook(*given)
            if changed is not None:
                output = changed
        return output

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, args)` before forward; a returned value replaces the arguments."""
        return add_hook(self._pre_hooks, hook, prepend, with_kwargs)

    def register_forward_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, args, output)` after forward; a returned value is the new output."""
        return add_hook(self._hooks, hook, prepend, with_kwargs)

    # -- parts and their names ---------------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        tables = self.__dict__
        if "_parameters" not in tables:
            if isinstance(value, (Parameter, Module)):
                kind = "module" if isinstance(value, Module) else "parameters"
                raise AttributeError(f"cannot assign {kind} before Module.__init__() call")
            object.__setattr__(self, name, value)
        elif isinstance(value, Parameter):
            forget(self, name, keep="_parameters")
            self.register_parameter(name, value)
        elif isinstance(value, Module):
            forget(self, name, keep="_modules")
            tables["_modules"][name] = value
        elif name in tables["_parameters"]:
            if value is not None:
                raise TypeError(
                    f"cannot assign '{type(value).__name__}' as parameter '{name}' "
                    "(nn.Parameter or None expected)"
                )
            tables["_parameters"][name] = None
        elif name in tables["_modules"]:
            if value is not None:
                raise TypeError(
                    f"cannot assign '{type(value).__name__}' as child module '{name}' "
                    "(nn.Module or None expected)"
                )
            tables["_modules"][name] = None
        elif name in tables["_buffers"]:
            if value is not None and not isinstance(value, TensorBase):
                raise TypeError(
                    f"cannot assign '{type(value).__name__}' as buffer '{name}' "
                    "(Tensor or None expected)"
                )
            tables["_buffers"][name] = value
        else:
            object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:
        for table in ("_parameters", "_buffers", "_modules"):
            found = self.__dict__.get(table, {})
            if name in found:
                return found[name]
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def __delattr__(self, name: str) -> None:
        if not forget(self, name):
            object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._parameters, *self._buffers, *self._modules})

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """File a parameter under `name` (None keeps the name free for one)."""
        check_name(self, name, "parameter", self._parameters)
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(
                f"cannot assign '{type(param).__name__}' object to parameter '{name}' "
                "(nn.Parameter or None required)"
            )
        self._parameters[name] = param

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """File a tensor that is not learned; it is saved when `persistent`."""
        check_name(self, name, "buffer", self._buffers)
        if tensor is not None and not isinstance(tensor, TensorBase):
            raise TypeError(
                f"cannot assign '{type(tensor).__name__}' object to buffer '{name}' "
                "(Tensor or None required)"
            )
        self._buffers[name] = tensor
        (self._non_persistent.discard if persistent else self._non_persistent.add)(name)

    def add_module(self, name: str, module: Module | None) -> None:
        """File a submodule under `name`."""
        if module is not None and not isinstance(module, Module):
            raise TypeError(f"{type(module).__name__} is not a Module subclass")
        check_name(self, name, "module", self._modules)
        self._modules[name] = module

    register_module = add_module

    def get_submodule(self, target: str) -> Module:
        """The module at a dotted path ("" is this one)."""
        found: Any = self
        for i, part in enumerate(target.split(".") if target else ()):
            if part not in found._modules:
                so_far = ".".join(target.split(".")[:i]) or type(self).__name__
                raise AttributeError(
                    f"{so_far} ({type(found).__name__}) has no module `{part}`; "
                    f"it has: {', '.join(found._modules) or 'none'}"
                )
            found = found._modules[part]
        return found

    def get_parameter(self, target: str) -> Parameter:
        """The parameter at a dotted path."""
        return self._get("_parameters", target)

    def get_buffer(self, target: str) -> Tensor:
        """The buffer at a dotted path."""
        return self._get("_buffers", target)

    def _get(self, table: str, target: str) -> Any:
        path, _, name = target.rpartition(".")
        found = self.get_submodule(path).__dict__[table]
        if name not in found:
            kind = table.strip("_")
            raise AttributeError(
                f"`{name}` is not among the {kind} of {path or type(self).__name__}: "
                f"{', '.join(found) or 'none'}"
            )
        return found[name]

    # -- walking the tree --------------------------------------------------------------------

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The direct parts by name, each once."""
        seen = set()
        for name, m in self._modules.items():
            if m is not None and id(m) not in seen:
                seen.add(id(m))
                yield name, m

    def children(self) -> Iterator[Module]:
        """The direct parts."""
        return (m for _, m in self.named_children())

    def named_modules(
        self, memo: set[Any] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """This module and all below it, parents first, by dotted path."""
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, m in self._modules.items():
            if m is not None:
                path = f"{prefix}.{name}" if prefix else name
                yield from m.named_modules(memo, path, remove_duplicate)

    def modules(self) -> Iterator[Module]:
        """This module and all below it."""
        return (m for _, m in self.named_modules())

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """The parameters by dotted path; a tied one once, under its first name."""
        return self._named("_parameters", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """The parameters, tied ones once: what an optimiser takes."""
        return (p for _, p in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """The buffers by dotted path."""
        return self._named("_buffers", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """The buffers."""
        return (b for _, b in self.named_buffers(recurse=recurse))

    def _named(self, table: str, prefix: str, recurse: bool, once: bool) -> Iterator[Any]:
        seen: set[int] = set()
        walk = (
            self.named_modules(prefix=prefix, remove_duplicate=once)
            if recurse
            else [(prefix, self)]
        )
        for path, m in walk:
            for name, t in m.__dict__[table].items():
                if t is None or id(t) in seen:
                    continue
                if once:
                    seen.add(id(t))
                yield f"{path}.{name}" if path else name, t

    def apply(self, fn: Callable[[Module], Any]) -> Any:
        """Call `fn` on every module, children first. Returns this module."""
        for m in self.children():
            m.apply(fn)
        fn(self)
        return self

    # -- changing all of it ------------------------------------------------------------------

    def train(self, mode: bool = True) -> Any:
        """Switch to training behaviour (dropout, batch statistics). Returns this module."""
        if not isinstance(mode, bool):
            raise ValueError(f"training mode is expected to be boolean, got {mode!r}")
        self.training = mode
        for m in self.children():
            m.train(mode)
        return self

    def eval(self) -> Any:
        """Switch to evaluation behaviour. Returns this module."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Any:
        """Ask for gradients of all parameters, or for none (freezing)."""
        for p in self.parameters():
            p.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients, or fill them with zeros."""
        for p in self.parameters():
            if set_to_none:
                p.grad = None
            elif p.grad is not None:
                p.grad.array[...] = 0

    def _cast(self, np_dtype: np.dtype) -> Any:
        for t in (*self.parameters(), *self.buffers()):
            if t.array.dtype.kind == "f" and t.array.dtype != np_dtype:
                t.array = t.array.astype(np_dtype)
                t.version[0] += 1
                if t.grad is not None:
                    t.grad.array = t.grad.array.astype(np_dtype)
        return self

    def to(self, *args: Any, dtype: Any = None, device: Any = None, **kwargs: Any) -> Any:
        """Change the dtype of all floating-point tensors, in place; the device is the CPU."""
        for a in (*args, device):
            if isinstance(a, TensorBase):
                dtype = a.array.dtype
            elif isinstance(a, (str, _device)):
                _device(a)
            elif a is not None and not isinstance(a, bool):
                dtype = a
        if dtype is None:
            return self
        wanted = to_dtype(dtype)
        if not wanted.is_floating_point:
            raise TypeError(
                f"nn.Module.to only accepts floating point dtypes, but got desired dtype={wanted}"
            )
        return self._cast(wanted.np)

    def float(self) -> Any:
        """float32 parameters and buffers."""
        return self._cast(np.dtype(np.float32))

    def double(self) -> Any:
        """float64 parameters and buffers."""
        return self._cast(np.dtype(np.float64))

    def half(self) -> Any:
        """float16 parameters and buffers (storage; arithmetic in it is slow)."""
        return self._cast(np.dtype(np.float16))

    def cpu(self) -> Any:
        """This module: it is there already."""
        return self

    # -- saving ------------------------------------------------------------------------------

    def state_dict(
        self, *, destination: Any = None, prefix: str = "", keep_vars: bool = False
    ) -> dict[str, Any]:
        """All parameters and persistent buffers by dotted name, sharing memory."""
        return state.state(self, destination, prefix, keep_vars)

    def load_state_dict(
        self, state_dict: Any, strict: bool = True, assign: bool = False
    ) -> state.LoadReport:
        """Copy numbers by name; see `descent.nn.state.load` for the errors."""
        return state.load(self, state_dict, strict, assign)

    # -- printing ----------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """What stands in the parentheses of the repr, beside the parts."""
        return ""

    def _get_name(self) -> str:
        return type(self).__name__

    def __repr__(self) -> str:
        extra = self.extra_repr()
        lines = [f"({name}): {_indented(repr(m))}" for name, m in self._modules.items()]
        if not lines and "\n" not in extra:
            return f"{self._get_name()}({extra})"
        body = (extra.split("\n") if extra else []) + lines
        return f"{self._get_name()}(\n  " + "\n  ".join(body) + "\n)"


_device = device  # `Module.to` has a parameter of that name


def _indented(text: str) -> str:
    return text.replace("\n", "\n  ")
