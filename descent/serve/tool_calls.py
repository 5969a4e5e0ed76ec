"""Calls of tools in what a model writes, by the form its chat template teaches; else it is text.

    Hermes, Qwen   <tool_call>{"name": …, "arguments": {…}}</tool_call>, any number
    Mistral        [TOOL_CALLS] [{"name": …, "arguments": {…}}, …]
    Llama 3        the whole answer is {"name": …, "parameters": {…}}, maybe after <|python_tag|>

Works on text as it comes: what may be the beginning of a call is held back, all else goes on at
once. A call that is no JSON stays text. Left out: forms of other families, and arguments streamed
in pieces (a call is sent when it is complete).
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["ToolReader", "forced_call", "forced_calls", "forced_schema", "tool_form"]

_OPEN, _CLOSE = "<tool_call>", "</tool_call>"
_MISTRAL = "[TOOL_CALLS]"
_PYTHON = "<|python_tag|>"


def tool_form(template: str) -> str | None:
    """Which form a chat template's source teaches: "hermes", "mistral", "llama3" or None."""
    if _OPEN in template:
        return "hermes"
    if _MISTRAL in template:
        return "mistral"
    if '"parameters"' in template and ("python_tag" in template or "ipython" in template):
        return "llama3"
    return None


@dataclass
class ToolReader:
    """Reads an answer in pieces; `calls` are what it has found, in OpenAI's form."""

    form: str | None
    names: frozenset[str]
    calls: list[dict[str, Any]] = field(default_factory=list)
    _held: str = ""
    _begun: bool = False  # llama3: whether something that is no call has been written
    _called: bool = False  # hermes: the line ends after a call belong to it, and are still to come

    @classmethod
    def of(cls, template: str, tools: Sequence[dict[str, Any]] | None) -> ToolReader:
        names = frozenset(tool["function"]["name"] for tool in tools or ())
        return cls(tool_form(template) if tools else None, names)

    def feed(self, text: str) -> str:
        """The next piece of the answer; returns the text that is certainly no call."""
        if self.form is None:
            return text
        self._held += text
        if self.form == "hermes":
            return self._hermes()
        if self.form == "mistral":
            return self._free(_MISTRAL)
        return self._llama3()

    def finish(self) -> str:
        """The answer is complete: the text that turned out to be no call."""
        held, self._held = self._held, ""
        if self.form == "mistral" and held.lstrip().startswith(_MISTRAL):
            found = self._parsed(held.lstrip().removeprefix(_MISTRAL))
        elif self.form == "llama3" and not self._begun:
            found = self._parsed(held.strip().removeprefix(_PYTHON))
        elif self.form == "hermes" and held.startswith(_OPEN):  # the end may be its end token
            found = self._parsed(held.removeprefix(_OPEN))
        else:
            return held
        if found is None:
            return held
        self.calls += found
        return ""

    def _hermes(self) -> str:
        out = ""
        while True:
            if self._called:
                self._held = self._held.lstrip("\n")
                self._called = not self._held
            out += self._free(_OPEN)
            end = self._held.find(_CLOSE)
            if not self._held.startswith(_OPEN) or end < 0:
                return out
            whole = self._held[: end + len(_CLOSE)]
            found = self._parsed(whole[len(_OPEN) : end])
            self._held = self._held[end + len(_CLOSE) :]
            if found is None:
                out += whole
            else:
                self.calls += found
                self._called = True

    def _free(self, marker: str) -> str:
        """What stands before `marker`, or before what may become it."""
        at = self._held.find(marker)
        if at < 0:
            at = len(self._held) - _partial(self._held, marker)
        out, self._held = self._held[:at], self._held[at:]
        return out

    def _llama3(self) -> str:
        start = self._held.lstrip()
        maybe = start == "" or start.startswith(("{", _PYTHON)) or _PYTHON.startswith(start)
        if maybe and not self._begun:
            return ""
        self._begun = True
        out, self._held = self._held, ""
        return out

    def _parsed(self, text: str) -> list[dict[str, Any]] | None:
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return None
        made = [self._call(item) for item in (value if isinstance(value, list) else [value])]
        found = [call for call in made if call is not None]
        return found if found and len(found) == len(made) else None

    def _call(self, value: Any) -> dict[str, Any] | None:
        if not isinstance(value, dict) or value.get("name") not in self.names:
            return None
        return _call(value["name"], value.get("arguments", value.get("parameters", {})))


def _call(name: str, arguments: Any) -> dict[str, Any]:
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    function = {"name": name, "arguments": text}
    return {"id": f"call_{uuid.uuid4().hex[:24]}", "type": "function", "function": function}


def _partial(text: str, marker: str) -> int:
    """How many last characters of `text` are the beginning of `marker`."""
    for length in range(min(len(marker) - 1, len(text)), 0, -1):
        if marker.startswith(text[-length:]):
            return length
    return 0


def forced_schema(tools: Sequence[dict[str, Any]], only: dict[str, Any] | None) -> dict[str, Any]:
    """What the answer must be when a tool has to be called: one tool's arguments, or a list of
    calls of any of them (as vLLM constrains `tool_choice: required`)."""
    if only is not None:
        return only["function"].get("parameters") or {"type": "object"}
    kinds = [
        {
            "type": "object",
            "properties": {
                "name": {"const": tool["function"]["name"]},
                "arguments": tool["function"].get("parameters") or {"type": "object"},
            },
            "required": ["name", "arguments"],
            "additionalProperties": False,
        }
        for tool in tools
    ]
    return {"type": "array", "minItems": 1, "items": {"anyOf": kinds}}


def forced_call(only: dict[str, Any], text: str) -> list[dict[str, Any]]:
    """The call of a tool that was named: the text is its arguments."""
    return [_call(only["function"]["name"], text)]


def forced_calls(text: str) -> list[dict[str, Any]] | None:
    """The calls of `tool_choice: required`; None where the text was cut off before it was JSON."""
    try:
        return [_call(item["name"], item["arguments"]) for item in json.loads(text)]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
