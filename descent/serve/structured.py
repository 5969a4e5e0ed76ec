"""Constraints on the output, in each spelling that clients use, to `Sampling`'s four settings.

    response_format      OpenAI: {"type": "text" | "json_object" | "json_schema", …}
    structured_outputs   vLLM: one of {"json", "regex", "choice", "json_object"}
    guided_*             vLLM before: guided_json, guided_regex, guided_choice

Left out: grammars (GBNF, Lark) and structural tags, refused by name.
"""

from __future__ import annotations

import json
from typing import Any, Protocol

from descent.serve.errors import ApiError

__all__ = ["constraint", "constraint_field"]


_MOST_CHARACTERS = (
    65_536  # of an expression or all choices; what is longer takes seconds and memory
)
_MOST_SCHEMA = 262_144
_FIELDS = ("response_format", "structured_outputs", "guided_json", "guided_regex", "guided_choice")


class _Request(Protocol):
    response_format: dict[str, Any] | None
    structured_outputs: dict[str, Any] | None
    guided_json: dict[str, Any] | str | None
    guided_regex: str | None
    guided_choice: list[str] | None
    guided_grammar: str | None


def constraint(request: _Request) -> dict[str, Any]:
    """At most one of `json_schema`, `json_object`, `regex`, `choice`, as `Sampling` takes it."""
    asked = {
        "response_format": _response_format(request.response_format),
        "structured_outputs": _structured(request.structured_outputs),
        "guided_json": _schema(request.guided_json, "guided_json"),
        "guided_regex": _regex(request.guided_regex, "guided_regex"),
        "guided_choice": _choice(request.guided_choice, "guided_choice"),
    }
    if request.guided_grammar is not None:
        raise _unsupported("guided_grammar", "grammars")
    found = {name: value for name, value in asked.items() if value}
    if len(found) > 1:
        names = " and ".join(found)
        raise ApiError(400, f"{names} are both given; a text can keep to only one of them.",
                       param=list(found)[1])  # fmt: skip
    return next(iter(found.values()), {})


def constraint_field(request: _Request) -> str | None:
    """The field of the request that holds its constraint."""
    names = (
        "response_format",
        "structured_outputs",
        "guided_json",
        "guided_regex",
        "guided_choice",
    )
    return next((name for name in names if getattr(request, name)), None)


def _response_format(value: dict[str, Any] | None) -> dict[str, Any]:
    if value is None:
        return {}
    kind, name = value.get("type"), "response_format"
    if kind == "text":
        return {}
    if kind == "json_object":  # llama.cpp takes a schema here too
        return _schema(value["schema"], name) if value.get("schema") else {"json_object": True}
    if kind == "json_schema":
        wrapped = value.get("json_schema")
        if not isinstance(wrapped, dict) or not isinstance(wrapped.get("schema"), dict | bool):
            raise ApiError(
                400, "response_format.json_schema must be an object with a schema.", param=name
            )
        return _schema(wrapped["schema"], name)
    raise ApiError(
        400,
        f"response_format.type is {kind!r}; use text, json_object or json_schema.",
        param=name,
    )


def _structured(value: dict[str, Any] | None) -> dict[str, Any]:
    given = {key: item for key, item in (value or {}).items() if item is not None and item != []}
    name = "structured_outputs"
    for key in ("grammar", "structural_tag"):
        if key in given:
            raise _unsupported(f"{name}.{key}", key.replace("_", " ") + "s")
    kinds = [key for key in given if key in ("json", "regex", "choice", "json_object")]
    if len(kinds) > 1:
        raise ApiError(400, f"{name} holds {' and '.join(kinds)}; give one of them.", param=name)
    if not kinds:
        return {}
    (kind,) = kinds
    if kind == "json_object":
        return {"json_object": True} if given[kind] is True else {}
    read = {"json": _schema, "regex": _regex, "choice": _choice}[kind]
    return read(given[kind], name)


def _schema(value: Any, name: str) -> dict[str, Any]:
    if value is None:
        return {}
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise ApiError(400, f"{name} is not JSON: {error}.", param=name) from None
    if not isinstance(value, dict | bool):
        raise ApiError(400, f"{name}: a JSON schema is an object.", param=name)
    _bounded(len(json.dumps(value)), _MOST_SCHEMA, name)
    return {"json_schema": value}


def _regex(value: Any, name: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, str) or not value:
        raise ApiError(400, f"{name}: the regular expression must be a string.", param=name)
    _bounded(len(value), _MOST_CHARACTERS, name)
    return {"regex": value}


def _choice(value: Any, name: str) -> dict[str, Any]:
    if not value:
        return {}
    if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
        raise ApiError(400, f"{name}: the choices must be non-empty strings.", param=name)
    _bounded(sum(map(len, value)), _MOST_CHARACTERS, name)
    return {"choice": tuple(value)}


def _bounded(length: int, most: int, name: str) -> None:
    if length > most:
        raise ApiError(
            400, f"{name} has {length:,} characters; at most {most:,} are taken.", param=name
        )


def _unsupported(field: str, what: str) -> ApiError:
    return ApiError(
        400,
        f"{field} is not supported: {what} are not; use json, regex or choice.",
        param=field.split(".")[0],
    )
