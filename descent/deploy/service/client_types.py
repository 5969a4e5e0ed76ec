"""Python types written from JSON schemas: TypedDicts for objects, Literal for enums, unions.

    {"type": "object", "properties": {"rooms": {"type": "integer"}}}  →  class House(TypedDict): …

Every name from a schema is made a Python identifier or written as a string literal: nothing in a
schema can become code. Left out: constraints (the service checks them and names the field).
"""

from __future__ import annotations

import keyword
import re
from typing import Any

__all__ = ["Types", "identifier"]

_PLAIN = {
    "string": "str",
    "integer": "int",
    "number": "float",
    "boolean": "bool",
    "null": "None",
    "array": "list[Any]",
    "object": "dict[str, Any]",
}
_RESERVED = {"Any", "Literal", "NotRequired", "TypedDict", "Iterator", "Path", "Error", "Client"}


class Types:
    """Collects the classes that the types of some schemas need; `source()` gives their code."""

    def __init__(self, taken: set[str] | None = None) -> None:
        self._taken = set(taken or ()) | _RESERVED
        self._classes: dict[str, str] = {}
        self._of_ref: dict[tuple[int, str], str] = {}

    def of(self, schema: Any, name: str, root: dict[str, Any] | None = None) -> str:
        """The type of `schema` as Python source; an object without a title is called `name`."""
        if not isinstance(schema, dict) or not schema:
            return "Any"
        root = schema if root is None else root
        if isinstance(ref := schema.get("$ref"), str):
            return self._referred(ref, root)
        if "const" in schema:
            return _literal([schema["const"]])
        if isinstance(schema.get("enum"), list) and schema["enum"]:
            return _literal(schema["enum"])
        for key in ("anyOf", "oneOf"):
            if isinstance(schema.get(key), list):
                return _union([self.of(part, name, root) for part in schema[key]])
        kind = schema.get("type")
        if isinstance(kind, list):
            return _union([self.of({**schema, "type": each}, name, root) for each in kind])
        if kind == "object":
            return self._object(schema, name, root)
        if kind == "array" and schema.get("items"):
            return f"list[{self.of(schema['items'], name, root)}]"
        return _PLAIN.get(str(kind), "Any")

    def source(self) -> str:
        """The classes, each once."""
        return "\n\n\n".join(self._classes.values())

    def _referred(self, ref: str, root: dict[str, Any]) -> str:
        key = (id(root), ref)
        if key not in self._of_ref:
            name = ref.rsplit("/", 1)[-1]
            part = root.get("$defs", {}).get(name)
            if part is None:
                return "Any"
            if part.get("type") != "object" or "properties" not in part:
                return self.of(part, name, root) if not _within(part, ref) else "Any"
            made = self._of_ref[key] = self._name(part.get("title") or name)
            self._of_ref[key] = self._class(made, part, root)
        return self._of_ref[key]

    def _object(self, schema: dict[str, Any], name: str, root: dict[str, Any]) -> str:
        if schema.get("properties"):
            return self._class(self._name(schema.get("title") or name), schema, root)
        rest = schema.get("additionalProperties")
        value = self.of(rest, name, root) if isinstance(rest, dict) else "Any"
        return f"dict[str, {value}]"

    def _class(self, name: str, schema: dict[str, Any], root: dict[str, Any]) -> str:
        """Write a class; its name, or that of the same one which is there already."""
        self._classes[name] = ""  # its place, before those it needs
        required = set(schema.get("required") or ())
        fields = {}
        for key, part in schema["properties"].items():
            tp = self.of(part, f"{name}{identifier(key, 'Field').title()}", root)
            # Quoted, as a class may come later, or be this one.
            fields[key] = repr(tp) if key in required else f"NotRequired[{tp!r}]"
        if all(map(_plain, fields)):
            lines = [f"    {key}: {tp}" for key, tp in fields.items()]
            self._classes[name] = "\n".join([f"class {name}(TypedDict):", *lines])
        else:
            lines = [f"        {key!r}: {tp}," for key, tp in fields.items()]
            self._classes[name] = "\n".join(
                [f"{name} = TypedDict(", f"    {name!r},", "    {", *lines, "    },", ")"]
            )

        same = [n for n in self._classes if n != name and self._same(n, name)]
        if same:
            del self._classes[name]
            self._taken.discard(name)
        return same[0] if same else name

    def _same(self, one: str, other: str) -> bool:
        """Are they written alike, but for their names?"""
        return self._classes[one] == re.sub(rf"\b{other}\b", one, self._classes[other])

    def _name(self, wanted: str) -> str:
        base = identifier(wanted, "Value")
        base = base[:1].upper() + base[1:]
        name, number = base, 2
        while name in self._taken:
            name, number = f"{base}{number}", number + 1
        self._taken.add(name)
        return name


def _plain(key: str) -> bool:
    """May it be written as an attribute? (Names with two underscores are changed in classes.)"""
    return key.isidentifier() and not keyword.iskeyword(key) and not key.startswith("__")


def identifier(text: str, otherwise: str) -> str:
    """`text` as a Python name: "my field" → my_field."""
    made = re.sub(r"[^0-9A-Za-z_]+", "_", str(text)).strip("_")
    if not made or made[0].isdigit():
        made = f"{otherwise}_{made}".rstrip("_")
    return f"{made}_" if keyword.iskeyword(made) else made


def _literal(values: list[Any]) -> str:
    """Literal of what may stand in one; other constants by their type."""
    fit = [v for v in values if v is None or isinstance(v, str | int | bool)]
    if len(fit) < len(values):
        return "Any"
    return f"Literal[{', '.join(repr(value) for value in fit)}]"


def _union(parts: list[str]) -> str:
    kept = list(dict.fromkeys(parts))
    return "Any" if "Any" in kept or not kept else " | ".join(kept)


def _within(part: Any, ref: str) -> bool:
    """Does a schema that is no object refer to itself?"""
    if isinstance(part, dict):
        return part.get("$ref") == ref or any(_within(inner, ref) for inner in part.values())
    return isinstance(part, list) and any(_within(inner, ref) for inner in part)
