"""A stranger's Jinja template, run with bounds: steps, time, and characters made.

Jinja2's immutable sandbox keeps a template from Python's objects and from changing what it is
given; it does not keep it from running for ever or filling the memory. Here every line of the
template's compiled code is a step (a trace function counts them), and everything that makes text
or rows (output, `~`, `+`, `*`, methods, filters) is paid for, most of it before it is made.
"""

from __future__ import annotations

import functools
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import jinja2
import jinja2.ext
import jinja2.nodes
import jinja2.sandbox

__all__ = ["Refused", "Sandbox", "bounded", "refuse"]

MOST_CHARACTERS = 32 << 20
MOST_STEPS = 2_000_000  # the longest templates known run a few thousand
MOST_SECONDS = 1.0  # of the processor's time
_MOST_WIDTH = 100_000  # of a number among a filter's or method's arguments
_MOST_BITS = 4096
_PADDING = ("center", "ljust", "rjust", "zfill", "expandtabs")
_left: ContextVar[list[int] | None] = ContextVar("characters_left", default=None)


class Refused(Exception):
    """The template says so itself, or ran past a bound."""


def refuse(message: str) -> None:
    """What a template calls as raise_exception."""
    raise Refused(str(message))


def _pay(characters: int) -> None:
    left = _left.get()
    if left is None:
        return
    left[0] -= characters
    if left[0] < 0:
        raise Refused(f"it makes more than {MOST_CHARACTERS} characters")


@contextmanager
def bounded() -> Iterator[None]:
    """Within it, code compiled from templates runs with bounds (in this thread)."""
    steps, end = 0, time.thread_time() + MOST_SECONDS

    def watch(frame, event, arg):
        nonlocal steps
        if frame.f_code.co_filename != "<template>":
            return None
        steps += event == "line"
        if steps > MOST_STEPS or (steps % 256 == 0 and time.thread_time() > end):
            raise Refused(f"it does not end: stopped after {steps} steps")
        return watch

    before, paid = sys.gettrace(), _left.set([MOST_CHARACTERS])
    sys.settrace(watch)
    try:
        yield
    finally:
        sys.settrace(before)
        _left.reset(paid)


class Sandbox(jinja2.sandbox.ImmutableSandboxedEnvironment):
    """The environment templates are compiled in."""

    intercepted_binops = frozenset(["+", "*", "%", "**"])

    def __init__(self, extensions: list[type[jinja2.ext.Extension]], filters: Mapping[str, Any]):
        super().__init__(
            trim_blocks=True, lstrip_blocks=True, extensions=extensions, finalize=_paid_output
        )
        self.filters |= filters
        self.filters = {name: _paid_filter(name, each) for name, each in self.filters.items()}
        for name in ("center", "batch", "slice", "xmlattr", "pprint", "wordwrap", "urlize"):
            del self.filters[name]  # they pad, or serve web pages
        del self.globals["lipsum"]
        self.filters["_joined"] = _joined
        self.globals["namespace"] = _Namespace

    def _parse(self, source: str, name: str | None, filename: str | None) -> jinja2.nodes.Template:
        """`a ~ b` becomes a filter on [a, b], so that it is paid for."""
        template = super()._parse(source, name, filename)
        for node in list(template.find_all(jinja2.nodes.Concat)):
            row = jinja2.nodes.List(node.nodes, lineno=node.lineno)
            node.nodes = [
                jinja2.nodes.Filter(row, "_joined", [], [], None, None, lineno=node.lineno)
            ]
        return template

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        _pay_binop(operator, left, right)
        return super().call_binop(context, operator, left, right)

    def call(__self, __context: Any, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        owner, name = getattr(__obj, "__self__", None), getattr(__obj, "__name__", "")
        if isinstance(owner, str | bytes | list | tuple | dict):
            _check_numbers(args, kwargs)
            _pay_method(owner, name, args)
        result = super().call(__context, __obj, *args, **kwargs)
        _pay_result(result)
        return result


class _Namespace(jinja2.utils.Namespace):
    """Jinja's, without names that begin with an underscore."""

    def __setitem__(self, name: str, value: Any) -> None:
        if name.startswith("_"):
            raise jinja2.exceptions.SecurityError(f"a namespace cannot hold {name!r}")
        super().__setitem__(name, value)


def _paid_output(value: Any) -> Any:
    _pay(len(value) if isinstance(value, str) else 8)
    return value


def _joined(row: list[Any]) -> str:
    texts = [str(each) for each in row]
    _pay(sum(map(len, texts)))
    return "".join(texts)


def _pay_result(result: Any) -> None:
    if isinstance(result, str | bytes | list | tuple | dict):
        _pay(len(result))


def _pay_binop(operator: str, left: Any, right: Any) -> None:
    rows = (str, bytes, list, tuple)
    if operator == "+" and isinstance(left, rows) and isinstance(right, rows):
        _pay(len(left) + len(right))
    elif operator == "*" and isinstance(left, rows) and isinstance(right, int):
        _pay(len(left) * max(right, 0))
    elif operator == "*" and isinstance(right, rows) and isinstance(left, int):
        _pay(len(right) * max(left, 0))
    elif operator == "%" and isinstance(left, str):
        _check_format(left)
    elif operator in ("*", "**") and isinstance(left, int) and isinstance(right, int):
        bits, other = left.bit_length(), right.bit_length()
        if (bits * max(right, 0) if operator == "**" else bits + other) > _MOST_BITS:
            raise Refused("a number that is too large")


def _pay_method(owner: Any, name: str, args: tuple[Any, ...]) -> None:
    if name in _PADDING and args and isinstance(args[0], int):
        _pay(len(owner) * args[0] if name == "expandtabs" else args[0])
    elif name in ("format", "format_map") and isinstance(owner, str):
        _check_format(owner)
    elif name == "replace" and isinstance(owner, str):
        _pay_replace(owner, *args[:2])
    elif name == "join" and isinstance(owner, str) and args and hasattr(args[0], "__len__"):
        _pay(len(owner) * len(args[0]))


def _pay_replace(text: Any, old: Any = "", new: Any = "", *_: Any) -> None:
    text = str(text)
    _pay(text.count(str(old)) * len(str(new)))


def _check_format(text: str) -> None:
    """A width in a format makes that many characters."""
    if re.search(r"\d{5}|\*", text):
        raise Refused("a format with a width of five digits or *")


def _check_numbers(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    for value in (*args, *kwargs.values()):
        if isinstance(value, int) and abs(value) > _MOST_WIDTH:
            raise Refused(f"an argument of {value}; at most {_MOST_WIDTH} is allowed")


def _paid_filter(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The filter with its numbers checked and its result paid for."""
    skipped = 2 if hasattr(function, "jinja_pass_arg") else 1  # the environment, and the value

    @functools.wraps(function)
    def filter(*args: Any, **kwargs: Any) -> Any:
        _check_numbers(args[skipped:], kwargs)
        value = args[skipped - 1] if len(args) >= skipped else None
        if name == "replace":
            _pay_replace(value, *args[skipped:])
        elif name == "format":
            _check_format(str(value))
        elif name == "join" and len(args) > skipped and hasattr(value, "__len__"):
            _pay(len(value) * len(str(args[skipped])))  # type: ignore[arg-type]
        elif name == "indent":
            width = args[skipped] if len(args) > skipped else kwargs.get("width", 4)
            _pay((str(value).count("\n") + 1) * (width if isinstance(width, int) else len(width)))
        result = function(*args, **kwargs)
        _pay_result(result)
        return result

    return filter
