"""An example value of a JSON schema, for curl lines, pages and first tries.

The schema's own `examples` or `default` come first; else the smallest natural value. Left out:
patterns, and combinations (`allOf`) of more than one part.
"""

from __future__ import annotations

from typing import Any

__all__ = ["sample"]

_TEXTS = {
    "date": "2026-01-31",
    "date-time": "2026-01-31T12:00:00Z",
    "time": "12:00:00Z",
    "duration": "PT1M",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "uri": "https://example.org/",
    "email": "someone@example.org",
    "binary": "",
    "base64url": "",
    "ipv4": "127.0.0.1",
}
_DEEPEST = 6


def sample(schema: dict[str, Any], root: dict[str, Any] | None = None, depth: int = 0) -> Any:
    """A value that fits `schema`; `root` holds the `$defs` its references point into."""
    root = schema if root is None else root
    if ref := schema.get("$ref"):
        schema = {**root.get("$defs", {}).get(ref.rsplit("/", 1)[-1], {}), **schema}
    if schema.get("examples"):
        return schema["examples"][0]
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    if schema.get("enum"):
        return schema["enum"][0]
    for key in ("anyOf", "oneOf", "allOf"):
        if parts := schema.get(key):
            fitting = [part for part in parts if part.get("type") != "null"] or parts
            return sample(fitting[0], root, depth + 1) if depth < _DEEPEST else None
    kind = schema.get("type")
    kind = kind[0] if isinstance(kind, list) and kind else kind
    return _of_kind(kind, schema, root, depth)


def _of_kind(kind: Any, schema: dict[str, Any], root: dict[str, Any], depth: int) -> Any:
    if kind == "object":
        needed = schema.get("properties", {})
        if depth >= _DEEPEST:
            needed = {name: needed[name] for name in schema.get("required", ()) if name in needed}
            depth = min(depth, 2 * _DEEPEST)
        if depth >= 2 * _DEEPEST:
            return {}
        return {name: sample(part, root, depth + 1) for name, part in needed.items()}
    if kind == "array":
        return _array(schema, root, depth)
    if kind == "string":
        return _TEXTS.get(schema.get("format", ""), "text".ljust(schema.get("minLength", 0), "t"))
    if kind in ("integer", "number"):
        return _number(schema)
    return True if kind == "boolean" else None if kind == "null" else {}


def _array(schema: dict[str, Any], root: dict[str, Any], depth: int) -> list[Any]:
    if depth >= _DEEPEST:
        return []
    if first := schema.get("prefixItems"):
        return [sample(part, root, depth + 1) for part in first]
    count = min(max(schema.get("minItems", 1), 1), schema.get("maxItems", 100), 100)
    return [sample(schema.get("items") or {}, root, depth + 1) for _ in range(count)]


def _number(schema: dict[str, Any]) -> float:
    step: Any = schema.get("multipleOf", 1)
    value = schema.get("minimum", schema.get("exclusiveMinimum", 0))
    if "exclusiveMinimum" in schema:
        value += step
    top = schema.get("maximum", schema.get("exclusiveMaximum"))
    if top is not None and value > top:
        value = top
    if value == top == schema.get("exclusiveMaximum") and "maximum" not in schema:
        value = (schema.get("exclusiveMinimum", schema.get("minimum", 0)) + (top or 0)) / 2
    if value == 0 and (top is None or top >= step):
        value = step
    return value
