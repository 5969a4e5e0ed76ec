"""Chat templates: messages to one prompt, by the Jinja source that comes with a model.

    ChatTemplate(source, bos_token="<s>", eos_token="</s>").render([{"role": "user", "content": …}])

The source is a stranger's program, so it runs in Jinja2's immutable sandbox (no attributes of
Python objects, no changes to what it is given), with bounded loops, text and time. Names and
filters are those of transformers' apply_chat_template: raise_exception, strftime_now, tojson,
`{% generation %}`, `break` and `continue`. Left out: masks of what the assistant said.
"""

from __future__ import annotations

import functools
import json
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from types import ModuleType
from typing import Any

from descent.data.errors import DataError

__all__ = ["ChatTemplate"]

_LONGEST_SOURCE = 1 << 20
_MOST_CHARACTERS = 16 << 20
_MOST_LINES = 2_000_000  # of the program the template becomes; the longest known run a few thousand
_MOST_SECONDS = 5.0


class ChatTemplate:
    """A template ready to be rendered.

    Args:
        source: Jinja source, as `chat_template` in tokenizer_config.json holds it.
        bos_token, eos_token: the names the template may put into the text.
        tokens: further names it may use (`unk_token`, …).
    """

    def __init__(
        self,
        source: str,
        *,
        bos_token: str | None = None,
        eos_token: str | None = None,
        tokens: Mapping[str, str] | None = None,
    ):
        jinja2 = _jinja()
        if not isinstance(source, str) or len(source) > _LONGEST_SOURCE:
            raise DataError(f"a chat template is text of at most {_LONGEST_SOURCE} characters")
        self.source = source
        self.names = {"bos_token": bos_token or "", "eos_token": eos_token or "", **(tokens or {})}
        try:
            self._template = _environment().from_string(source)
        except jinja2.TemplateSyntaxError as error:
            raise DataError(f"chat template, line {error.lineno}: {error.message}") from None
        except (RecursionError, MemoryError, OverflowError, ValueError, SyntaxError) as error:
            raise DataError(f"chat template: it cannot be compiled: {error!r}") from None

    def __repr__(self) -> str:
        return f"ChatTemplate({self.source[:60]!r}…)"

    def render(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        add_generation_prompt: bool = True,
        tools: Sequence[Any] | None = None,
        **more: Any,
    ) -> str:
        """The prompt for `messages` ({"role", "content", …} each, in order).

        Args:
            add_generation_prompt: end with what makes the model answer as the assistant.
            tools: JSON schemas of functions the model may call, if the template knows of tools.
            more: other variables of the template (documents, enable_thinking, …).

        Raises DataError with the template's own message where it calls raise_exception, or where
        it does what the sandbox does not allow, or does not end.
        """
        jinja2 = _jinja()
        _check_messages(messages)
        values = {**self.names, **more, "messages": list(messages), "tools": tools}
        values["add_generation_prompt"] = add_generation_prompt
        try:
            return _bounded(self._template, values)
        except _Refused as error:
            raise DataError(f"chat template: {error}") from None
        except jinja2.exceptions.SecurityError as error:
            raise DataError(f"chat template: not allowed in the sandbox: {error}") from None
        except jinja2.TemplateError as error:
            raise DataError(f"chat template: {error}") from None
        except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
            raise DataError(f"chat template: {type(error).__name__}: {error}") from None
        except (RecursionError, MemoryError):
            raise DataError("chat template: it needs too much memory or too deep a stack") from None


class _Refused(Exception):
    """The template said so itself, or ran past a bound."""


def _check_messages(messages: Any) -> None:
    if isinstance(messages, str | Mapping) or not isinstance(messages, Sequence):
        raise DataError('messages must be a list of {"role": …, "content": …}')
    for place, message in enumerate(messages):
        if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
            raise DataError(f'messages[{place}] must have a "role", as {{"role": "user", …}}')


def _bounded(template: Any, values: dict[str, Any]) -> str:
    """Render, counting the lines run in the template's own code and the characters it makes."""
    lines, end = 0, time.monotonic() + _MOST_SECONDS

    def watch(frame, event, arg):
        nonlocal lines
        if frame.f_code.co_filename != "<template>":
            return None
        lines += event == "line"
        if lines > _MOST_LINES or (lines % 1024 == 0 and time.monotonic() > end):
            raise _Refused(f"it does not end: stopped after {lines} steps")
        return watch

    before = sys.gettrace()
    parts, size = [], 0
    try:
        sys.settrace(watch)
        for part in template.generate(**values):
            size += len(part)
            if size > _MOST_CHARACTERS:
                raise _Refused(f"it makes more than {_MOST_CHARACTERS} characters")
            parts.append(part)
    finally:
        sys.settrace(before)
    return "".join(parts)


def _jinja() -> ModuleType:
    try:
        import jinja2
        import jinja2.ext
        import jinja2.sandbox
    except ImportError:
        raise DataError(
            'chat templates need Jinja2: pip install "descent-ml[hub]" (or pip install jinja2)'
        ) from None
    return jinja2


@functools.cache
def _environment() -> Any:
    """The sandbox, set up as transformers does."""
    jinja2 = _jinja()

    class Sandbox(jinja2.sandbox.ImmutableSandboxedEnvironment):
        intercepted_binops = frozenset(["**", "*", "+", "%"])

        def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
            _check_size(operator, left, right)
            return super().call_binop(context, operator, left, right)

    environment = Sandbox(
        trim_blocks=True, lstrip_blocks=True, extensions=[_generation(), jinja2.ext.loopcontrols]
    )
    environment.filters["tojson"] = _to_json
    environment.filters.pop("xmlattr", None)
    environment.globals["raise_exception"] = _raise
    environment.globals["strftime_now"] = lambda pattern: datetime.now().strftime(pattern)
    return environment


def _check_size(operator: str, left: Any, right: Any) -> None:
    """Refuse what makes a huge number or text in one step."""
    if operator == "**" and _is_number(left) and _is_number(right) and abs(right) > 64:
        raise _Refused("a power above 64")
    for number, row in ((left, right), (right, left)):
        if operator == "*" and isinstance(row, str | bytes | list | tuple):
            if isinstance(number, int) and number * len(row) > _MOST_CHARACTERS:
                raise _Refused(f"a repetition longer than {_MOST_CHARACTERS}")
    if operator in ("+", "%") and isinstance(left, str):
        if len(left) + len(str(right) if operator == "%" else right) > _MOST_CHARACTERS:
            raise _Refused(f"a text longer than {_MOST_CHARACTERS} characters")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def _raise(message: str) -> None:
    raise _Refused(str(message))


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """JSON as it stands, unlike Jinja's own filter, which escapes it for HTML."""
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


@functools.cache
def _generation() -> Any:
    """`{% generation %} … {% endgeneration %}` marks what the assistant says; rendered as it is."""
    import jinja2.ext
    import jinja2.nodes

    class Generation(jinja2.ext.Extension):
        tags = {"generation"}  # noqa: RUF012

        def parse(self, parser: Any) -> Any:
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return jinja2.nodes.Scope(body, lineno=line)

    return Generation
