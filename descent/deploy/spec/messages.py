"""What the validator found, said in the words of a spec: field, value, what would be right."""

from __future__ import annotations

import copy
import difflib
from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from descent.deploy.spec.document import Place
from descent.deploy.spec.errors import Problem
from descent.deploy.spec.kinds import Spec

__all__ = ["field_name", "nearest", "problems_of", "short"]

_NEEDED = {
    "int_type": "a whole number is needed",
    "float_type": "a number is needed",
    "string_type": "text is needed",
    "bool_type": "true or false is needed",
    "list_type": "a list is needed",
    "dict_type": "a mapping (name: value) is needed",
    "model_type": "a mapping (name: value) is needed",
    "model_attributes_type": "a mapping (name: value) is needed",
    "invalid-json-value": "JSON-like data is needed",
}
_FORMER = {
    "predictor": "Cortex before 0.36 had it; write `service: file.py:Class` and `config`",
    "handler": "Cortex before 0.36 had it; write `service: file.py:Class` and `config`",
    "compute": "it belongs to each of pod.containers",
    "min_replicas": "it belongs to autoscaling",
}


def problems_of(error: ValidationError, data: Any, made: type[Spec], line_of: Any) -> list[Problem]:
    """The problems of `data`, which was to become a `made`; `line_of(place)` finds lines."""
    name = data.get("name") if isinstance(data, dict) else None
    api = name if isinstance(name, str) else ""
    found = list(_found(error, data, made))
    if all(one["type"] != "rules" for one in error.errors(include_url=False)):
        found += _behind(found, data, made)
    return [
        Problem(
            _sentence(field_name(place), value, rule, api), api, field_name(place), line_of(place)
        )
        for place, value, rule in found
    ]


def _behind(found: list, data: Any, made: type[Spec]) -> list[tuple[Place, Any, str]]:
    """Broken rules that only show once the wrong fields are left out, and have no part in them."""
    left = copy.deepcopy(data)
    wrong = [place for place, _, _ in found if place]
    if ("service",) in wrong:
        wrong.append(("pod", "containers"))  # one stands for the other
    for place in wrong:
        around = _at(left, place[:-1])
        if isinstance(around, dict):
            around.pop(place[-1], None)
    try:
        made.model_validate(left)
    except ValidationError as error:
        rules = [one for one in error.errors(include_url=False) if one["type"] == "rules"]
        if rules:
            return [
                one
                for one in _found(error, data, made)
                if not any(bad[: len(one[0])] == one[0] for bad in wrong)
            ]
    return []


def _found(error: ValidationError, data: Any, made: type[Spec]) -> Iterator[tuple[Place, Any, str]]:
    for one in error.errors(include_url=False):
        place = tuple(part for part in one["loc"] if not str(part).startswith("function-"))
        context = one.get("ctx", {})
        if one["type"] == "rules":
            for where, rule in context["broken"]:
                yield where, _at(data, where), rule
        elif one["type"] == "missing":
            yield place, _NOTHING, "it is missing"
        elif one["type"] == "extra_forbidden":
            yield place, _NOTHING, _unknown(place, made)
        elif one["type"] == "literal_error":
            yield place, one["input"], f"{context['expected'].replace(' or ', ', ')} are allowed"
        elif one["type"] == "rule":
            yield place, one["input"], context["rule"]
        else:
            yield place, one["input"], _NEEDED.get(one["type"], one["msg"])


class _Nothing:
    """No value: the field isn't there, or has no say."""


_NOTHING = _Nothing()


def _at(data: Any, place: Place) -> Any:
    for part in place:
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            return _NOTHING
    return data


def _sentence(field: str, value: Any, rule: str, api: str) -> str:
    owner = f" of '{api}'" if api and field != "name" else ""
    if value is _NOTHING or isinstance(value, dict | list):
        return f"{field or 'the spec'}{owner}: {rule}"
    return f"{field}{owner} is {short(value)}; {rule}"


def short(value: Any) -> str:
    """A value for a message, cut to what fits a line."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def field_name(place: Place) -> str:
    """("pod", "containers", 0, "name") as "pod.containers[0].name"."""
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def nearest(name: str, known: Any) -> str | None:
    """The known name most like `name`, if one is like it at all."""
    return next(iter(difflib.get_close_matches(name, list(known), 1, 0.7)), None)


def _section(made: type[BaseModel], place: Place) -> type[BaseModel] | None:
    """The model whose field `place` would be."""
    for part in place[:-1]:
        if isinstance(part, int):
            continue
        found = made.model_fields.get(str(part))
        inner = found and next(_models_in(found.annotation), None)
        if inner is None:
            return None
        made = inner
    return made


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)


def _unknown(place: Place, made: type[Spec]) -> str:
    name = str(place[-1])
    model = _section(made, place)
    known = [] if model is None else list(model.model_fields)
    if model is made:
        known = [field for field in known if field in made.takes]
    if (near := nearest(name, known)) is not None:
        return f"there is no such field; did you mean {near}?"
    if len(place) == 1:
        if name in _FORMER:
            return f"there is no such field; {_FORMER[name]}"
        for section in made.takes:
            for inner in _models_in(made.model_fields[section].annotation):
                if name in inner.model_fields:
                    return f"there is no such field here; it belongs to {section}"
    return f"there is no such field; {', '.join(known)} are known here"
