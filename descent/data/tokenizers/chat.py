"""Chat templates: messages to one prompt, by the Jinja source that comes with a model.

    ChatTemplate(source, bos_token="<s>", eos_token="</s>").render([{"role": "user", "content": …}])

The source is a stranger's program: it runs in a sandbox (`sandbox`) and sees plain JSON values.
Names and filters are those of transformers' apply_chat_template: raise_exception, strftime_now,
tojson, `{% generation %}`, break and continue. Left out: masks of what the assistant said.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from descent.data.errors import DataError

__all__ = ["ChatTemplate"]

_LONGEST_SOURCE = 1 << 20


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
        if not isinstance(source, str) or len(source) > _LONGEST_SOURCE:
            raise DataError(f"a chat template is text of at most {_LONGEST_SOURCE} characters")
        self.source = source
        self.names = {"bos_token": bos_token or "", "eos_token": eos_token or "", **(tokens or {})}
        environment = _environment()
        from jinja2 import TemplateError, TemplateSyntaxError

        from descent.data.tokenizers.sandbox import Refused

        try:
            self._template = environment.from_string(source)
        except TemplateSyntaxError as error:
            raise DataError(f"chat template, line {error.lineno}: {error.message}") from None
        except (TemplateError, Refused, RecursionError, MemoryError, ValueError) as error:
            raise DataError(f"chat template: it cannot be compiled: {error}") from None

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
        from jinja2 import TemplateError
        from jinja2.exceptions import SecurityError

        from descent.data.tokenizers.sandbox import Refused, bounded

        values = {**self.names, **_plain("a variable", more), "messages": _checked(messages)}
        values |= {"tools": _plain("tools", tools), "add_generation_prompt": add_generation_prompt}
        try:
            with bounded():
                return self._template.render(values)
        except SecurityError as error:
            raise DataError(f"chat template: not allowed in the sandbox: {error}") from None
        except (Refused, TemplateError) as error:
            raise DataError(f"chat template: {error}") from None
        except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
            raise DataError(f"chat template: {type(error).__name__}: {error}") from None
        except (RecursionError, MemoryError):
            raise DataError("chat template: it needs too deep a stack or too much memory") from None


def _checked(messages: Any) -> list[dict[str, Any]]:
    """The messages as plain values, without keys that hold nothing (many templates print None)."""
    if isinstance(messages, str | Mapping) or not isinstance(messages, Sequence):
        raise DataError('messages must be a list of {"role": …, "content": …}')
    plain = []
    for place, message in enumerate(messages):
        if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
            raise DataError(f'messages[{place}] must have a "role", as {{"role": "user", …}}')
        kept = {name: value for name, value in message.items() if value is not None}
        plain.append(_plain(f"messages[{place}]", kept))
    return plain


def _plain(what: str, value: Any) -> Any:
    """`value` rebuilt of JSON's types: a template gets no object with methods of its own."""
    try:
        return json.loads(json.dumps(value))
    except (TypeError, ValueError, RecursionError) as error:
        raise DataError(f"{what} must be plain JSON values: {error}") from None


@functools.cache
def _environment() -> Any:
    """The sandbox with transformers' names in it."""
    try:
        from descent.data.tokenizers.sandbox import Sandbox, refuse
    except ImportError:
        raise DataError(
            'chat templates need Jinja2: pip install "descent-ml[hub]" (or pip install jinja2)'
        ) from None
    from jinja2.ext import loopcontrols

    environment = Sandbox([_generation(), loopcontrols], {"tojson": _to_json})
    environment.globals["raise_exception"] = refuse
    environment.globals["strftime_now"] = lambda pattern: datetime.now().strftime(pattern)
    return environment


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """JSON as it stands, unlike Jinja's own filter, which escapes it for HTML."""
    if indent is not None and not 0 <= indent <= 16:
        raise ValueError(f"tojson(indent={indent}); use 0 to 16")
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


def _generation() -> Any:
    """`{% generation %} … {% endgeneration %}` marks what the assistant says; rendered as it is."""
    from jinja2.ext import Extension
    from jinja2.nodes import Scope

    class Generation(Extension):
        tags = {"generation"}  # noqa: RUF012

        def parse(self, parser: Any) -> Any:
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return Scope(body, lineno=line)

    return Generation
