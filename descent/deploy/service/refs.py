"""Where a schema's references point: into its own `$defs`, or into a document's components.

standing alone  {"$ref": "#/$defs/House", "$defs": {…}}      a signature, the page, the client
in OpenAPI      {"$ref": "#/components/schemas/pricer.House"}  one document for many APIs
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["hoisted", "renamed", "standing_alone"]

_COMPONENTS = "#/components/schemas/"


def hoisted(schema: dict[str, Any], prefix: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The schema with its `$defs` moved out, and those: component names begin with `prefix`."""

    def to(ref: str) -> str:
        return ref.replace("#/$defs/", f"{_COMPONENTS}{prefix}", 1)

    parts = {f"{prefix}{n}": renamed(part, to) for n, part in schema.get("$defs", {}).items()}
    body = renamed({key: part for key, part in schema.items() if key != "$defs"}, to)
    return body, parts


def standing_alone(schema: dict[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    """The schema with every component it reaches under `$defs`."""
    needed: dict[str, Any] = {}

    def to(ref: str) -> str:
        if not ref.startswith(_COMPONENTS):
            return ref
        name = ref.removeprefix(_COMPONENTS)
        if name not in needed and name in components:
            needed[name] = {}
            needed[name] = renamed(components[name], to)
        return f"#/$defs/{name}"

    whole = schema.get("$ref", "") if len(schema) == 1 else ""
    body = renamed(components.get(whole.removeprefix(_COMPONENTS), schema), to)
    return body | ({"$defs": needed} if needed else {})


def renamed(part: Any, to: Callable[[str], str]) -> Any:
    """A copy with every reference, discriminators' too, passed through `to`."""
    if isinstance(part, list):
        return [renamed(item, to) for item in part]
    if not isinstance(part, dict):
        return part
    made = {}
    for key, value in part.items():
        if key == "$ref" and isinstance(value, str):
            made[key] = to(value)
        elif key == "mapping" and isinstance(value, dict):
            made[key] = {k: to(v) if isinstance(v, str) else v for k, v in value.items()}
        else:
            made[key] = renamed(value, to)
    return made
