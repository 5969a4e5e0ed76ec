"""A spec without YAML: for a run folder, "file.py:Class", "pkg.mod:Class", or a class.

descent deploy runs/names          spec_of("runs/names")
descent deploy sorter.py:Sorter    spec_of("sorter.py:Sorter", max_concurrency=8)
"""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path
from typing import Any

from descent.deploy.spec.errors import Problem, SpecError
from descent.deploy.spec.kinds import KINDS, Spec
from descent.deploy.spec.messages import nearest
from descent.deploy.spec.reading import make_spec

__all__ = ["changed", "name_from", "spec_of"]

_SECTIONS = ("pod", "autoscaling", "update_strategy", "networking")


def spec_of(target: Any, **overrides: Any) -> Spec:
    """The spec that serves `target`: a RealtimeAPI named after it, unless told otherwise.

    An override is a field ("timeout_s"), a field of a section by its own name ("max_concurrency")
    or by its full one (`**{"pod.max_concurrency": 8}`). Raises SpecError.
    """
    service = _service(target)
    data = {"name": name_from(service), "kind": "RealtimeAPI", "service": service}
    return make_spec(_with(data, overrides))


def changed(spec: Spec, **overrides: Any) -> Spec:
    """The same spec with some fields changed, checked again; names as for `spec_of`."""
    return make_spec(_with(spec.model_dump(mode="json", exclude_unset=True), overrides, spec.kind))


def _service(target: Any) -> str:
    if isinstance(target, str | Path):
        text = str(target)
        head = text.rpartition(":")[0] or text
        if re.search(r"[/\\]", head) or head.endswith(".py"):
            if not Path(head).exists():
                said = (
                    f"there is no {head!r}: a run folder, file.py:Class or package:Class is needed"
                )
                raise SpecError(Problem(said, field="service"))
        return text
    if not (inspect.isclass(target) or inspect.isfunction(target)):
        said = f"{target!r} cannot be deployed by name: a class, a function or text is needed"
        raise SpecError(Problem(said, field="service"))
    if "<locals>" in target.__qualname__:
        said = f"{target.__qualname__} is inside a function: the service must be able to import it"
        raise SpecError(Problem(said, field="service"))
    if target.__module__ == "__main__":
        file = getattr(sys.modules["__main__"], "__file__", None)
        if file is None:
            said = f"{target.__qualname__} lives in this session only: write it to a file"
            raise SpecError(Problem(said, field="service"))
        return f"{file}:{target.__qualname__}"
    return f"{target.__module__}:{target.__qualname__}"


def name_from(service: str) -> str:
    """An API's name for a service: "a/sorter.py:TextSorter" gives "text-sorter"."""
    last = service.rpartition(":")[2] if ":" in service else Path(service).stem
    last = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", re.split(r"[/\\.]", last.rstrip("/\\"))[-1])
    name = re.sub(r"[^a-z0-9]+", "-", last.lower()).strip("-")
    name = name if name[:1].isalpha() else f"api-{name}".rstrip("-")
    return name[:42].rstrip("-")


def _with(data: dict[str, Any], overrides: dict[str, Any], kind: str = "RealtimeAPI") -> dict:
    fields = KINDS.get(str(overrides.get("kind", kind)), Spec).model_fields
    for name, value in overrides.items():
        place = _place(name, fields)
        inner = data
        for part in place[:-1]:
            if not isinstance(inner.get(part) or {}, dict):
                said = f"{name}: {part} has no fields that can be named; give the whole of it"
                raise SpecError(Problem(said, field=name))
            inner[part] = dict(inner.get(part) or {})
            inner = inner[part]
        before = inner.get(place[-1])
        both = isinstance(before, dict) and isinstance(value, dict) and place[-1] != "config"
        inner[place[-1]] = {**before, **value} if both else value  # type: ignore[dict-item]
    return data


def _place(name: str, fields: Any) -> list[str]:
    if "." in name or name in fields:
        return name.split(".")
    known = {}
    for section in _SECTIONS:
        for inner in fields[section].annotation.model_fields:
            known[inner] = section
    if name in known:
        return [known[name], name]
    near = nearest(name, [*fields, *known])
    hint = f"did you mean {near}?" if near else "see docs/deploy/spec.md"
    raise SpecError(Problem(f"{name} is not a field of a spec; {hint}", field=name))
