import contextlib
import json

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from descent.generate.constrain import ConstraintError
from tests.generate.constrain.texts import automaton, random_text, takes

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 12},
        "age": {"type": "integer", "minimum": 0, "maximum": 120},
        "tags": {"type": "array", "items": {"enum": ["a", "b", 'q"uote']}, "maxItems": 3},
        "mail": {"type": "string", "format": "email"},
    },
    "required": ["name", "age"],
    "additionalProperties": False,
}
TREE = {
    "$defs": {
        "node": {
            "type": "object",
            "properties": {
                "value": {"type": "number"},
                "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
            },
            "required": ["value", "children"],
            "additionalProperties": False,
        }
    },
    "$ref": "#/$defs/node",
}
SHAPES = {
    "oneOf": [
        {
            "type": "object",
            "properties": {
                "kind": {"const": "circle"},
                "radius": {"type": "number", "exclusiveMinimum": 0},
            },
            "required": ["kind", "radius"],
        },
        {
            "type": "object",
            "properties": {"kind": {"const": "square"}, "side": {"type": "integer"}},
            "required": ["kind", "side"],
            "additionalProperties": {"type": "boolean"},
        },
    ]
}
SCHEMAS = [
    PERSON,
    TREE,
    SHAPES,
    True,
    {},
    {"description": "anything"},
    {"type": "object"},
    {"type": "object", "additionalProperties": {"type": "integer"}, "maxProperties": 3},
    {"type": "object", "additionalProperties": False},
    {"type": "object", "required": ["x"]},
    {"properties": {"ab": {"type": "null"}, "abc": {"type": "null"}, "": {"type": "null"}}, "additionalProperties": {"type": "integer"}},
    {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}], "items": False, "minItems": 1},
    {"type": "array", "prefixItems": [{"type": "integer"}], "items": {"type": "boolean"}, "minItems": 3, "maxItems": 4},
    {"type": "array", "items": {"type": "array", "items": {"type": "null"}, "minItems": 1}, "minItems": 2},
    {"type": ["string", "null"]},
    {"type": ["integer", "boolean", "number"]},
    {"enum": [1, "two", None, {"three": [3, 3.5]}, True]},
    {"enum": [1, "two"], "type": "string"},
    {"const": {"a": "\\ \" é \n"}},
    {"type": "string", "pattern": "^[A-Z]{2}\\d{3}$"},
    {"type": "string", "pattern": "ab|^cd"},
    {"type": "string", "pattern": '^["\\\\/].\\n?$'},
    {"type": "string", "format": "date-time"},
    {"type": "string", "format": "ipv4"},
    {"type": "string", "format": "uuid"},
    {"anyOf": [{"type": "integer", "maximum": -5}, {"type": "string", "maxLength": 2}]},
    {"type": "object", "properties": {"a": {"type": "integer"}}, "anyOf": [{"required": ["a"]}, {"required": ["b"]}]},
    {"allOf": [{"type": "object", "properties": {"a": {"type": "integer", "minimum": 3}}}, {"properties": {"a": {"maximum": 5}, "b": {"type": "null"}}, "required": ["a"]}]},
    {"type": "integer", "exclusiveMinimum": -3, "exclusiveMaximum": 12},
    {"type": "number", "minimum": -1.5, "exclusiveMaximum": 2.25},
    {"type": "number", "multipleOf": 1, "minimum": 7},
]  # fmt: skip


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda s: json.dumps(s)[:60])
def test_random_texts_are_valid(schema):
    machine = automaton(json_schema=schema)
    validator = jsonschema.Draft202012Validator(schema)
    texts = {random_text(machine, seed) for seed in range(60)}
    for text in texts:
        validator.validate(json.loads(text))


def test_the_schema_may_be_text():
    assert takes(automaton(json_schema='{"type": "integer"}'), "12")
    with pytest.raises(ConstraintError, match="not valid JSON"):
        automaton(json_schema="{")


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        (PERSON, '{"name":"Ann","age":7}'),
        (PERSON, '{"name": "Ann", "age": 7, "mail": "a@b.de"}'),
        (TREE, '{"value": 1, "children": [{"value": -2.5e3, "children": []}]}'),
        (SHAPES, '{"kind": "circle", "radius": 0.5, "other": [1]}'),
        (True, '[{"a": "\\u00e9\\n", "b": [true, null, 1E5]}, "日本"]'),
        ({"type": "array", "prefixItems": [{"type": "integer"}]}, '[1, "x"]'),
        ({"type": "object", "required": ["x"]}, '{"x": {}, "y": 1}'),
        ({"properties": {"ab": {"type": "null"}}}, '{"a": 1, "abc": 2}'),
    ],
)
def test_usual_texts_are_taken(schema, text):
    jsonschema.validate(json.loads(text), schema)
    assert takes(automaton(json_schema=schema), text)


@given(
    kind=st.sampled_from(["integer", "number"]),
    low=st.none() | st.integers(-2000, 2000) | st.decimals(-200, 200, places=2),
    high=st.none() | st.integers(-2000, 2000) | st.decimals(-200, 200, places=2),
    open_low=st.booleans(),
    open_high=st.booleans(),
    tries=st.lists(st.integers(-2100, 2100) | st.decimals(-210, 210, places=3), max_size=8),
)
@settings(max_examples=150, deadline=None)
def test_bounds_hold_exactly(kind, low, high, open_low, open_high, tries):
    def plain(value):
        return value if isinstance(value, int) else float(value)

    schema = {"type": kind}
    if low is not None:
        schema["exclusiveMinimum" if open_low else "minimum"] = plain(low)
    if high is not None:
        schema["exclusiveMaximum" if open_high else "maximum"] = plain(high)
    validator = jsonschema.Draft202012Validator(schema)
    machine = None
    with contextlib.suppress(ConstraintError):
        machine = automaton(json_schema=schema)
    if machine is None:
        assert not any(validator.is_valid(plain(t)) for t in tries)
        return
    for seed in range(12):
        text = random_text(machine, seed, 20)
        assert validator.is_valid(json.loads(text)), text
    for value in [*tries, *(b for b in (low, high) if b is not None)]:
        text = str(plain(value)) if kind == "number" else str(value)
        if "." in text and kind == "integer":
            continue
        if text in ("-0", "-0.0"):
            continue
        assert takes(machine, text) == validator.is_valid(json.loads(text)), (schema, text)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-999, 999) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=4,
)


def some_schemas():
    leaf = st.sampled_from(
        [
            {"type": "string"}, {"type": "integer"}, {"type": "number"}, {"type": "boolean"},
            {"type": "null"}, {}, True, {"type": "string", "maxLength": 3}, {"type": "object"},
            {"type": "integer", "minimum": -7, "maximum": 30}, {"type": "array"},
            {"type": "string", "pattern": "^a+\\d$"}, {"type": ["integer", "null"]},
        ]
    ) | st.lists(JSON_VALUES, min_size=1, max_size=3).map(lambda vs: {"enum": vs})  # fmt: skip

    def deeper(inner):
        arrays = st.builds(
            lambda items, low, more: {"type": "array", "items": items, "minItems": low, "maxItems": low + more},
            inner, st.integers(0, 2), st.integers(0, 2),
        )  # fmt: skip
        objects = st.builds(
            lambda props, extra, n: {
                "type": "object", "properties": props, "additionalProperties": extra,
                "required": list(props)[:n],
            },
            st.dictionaries(st.text("ab\"é", max_size=2), inner, max_size=3),
            inner | st.booleans(),
            st.integers(0, 2),
        )  # fmt: skip
        unions = st.lists(inner, min_size=1, max_size=3).map(lambda options: {"anyOf": options})
        return arrays | objects | unions

    return st.recursive(leaf, deeper, max_leaves=6)


@given(schema=some_schemas(), seed=st.integers(0, 2**32))
@settings(max_examples=120, deadline=None)
def test_whatever_is_written_is_valid(schema, seed):
    machine = automaton(json_schema=schema)
    for offset in range(4):
        text = random_text(machine, seed + offset)
        jsonschema.Draft202012Validator(schema).validate(json.loads(text))


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "integer", "minimum": 3, "maximum": 2}, "at #: nothing can match"),
        ({"properties": {"a": {"type": "integer", "minimum": 3, "exclusiveMaximum": 3}}}, "at #/properties/a: nothing"),
        (False, "false accepts nothing"),
        ({"type": "strin"}, "type 'strin' is unknown; there are object, array"),
        ({"items": {"not": {}}}, "at #/items: not is not supported"),
        ({"uniqueItems": True}, "uniqueItems"),
        ({"$ref": "http://example.org/x"}, "leads outside the schema"),
        ({"$ref": "#/$defs/x"}, "there is no '\\$defs'"),
        ({"$ref": "#"}, "no finite text can match|refers to itself"),
        ({"anyOf": [{"$ref": "#"}, {"type": "null"}]}, "refers to itself"),
        ({"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]}, "no finite text"),
        ({"oneOf": [{"type": "integer"}, {"type": "number"}]}, "options 0 and 1 may both accept"),
        ({"enum": []}, "at least one value"),
        ({"enum": [1], "type": "string"}, "nothing can match"),
        ({"type": "object", "required": ["a"], "additionalProperties": False}, "'a' is required, but not allowed"),
        ({"type": "string", "pattern": "(?=x)"}, "look-around"),
        ({"type": "string", "minLength": 3, "maxLength": 2}, "nothing can match"),
        ({"minLength": -1}, "whole number from 0"),
        ({"allOf": [{"type": "string"}, {"type": "null"}]}, "nothing in common"),
        ([1], "a schema is an object or a boolean, not a list"),
    ],
)  # fmt: skip
def test_what_cannot_be_kept_to_is_refused_with_its_place(schema, words):
    with pytest.raises(ConstraintError, match=words):
        automaton(json_schema=schema)


def test_recursion_goes_as_deep_as_the_text():
    machine = automaton(json_schema=TREE)
    text = '{"value": 0, "children": [' * 300 + "]}" * 300
    assert takes(machine, text)
    assert not takes(machine, text + "]")
