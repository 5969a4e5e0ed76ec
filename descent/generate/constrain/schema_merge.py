"""Two schemas as one that accepts what both accept, and whether two accept nothing in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from descent.generate.constrain.errors import ConstraintError

__all__ = ["disjoint", "matches_type", "merged", "types_of"]

_TIGHTER: dict[str, Callable[[Any, Any], Any]] = {
    "minimum": max, "exclusiveMinimum": max, "minLength": max, "minItems": max,
    "minProperties": max, "maximum": min, "exclusiveMaximum": min, "maxLength": min,
    "maxItems": min, "maxProperties": min,
}  # fmt: skip


def types_of(schema: Mapping[str, Any]) -> list[Any] | None:
    """The types a schema names; None if it names none."""
    kind = schema.get("type")
    return None if kind is None else list(kind) if isinstance(kind, list) else [kind]


def matches_type(value: Any, kind: Any) -> bool:
    """Whether a JSON value is of the type."""
    if isinstance(value, bool) or value is None:
        return kind == ("null" if value is None else "boolean")
    if isinstance(value, int | float):
        return kind == "number" or (kind == "integer" and float(value).is_integer())
    return kind == {str: "string", list: "array", dict: "object"}.get(type(value))


def merged(one: Any, other: Any) -> Any:
    """A schema for both; raises ConstraintError for keywords that cannot be joined."""
    if one is True or other is True:
        return other if one is True else one
    if not (isinstance(one, Mapping) and isinstance(other, Mapping)):
        raise ConstraintError("false accepts nothing")
    out = dict(one)
    for key, value in other.items():
        if key not in out or out[key] == value:
            out[key] = value
        elif key in ("title", "description", "default", "examples", "$comment", "$defs"):
            out[key] = value
        elif key in _TIGHTER:
            out[key] = _TIGHTER[key](out[key], value)
        elif key == "required":
            out[key] = list(dict.fromkeys([*out[key], *value]))
        elif key == "properties":
            out[key] = _joined_properties(out[key], value)
        elif key == "type":
            out[key] = _common_types(types_of(one) or [], types_of(other) or [])
        elif key == "enum":
            out[key] = [v for v in out[key] if v in value]
        elif key == "additionalProperties" and (out[key] is True or value is True):
            out[key] = value if out[key] is True else out[key]
        else:
            raise ConstraintError(f"two different {key} cannot be joined")
    for a, b in ((one, other), (other, one)):
        extra = set(b.get("properties", {})) - set(a.get("properties", {}))
        if extra and a.get("additionalProperties", True) is not True:
            raise ConstraintError(
                f"property {sorted(extra)[0]!r} falls under the other's additionalProperties"
            )
    return out


def _joined_properties(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    joined = dict(one)
    for name, schema in other.items():
        joined[name] = merged(joined[name], schema) if name in joined else schema
    return joined


def _common_types(one: list[str], other: list[str]) -> list[str]:
    common = [kind for kind in one if kind in other]
    if "integer" in (*one, *other) and "integer" not in common and "number" in (*one, *other):
        if ("integer" in one and "number" in other) or ("integer" in other and "number" in one):
            common.append("integer")
    if not common:
        raise ConstraintError(f"types {one} and {other} have nothing in common")
    return common


def disjoint(one: Any, other: Any, look_up: Callable[[Any], Any]) -> bool:
    """Whether it is certain that no value is accepted by both. `look_up` follows references."""
    one, other = look_up(one), look_up(other)
    if not (isinstance(one, Mapping) and isinstance(other, Mapping)):
        return False
    a, b = _values(one), _values(other)
    if a is not None and b is not None:
        return not any(_same(v, w) for v in a for w in b)
    for values, schema in ((a, other), (b, one)):
        types = types_of(schema)
        if values is not None:
            return types is not None and not any(matches_type(v, t) for v in values for t in types)
    a, b = types_of(one), types_of(other)
    if a is not None and b is not None:
        numeric = {"integer", "number"}
        if not set(a) & set(b) and not (set(a) & numeric and set(b) & numeric):
            return True
        if set(a) != {"object"} or set(b) != {"object"}:
            return False
    common = set(one.get("required", ())) & set(other.get("required", ()))
    these, those = one.get("properties", {}), other.get("properties", {})
    apart = any(disjoint(these.get(name), those.get(name), look_up) for name in common)
    return apart and a == b == ["object"]


def _values(schema: Mapping[str, Any]) -> list[Any] | None:
    return [schema["const"]] if "const" in schema else schema.get("enum")


def _same(v: Any, w: Any) -> bool:
    return v == w and isinstance(v, bool) == isinstance(w, bool)
