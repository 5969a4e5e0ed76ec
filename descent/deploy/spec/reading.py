"""From YAML, JSON or plain data to specs: everything is checked before anything is returned."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from descent.deploy.spec.document import MOST_BYTES, MOST_DEPTH, Document, Place, read_documents
from descent.deploy.spec.errors import Problem, SpecError
from descent.deploy.spec.kinds import KINDS, Spec
from descent.deploy.spec.messages import nearest, problems_of, short

__all__ = ["make_spec", "read_specs"]


MOST_APIS = 1000


def read_specs(source: str | os.PathLike | Mapping | list) -> list[Spec]:
    """The specs of a file, of YAML or JSON text, or of plain data: one, or a list of them.

    Raises SpecError that names every wrong field, its value, what would be right and the line.
    """
    where = ""
    if isinstance(source, Mapping | list):
        documents = [Document(dict(source) if isinstance(source, Mapping) else source)]
    else:
        path = _path(source)
        where = str(path) if path else ""
        documents = read_documents(_text_of(path) if path else str(source), where)
    found, problems = [], []
    for document in documents:
        many = isinstance(document.value, list)
        if many and len(document.value) > MOST_APIS:
            said = f"{len(document.value)} APIs in one file; at most {MOST_APIS} are allowed"
            raise SpecError(Problem(said), where)
        for n, data in enumerate(document.value if many else [document.value]):
            try:
                found.append(make_spec(data, _lines(document, (n,) if many else ())))
            except SpecError as error:
                problems += error.problems
            else:
                problems += _twice(found, document.line((n,) if many else ()))
    if problems:
        raise SpecError(problems, where)
    if not found:
        raise SpecError(Problem("there is no spec here: a list of APIs is needed"), where)
    return found


def make_spec(data: Any, line_of: Callable[[Place], int | None] = lambda place: None) -> Spec:
    """One spec of plain data. Raises SpecError; `line_of` finds the line of a place in `data`."""
    if not isinstance(data, dict):
        said = f"an API is a mapping (name: …, kind: …); this is {short(data)}"
        raise SpecError(Problem(said, line=line_of(())))
    if _deeper_than(data, MOST_DEPTH):
        raise SpecError(Problem(f"more than {MOST_DEPTH} levels are refused", line=line_of(())))
    kind = data.get("kind")
    made = KINDS.get(kind) if isinstance(kind, str) else None
    if made is None:
        api = data.get("name") if isinstance(data.get("name"), str) else ""
        owner = f" of '{api}'" if api else ""
        near = nearest(str(kind), KINDS)
        hint = f"did you mean {near}?" if near else f"{', '.join(KINDS)} are the kinds"
        said = f"kind{owner} is {short(kind)}; {hint}" if "kind" in data else f"kind{owner}: {hint}"
        raise SpecError(Problem(said, api or "", "kind", line_of(("kind",))))
    try:
        return made.model_validate(data)
    except ValidationError as error:
        problems = problems_of(error, data, made, line_of)
        problems.sort(key=lambda problem: problem.line or 0)
        raise SpecError(problems) from None


def _deeper_than(data: Any, levels: int) -> bool:
    inside = [data]
    for _ in range(levels + 1):
        inside = [
            item
            for one in inside
            if isinstance(one, dict | list)
            for item in (one.values() if isinstance(one, dict) else one)
        ]
    return bool(inside)


def _lines(document: Document, at: Place) -> Callable[[Place], int | None]:
    return lambda place: document.line((*at, *place))


def _path(source: str | os.PathLike) -> Path | None:
    """The file `source` names; None where it is the text itself."""
    if not isinstance(source, str):
        return Path(source)
    if "\n" in source or ": " in source or source.lstrip()[:1] in ("{", "[", "-", ""):
        return None
    return Path(source)


def _text_of(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or error
        raise SpecError(Problem(f"the spec {str(path)!r} cannot be read: {said}")) from None
    if len(data) > MOST_BYTES:
        raise SpecError(
            Problem(f"a spec of more than {MOST_BYTES >> 20} MiB is refused"), str(path)
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        said = f"this is not UTF-8 text (byte {error.start})"
        raise SpecError(Problem(said), str(path)) from None


def _twice(found: list[Spec], line: int | None) -> Iterable[Problem]:
    """What the last spec has in common with one before it, and mustn't."""
    spec, before = found[-1], found[:-1]
    for other in before:
        if other.name == spec.name:
            yield Problem(f"name is '{spec.name}'; it stands here twice", spec.name, "name", line)
        elif other.networking.endpoint == spec.networking.endpoint:
            said = (
                f"networking.endpoint of '{spec.name}' is {spec.networking.endpoint!r}; "
                f"it is that of '{other.name}' too"
            )
            yield Problem(said, spec.name, "networking.endpoint", line)
