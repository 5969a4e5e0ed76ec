"""A JSON schema as rules: every text of the language is JSON that the schema accepts.

    {"type": "object", "properties": {"a": A, "b": B}, "required": ["a"]}
      =  "{" ‹"a": A› (, ‹"b": B›)? (, ‹other key›: ‹any value›)* "}"

Reference: JSON Schema 2020-12 (draft 7's spellings too). Properties come in the schema's order. The
language may be smaller than what the schema accepts (a missing `type` is taken from the other
keywords), never larger: a keyword that cannot be kept to is refused with its place. Understood:
type, properties, required, additionalProperties, minProperties ≤ 1, maxProperties (without
properties), items, prefixItems, minItems, maxItems, enum, const, minLength, maxLength, pattern,
format, minimum, maximum, exclusive…, anyOf, allOf, oneOf (whose options exclude each other), $ref
within the schema, also to itself. Refused: not, if, patternProperties, uniqueItems, contains,
multipleOf and whatever else is unknown.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NoReturn

from descent.generate.constrain.errors import ConstraintError
from descent.generate.constrain.json_text import (
    ANY,
    ANY_ARRAY,
    ANY_OBJECT,
    COLON,
    COMMA,
    json_rules,
    listed,
    string_but,
)
from descent.generate.constrain.language import (
    EMPTY,
    Call,
    Language,
    Or,
    Times,
    literal,
    maybe,
    seq,
)
from descent.generate.constrain.scalars import number, text_value
from descent.generate.constrain.schema_merge import disjoint, matches_type, merged, types_of

__all__ = ["schema_rules"]

_NOTES = frozenset({
    "title", "description", "default", "examples", "example", "$schema", "$id", "id", "$comment",
    "$defs", "definitions", "$anchor", "deprecated", "readOnly", "writeOnly", "discriminator",
    "contentMediaType", "contentEncoding",
})  # fmt: skip
_OF_TYPE = {
    "object": {"properties", "required", "additionalProperties", "minProperties", "maxProperties"},
    "array": {"items", "prefixItems", "additionalItems", "minItems", "maxItems", "uniqueItems"},
    "string": {"minLength", "maxLength", "pattern", "format"},
    "number": {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"},
    "integer": {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"},
    "boolean": set(),
    "null": set(),
}
_KNOWN = frozenset().union(*_OF_TYPE.values()) | {
    "type", "enum", "const", "anyOf", "oneOf", "allOf", "$ref",
}  # fmt: skip


def schema_rules(schema: Any) -> tuple[dict[str, Language], str]:
    """The rules of `schema` and the name of the first.

    Raises:
        ConstraintError: what is not a schema or cannot be kept to, with its place.
    """
    compiler = _Compiler(schema)
    top = compiler.reference("#", "#")
    while compiler.todo:
        name = compiler.todo.pop()
        compiler.rules[name] = compiler.value(compiler.resolve(name, name), name)
    return json_rules() | compiler.rules, top.rule


class _Compiler:
    def __init__(self, schema: Any) -> None:
        self.root = schema
        self.rules: dict[str, Language] = {}
        self.todo: list[str] = []
        self._asked: set[str] = set()

    def refuse(self, at: str, what: str) -> NoReturn:
        raise ConstraintError(f"json_schema at {at}: {what}")

    # References

    def reference(self, pointer: Any, at: str) -> Call:
        """The rule of the schema at `pointer`, compiled once, so it may contain itself."""
        if not isinstance(pointer, str) or not (pointer == "#" or pointer.startswith("#/")):
            self.refuse(at, f"$ref {pointer!r} leads outside the schema; only #/… is followed")
        if pointer not in self._asked:
            self.resolve(pointer, at)
            self._asked.add(pointer)
            self.todo.append(pointer)
        return Call(pointer)

    def resolve(self, pointer: str, at: str) -> Any:
        """The schema that a pointer (RFC 6901) leads to."""
        from urllib.parse import unquote

        found = self.root
        for part in pointer.split("/")[1:]:
            part = unquote(part).replace("~1", "/").replace("~0", "~")
            if isinstance(found, Mapping) and part in found:
                found = found[part]
            elif isinstance(found, list) and part.isdigit() and int(part) < len(found):
                found = found[int(part)]
            else:
                self.refuse(at, f"$ref {pointer!r} leads nowhere: there is no {part!r}")
        return found

    # Values

    def value(self, schema: Any, at: str) -> Language:
        """The JSON texts that `schema`, which stands at `at`, accepts."""
        if schema is True or schema == {}:
            return ANY
        if schema is False:
            self.refuse(at, "false accepts nothing")
        if not isinstance(schema, Mapping):
            self.refuse(at, f"a schema is an object or a boolean, not {_kind(schema)}")
        schema = {k: v for k, v in schema.items() if k not in _NOTES and not k.startswith("x-")}
        if not schema:
            return ANY
        for key in schema:
            if key not in _KNOWN:
                self.refuse(at, f"{key} is not supported")
        if "$ref" in schema:
            rest = {k: v for k, v in schema.items() if k != "$ref"}
            if not rest:
                return self.reference(schema["$ref"], at)
            self.reference(schema["$ref"], at)
            return self.value(self._merge(self.resolve(schema["$ref"], at), rest, at), at)
        for key in ("allOf", "anyOf", "oneOf"):
            if key in schema:
                return self._combined(key, schema, at)
        if "const" in schema or "enum" in schema:
            return self._listed_values(schema, at)
        return self._typed(schema, at)

    def _merge(self, one: Any, other: Any, at: str) -> Any:
        try:
            return merged(one, other)
        except ConstraintError as error:
            self.refuse(at, str(error))

    def _combined(self, key: str, schema: Mapping[str, Any], at: str) -> Language:
        options, rest = schema[key], {k: v for k, v in schema.items() if k != key}
        if not isinstance(options, list) or not options:
            self.refuse(at, f"{key} must be a list of at least one schema")
        if key == "allOf":
            whole: Any = rest
            for i, option in enumerate(options):
                if isinstance(option, Mapping) and "$ref" in option:
                    target = self.resolve(str(option["$ref"]), f"{at}/{key}/{i}")
                    option = self._merge(target, {k: option[k] for k in option if k != "$ref"}, at)
                whole = self._merge(whole, option, f"{at}/{key}/{i}")
            return self.value(whole, at)
        if key == "oneOf":
            resolved = [self._looked_up(option, at) for option in options]
            for i, one in enumerate(resolved):
                for j in range(i):
                    if not disjoint(resolved[j], one, lambda s: self._looked_up(s, at)):
                        self.refuse(
                            f"{at}/oneOf",
                            f"options {j} and {i} may both accept a value, which oneOf forbids; "
                            "use anyOf, or give each option a type or a required const of its own",
                        )
        made, refused = [], None
        for i, option in enumerate(options):
            try:
                merged_option = self._merge(rest, option, f"{at}/{key}/{i}") if rest else option
                made.append(self.value(merged_option, f"{at}/{key}/{i}"))
            except _Nothing as error:
                refused = error
        if not made:
            assert refused is not None
            raise refused
        return made[0] if len(made) == 1 else Or(tuple(made))

    def _looked_up(self, schema: Any, at: str) -> Any:
        for _ in range(32):
            if not (isinstance(schema, Mapping) and "$ref" in schema):
                break
            schema = self.resolve(str(schema["$ref"]), at)
        return schema

    def _listed_values(self, schema: Mapping[str, Any], at: str) -> Language:
        values = [schema["const"]] if "const" in schema else schema["enum"]
        if not isinstance(values, list) or not values:
            self.refuse(at, "enum must be a list of at least one value")
        if "const" in schema and "enum" in schema:
            values = [v for v in values if v in schema["enum"]]
        other = set(schema) - {"const", "enum", "type"}
        if other:
            self.refuse(at, f"{sorted(other)[0]} beside const or enum is not supported")
        types = types_of(schema)
        kept = [v for v in values if types is None or any(matches_type(v, t) for t in types)]
        if not kept:
            self._nothing(at, f"no value of {values!r} is of type {schema['type']!r}")
        texts = dict.fromkeys(
            json.dumps(v, ensure_ascii=False, separators=(",", ":"), allow_nan=False) for v in kept
        )
        options = [literal(text) for text in texts]
        return options[0] if len(options) == 1 else Or(tuple(options))

    def _nothing(self, at: str, what: str) -> NoReturn:
        raise _Nothing(f"json_schema at {at}: nothing can match: {what}")

    def _typed(self, schema: Mapping[str, Any], at: str) -> Language:
        types = types_of(schema)
        if types is None:
            given = set(schema)
            types = [t for t in ("object", "array", "string", "number") if given & _OF_TYPE[t]]
        if "number" in types:
            types = [t for t in types if t != "integer"]
        made = []
        for kind in types:
            if kind not in _OF_TYPE:
                self.refuse(at, f"type {kind!r} is unknown; there are {', '.join(_OF_TYPE)}")
            made.append(self._of_type(kind, schema, at))
        if not made:
            self.refuse(at, "type is an empty list")
        return made[0] if len(made) == 1 else Or(tuple(made))

    def _of_type(self, kind: str, schema: Mapping[str, Any], at: str) -> Language:
        match kind:
            case "object":
                return self._object(schema, at)
            case "array":
                return self._array(schema, at)
            case "string":
                found = text_value(schema, lambda what: self.refuse(at, what))
            case "number" | "integer":
                found = number(kind, schema, lambda what: self.refuse(at, what))
            case "boolean":
                found = Or((literal("true"), literal("false")))
            case _:
                found = literal("null")
        if found is None:
            self._nothing(at, "the bounds exclude each other")
        return found

    # Arrays

    def _array(self, schema: Mapping[str, Any], at: str) -> Language:
        if schema.get("uniqueItems"):
            self.refuse(at, "uniqueItems is not supported")
        least, most = self._counts(schema, "minItems", "maxItems", at)
        first, items = schema.get("prefixItems", []), schema.get("items", True)
        if isinstance(items, list):  # draft 7's way to say prefixItems
            first, items = items, schema.get("additionalItems", True)
        if not first and items is True and (least, most) == (0, None):
            return ANY_ARRAY
        first = first[:most]
        left = None if most is None else most - len(first)
        rest_least = max(least - len(first), 0)
        if items is False:
            if rest_least:
                self._nothing(at, f"minItems is {least}, but there are only {len(first)} items")
            left = 0
        item = EMPTY if left == 0 else self.value(items, f"{at}/items")
        if not first:
            return seq(literal("["), listed(item, rest_least, left), literal("]"))
        tail: Language = EMPTY if left == 0 else Times(seq(COMMA, item), rest_least, left)
        for i in range(len(first) - 1, -1, -1):
            comma = (COMMA,) if i else ()
            tail = seq(*comma, self.value(first[i], f"{at}/prefixItems/{i}"), tail)
            tail = tail if i < least else maybe(tail)
        return seq(literal("["), tail, literal("]"))

    def _counts(
        self, schema: Mapping[str, Any], low: str, high: str, at: str
    ) -> tuple[int, int | None]:
        least, most = schema.get(low, 0), schema.get(high)
        for name, value in ((low, least), (high, most)):
            if value is not None and (not isinstance(value, int) or value < 0):
                self.refuse(at, f"{name} must be a whole number from 0, not {value!r}")
        if most is not None and least > most:
            self._nothing(at, f"{low} is {least} and {high} is {most}")
        return least, most

    # Objects

    def _object(self, schema: Mapping[str, Any], at: str) -> Language:
        properties = schema.get("properties", {})
        required = schema.get("required", [])
        if not isinstance(properties, Mapping) or not isinstance(required, list):
            self.refuse(at, "properties must be an object and required a list of names")
        more = schema.get("additionalProperties", True)
        least, most = self._counts(schema, "minProperties", "maxProperties", at)
        if least > max(1, len(required)):
            self.refuse(at, "minProperties above 1 is not supported: keys might repeat")
        if not properties and not required:
            if more is True and (least, most) == (0, None):
                return ANY_OBJECT
            if more is False:
                if least:
                    self._nothing(at, "minProperties asks for a property, but none is allowed")
                return literal("{}")
            pair = seq(Call("json string"), COLON, self.value(more, f"{at}/additionalProperties"))
            return seq(literal("{"), listed(pair, least, most), literal("}"))
        if most is not None or least > len(required):
            self.refuse(at, "minProperties and maxProperties beside properties are not supported")
        members = [
            (name, self.value(sub, f"{at}/properties/{name}"), name in required)
            for name, sub in properties.items()
            if sub is not False or name in required
        ]
        for name in required:
            if name not in properties:
                if more is False:
                    self._nothing(at, f"{name!r} is required, but not allowed")
                sub = self.value(more, f"{at}/additionalProperties")
                members.append((name, sub, True))
        return self._members(members, {*properties, *required}, more, at)

    def _members(
        self, members: list[tuple[str, Language, bool]], names: set[str], more: Any, at: str
    ) -> Language:
        """The members in order, the optional ones or not; the rest as rules, so that each stands
        there once."""
        other: Language | None = None
        if more is not False:
            value = self.value(more, f"{at}/additionalProperties")
            self.rules[f"{at} other"] = seq(string_but(names), COLON, value)
            other = Call(f"{at} other")

        def rest(i: int, first: bool) -> Language:
            name = f"{at} from {i}{' first' if first else ''}"
            if name not in self.rules:
                self.rules[name] = EMPTY  # holds the place
                self.rules[name] = build(i, first)
            return Call(name)

        def build(i: int, first: bool) -> Language:
            comma = () if first else (COMMA,)
            if i == len(members):
                if other is None:
                    return EMPTY
                return listed(other) if first else Times(seq(COMMA, other), 0, None)
            key, value, needed = members[i]
            pair = seq(literal(json.dumps(key, ensure_ascii=False)), COLON, value)
            here = seq(*comma, pair, rest(i + 1, False))
            return here if needed else Or((here, rest(i + 1, first)))

        return seq(literal("{"), rest(0, True), literal("}"))


class _Nothing(ConstraintError):
    """A schema that accepts nothing: one option less where it is an option."""


def _kind(value: Any) -> str:
    return {list: "a list", str: "a string", type(None): "null"}.get(type(value), repr(value))
