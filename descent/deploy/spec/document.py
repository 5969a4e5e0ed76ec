"""YAML (and JSON, which is YAML) read safely, with the line of every value.

Only plain data is built: no tags that construct objects. Refused: more than 1 MiB, more than 64
levels, more than 20,000 values once aliases are written out (the "billion laughs"), a key twice,
keys that aren't text. Dates stay text, and 1e3 is a number. Text that is JSON is read as JSON, for
YAML 1.1 differs in corners; it has no aliases, and `make_spec` counts its levels.
Reference: yaml.org/spec/1.1. Left out: `!!set`, `!!binary`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from descent.deploy.spec.errors import Problem, SpecError

__all__ = ["MOST_BYTES", "MOST_DEPTH", "Document", "read_documents"]

MOST_BYTES = 1 << 20
MOST_DEPTH = 64
MOST_VALUES = 20_000

Place = tuple[str | int, ...]


@dataclass
class Document:
    """One document: its value, and the line (from 1) of each place in it."""

    value: Any
    lines: dict[Place, int] = field(default_factory=dict)

    def line(self, place: Place) -> int | None:
        """The line of `place`, or of the nearest thing around it."""
        for end in range(len(place), -1, -1):
            if place[:end] in self.lines:
                return self.lines[place[:end]]
        return None


@cache
def _yaml() -> tuple[Any, type]:
    try:
        import yaml
    except ImportError as error:
        raise ImportError("reading a spec needs PyYAML: pip install 'descent-ml[serve]'") from error
    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    resolvers = {  # without dates: a spec has none, and JSON cannot carry them
        first: [pair for pair in pairs if not pair[0].endswith(":timestamp")]
        for first, pairs in base.yaml_implicit_resolvers.items()
    }
    loader = type("Loader", (base,), {"yaml_implicit_resolvers": resolvers})
    exponent = re.compile(r"[-+]?[0-9]+[eE][-+]?[0-9]+")
    loader.add_implicit_resolver("tag:yaml.org,2002:float", exponent, list("-+0123456789"))
    return yaml, loader


def read_documents(text: str, where: str = "") -> list[Document]:
    """The documents of `text`, empty ones left out.

    Raises SpecError with the line of what cannot be read.
    """
    if len(text.encode("utf-8", "surrogatepass")) > MOST_BYTES:
        raise SpecError(Problem(f"a spec of more than {MOST_BYTES >> 20} MiB is refused"), where)
    if text.lstrip()[:1] in ("{", "[") and (document := _json(text, where)) is not None:
        return [document]
    yaml, loader_type = _yaml()
    try:
        _check_depth(yaml, loader_type, text, where)
        loader = loader_type(text)
        try:
            found = []
            while loader.check_node():
                found.append(_Walk(loader, yaml, where).document(loader.get_node()))
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        said = f"this is not YAML: {error.problem or error.context}"
        raise SpecError(Problem(said, line=mark.line + 1 if mark else None), where) from None
    except (yaml.YAMLError, UnicodeError) as error:
        said = str(error).splitlines()[0]
        raise SpecError(Problem(f"this is not YAML: {said}"), where) from None
    return [document for document in found if document.value is not None]


def _json(text: str, where: str) -> Document | None:
    """`text` as JSON; None where it isn't, but may be YAML."""

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for name, value in found:
            if name in made:
                raise SpecError(Problem(f"{name!r} stands here twice"), where)
            made[name] = value
        return made

    try:
        return Document(json.loads(text, object_pairs_hook=pairs))
    except RecursionError:
        raise SpecError(Problem(f"more than {MOST_DEPTH} levels are refused"), where) from None
    except ValueError:
        return None


def _check_depth(yaml: Any, loader_type: type, text: str, where: str) -> None:
    """Refuse deep nesting before anything recursive looks at it, and what is too long early."""
    depth = 0
    for count, event in enumerate(yaml.parse(text, Loader=loader_type)):
        if count > 3 * MOST_VALUES:  # beginning and end of a collection, names
            said = f"more than {MOST_VALUES} values are refused"
            raise SpecError(Problem(said, line=event.start_mark.line + 1), where)
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MOST_DEPTH:
                said = f"more than {MOST_DEPTH} levels are refused"
                raise SpecError(Problem(said, line=event.start_mark.line + 1), where)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


class _Walk:
    """Builds one document's value from its nodes, counting."""

    def __init__(self, loader: Any, yaml: Any, where: str):
        self.loader, self.yaml, self.where = loader, yaml, where
        self.lines: dict[Place, int] = {}
        self.left = MOST_VALUES

    def document(self, node: Any) -> Document:
        return Document(self.value(node, (), 0), self.lines)

    def fail(self, message: str, node: Any) -> SpecError:
        return SpecError(Problem(message, line=node.start_mark.line + 1), self.where)

    def value(self, node: Any, place: Place, depth: int) -> Any:
        self.left -= 1
        if self.left < 0:
            raise self.fail(
                f"more than {MOST_VALUES} values (aliases written out) are refused", node
            )
        if depth > MOST_DEPTH:
            raise self.fail("an alias that contains itself is refused", node)
        self.lines.setdefault(place, node.start_mark.line + 1)
        if isinstance(node, self.yaml.ScalarNode):
            return self.scalar(node)
        if node.tag not in ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"):
            raise self.fail(f"the tag {node.tag!r} is refused: a spec is plain data", node)
        if isinstance(node, self.yaml.SequenceNode):
            return [self.value(item, (*place, n), depth + 1) for n, item in enumerate(node.value)]
        return self.mapping(node, place, depth)

    def scalar(self, node: Any) -> Any:
        plain = ("null", "bool", "int", "float", "str", "value", "merge")
        if node.tag.removeprefix("tag:yaml.org,2002:") not in plain:
            raise self.fail(f"the tag {node.tag!r} is refused: a spec is plain data", node)
        if node.tag.endswith(":int") and len(node.value) > 100:
            raise self.fail("a number of more than 100 digits is refused", node)
        try:
            return self.loader.construct_object(node)
        except (ValueError, self.yaml.YAMLError):
            raise self.fail(f"{node.value!r} cannot be read as {node.tag[18:]}", node) from None

    def mapping(self, node: Any, place: Place, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key_node, item in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                for name, value in self.merge(item, place, depth).items():
                    merged.setdefault(name, value)
                continue
            key = self.scalar(key_node) if isinstance(key_node, self.yaml.ScalarNode) else None
            if not isinstance(key, str):
                raise self.fail("a name is text: put it in quotes", key_node)
            if key in found:
                raise self.fail(f"{key!r} stands here twice", key_node)
            self.lines[(*place, key)] = key_node.start_mark.line + 1
            found[key] = self.value(item, (*place, key), depth + 1)
        return merged | found

    def merge(self, node: Any, place: Place, depth: int) -> dict[str, Any]:
        """What `<<:` brings: a mapping, or several of which the first that has a name wins."""
        nodes = node.value if isinstance(node, self.yaml.SequenceNode) else [node]
        found: dict[str, Any] = {}
        for one in nodes:
            if not isinstance(one, self.yaml.MappingNode):
                raise self.fail("`<<` takes a mapping, or a list of them", node)
            for name, value in self.value(one, place, depth + 1).items():
                found.setdefault(name, value)
        return found
