"""What goes into a service and what comes out, from the annotations of its methods.

    decode(self, request: A) -> …    the body is an A (else predict's parameter is)
    predict(self, x: A) -> B         x is the whole body; of several parameters, an object of them
    encode(self, result) -> B        the answer is a B; Iterator[B]: a stream of Bs

No annotation is any JSON. With `batched`, `predict(self, values: list[A]) -> list[B]` takes and
gives single As and Bs from each client. References: pydantic's conversion table (strict, JSON),
JSON Schema 2020-12.
"""

from __future__ import annotations

import collections.abc as abc
import inspect
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args, get_origin

from pydantic import ConfigDict, create_model

from descent.deploy.service.codec import JSON, OCTETS, Codec, codec_of, to_body
from descent.deploy.service.refs import standing_alone
from descent.deploy.service.sample import sample

__all__ = ["Signature", "of", "of_app"]

_STREAMS = (abc.Iterator, abc.Iterable, abc.Generator, abc.AsyncIterator, abc.AsyncIterable,
            abc.AsyncGenerator)  # fmt: skip
_BATCHES = (list, tuple, abc.Sequence, abc.Iterable, abc.Collection)


@dataclass(frozen=True)
class Signature:
    """The wire side of a service.

    `spread`: the value is a dict that predict takes as keyword arguments. `raw`: decode (or
    predict) wants the Starlette request itself. `stream`: results are items of a stream. `encode`
    gives the body and its media type, for results that aren't annotated too. `paths`, `components`:
    OpenAPI's, of an application that answers below the API. `concurrency`: requests it can work on
    together, for specs that do not say. `public`: paths of its page, which no key is asked for.
    """

    input_schema: dict[str, Any]
    output_schema: dict[str, Any]
    input_type: str
    output_type: str
    stream: bool
    examples: list[Any]
    decode_json: Callable[[bytes], Any] = field(repr=False)
    encode_json: Callable[[Any], bytes] = field(repr=False)
    encode: Callable[[Any], tuple[bytes, str]] = field(repr=False)
    spread: bool = False
    raw: bool = False
    summary: str = ""
    paths: dict[str, Any] = field(default_factory=dict, repr=False)
    components: dict[str, Any] = field(default_factory=dict, repr=False)
    concurrency: int | None = None
    public: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """As a pool's `signature`: what openapi.py, the page and the client are made from."""
        return {
            "input": self.input_schema,
            "output": self.output_schema,
            "input_type": self.input_type,
            "output_type": self.output_type,
            "stream": self.stream,
            "examples": self.examples,
            "summary": self.summary,
            "spread": self.spread,
            "paths": self.paths,
            "components": self.components,
            "concurrency": self.concurrency,
            "public": list(self.public),
        }


def of(instance: Any, *, batched: bool = False, examples: Sequence[Any] = ()) -> Signature:
    """The signature of a service, a class of one, or a function.

    Args:
        instance: anything with `predict` (`decode`, `encode`), or callable.
        batched: predict takes and gives lists, one entry per client.
        examples: inputs known to work (a spec's warm_up); the instance's own `examples` come first.

    Raises:
        TypeError: an annotation that cannot be resolved or has no JSON form; no predict.
    """
    if getattr(instance, "asgi", None) is not None:
        made = getattr(instance, "signature", None)
        return made if isinstance(made, Signature) else of_app(instance.asgi)
    predict = getattr(instance, "predict", instance if callable(instance) else None)
    if predict is None:
        name = type(instance).__name__
        raise TypeError(f"{name} has no `predict` method (nor is it an ASGI app): add one")
    decode, encode = getattr(instance, "decode", None), getattr(instance, "encode", None)
    reading, writing = decode or predict, encode or predict
    given, spread = _input(reading, unbatch=batched and reading is predict)
    spread = spread and reading is predict
    raw = getattr(given, "__name__", "") == "Request"
    wire_in = codec_of(
        Any if raw else given, writing=False, where=f"the input of {_called(reading)}"
    )
    result, stream = _output(writing, predict, unbatch=batched and writing is predict)
    wire_out = codec_of(result, writing=True, where=f"the result of {_called(writing)}")
    if wire_in.schema and not spread and not {"title", "$ref"} & wire_in.schema.keys():
        wire_in.schema = {"title": _parameters(reading)[0].name, **wire_in.schema}
    known = [*(getattr(instance, "examples", None) or ()), *examples]
    if not known and wire_in.schema and wire_in.media_type == JSON:
        known = [sample(wire_in.schema)]
    return Signature(
        input_schema=wire_in.schema,
        output_schema=wire_out.schema,
        input_type="*/*" if raw else wire_in.media_type,
        output_type=_streamed(wire_out) if stream else wire_out.media_type,
        stream=stream,
        examples=known,
        decode_json=wire_in.decode,
        encode_json=wire_out.encode,
        encode=_encoder(result, wire_out),
        spread=spread,
        raw=raw,
        summary=_summary(instance, predict),
    )


def of_app(
    app: Any, *, main: str = "/", examples: Sequence[Any] = (), summary: str = ""
) -> Signature:
    """The signature of an application that answers every path itself.

    One that knows its OpenAPI document (FastAPI) gives its paths; `main` is the one whose POST
    stands for the API itself.
    """
    described = app.openapi() if callable(getattr(app, "openapi", None)) else {}
    components = described.get("components", {}).get("schemas", {})
    post = described.get("paths", {}).get(main, {}).get("post", {})
    answer = post.get("responses", {}).get("200", {})

    def schema(holder: dict[str, Any]) -> dict[str, Any]:
        found = holder.get("content", {}).get(JSON, {}).get("schema", {})
        return standing_alone(found, components)

    return Signature(
        input_schema=schema(post.get("requestBody", {})),
        output_schema=schema(answer),
        input_type=JSON if post else "*/*",
        output_type=JSON if post else "*/*",
        stream=False,
        examples=list(examples),
        decode_json=bytes,
        encode_json=lambda value: to_body(value)[0],
        encode=to_body,
        raw=True,
        summary=summary or post.get("summary") or described.get("info", {}).get("title", ""),
        paths=described.get("paths", {}),
        components=components,
    )


def _input(method: Callable[..., Any], unbatch: bool) -> tuple[Any, bool]:
    """The type of the body, and whether it is an object of several parameters."""
    hints, named = _hints(method), _parameters(method)
    if not named:
        raise TypeError(f"{_called(method)} takes no input: give it a parameter")
    if len(named) == 1:
        tp = hints.get(named[0].name, Any)
        return (_item(tp) if unbatch else tp), False
    fields: dict[str, Any] = {}
    for parameter in named:
        tp = hints.get(parameter.name, Any)
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[parameter.name] = (tp, default)
    return _object(_called(method), fields), True


def _object(name: str, fields: dict[str, Any]) -> Any:
    """Parameters as one JSON object, given to the method as a dict."""
    from descent.deploy.service.types import adapted, converted

    typed = {key: (adapted(tp), default) for key, (tp, default) in fields.items()}
    made: Any = create_model
    model = made(name, __config__=ConfigDict(extra="forbid"), **typed)
    return converted(model, lambda made: {key: getattr(made, key) for key in fields}, dict)


def _output(
    method: Callable[..., Any], predict: Callable[..., Any], unbatch: bool
) -> tuple[Any, bool]:
    """The type of the answer (of an item of it), and whether it is a stream."""
    tp = _hints(method).get("return", Any)
    streamed = inspect.isgeneratorfunction(predict) or inspect.isasyncgenfunction(predict)
    if (
        get_origin(tp) in _STREAMS
        and not unbatch
        and (streamed or get_origin(tp) is not abc.Iterable)
    ):
        return get_args(tp)[0], True
    if unbatch:
        tp = _item(tp)
    return (Any if tp is type(None) and streamed else tp), streamed


def _item(tp: Any) -> Any:
    """list[A] → A; an array of rows → any."""
    args = get_args(tp)
    return args[0] if get_origin(tp) in _BATCHES and args else Any


def _hints(method: Callable[..., Any]) -> dict[str, Any]:
    target = method if inspect.isroutine(method) else type(method).__call__
    try:
        return typing.get_type_hints(target, include_extras=True)
    except NameError as error:
        raise TypeError(
            f"an annotation of {_called(method)} can't be resolved: {error}; import it where the"
            " module runs, not under TYPE_CHECKING"
        ) from None


def _parameters(method: Callable[..., Any]) -> list[inspect.Parameter]:
    kinds = inspect.Parameter
    required = (kinds.POSITIONAL_ONLY, kinds.POSITIONAL_OR_KEYWORD, kinds.KEYWORD_ONLY)
    found = [p for p in inspect.signature(method).parameters.values() if p.kind in required]
    return found[1:] if inspect.isfunction(method) and found and found[0].name == "self" else found


def _encoder(result: Any, codec: Codec) -> Callable[[Any], tuple[bytes, str]]:
    if result is Any or result is object:
        return to_body
    encode, media = codec.encode, codec.media_type
    return lambda value: (encode(value), media)


def _streamed(codec: Codec) -> str:
    return OCTETS if codec.media_type == OCTETS else "text/event-stream"


def _called(method: Callable[..., Any]) -> str:
    return getattr(method, "__name__", type(method).__name__)


def _summary(instance: Any, predict: Callable[..., Any]) -> str:
    owner = (
        instance if isinstance(instance, type) or inspect.isroutine(instance) else type(instance)
    )
    text = (
        inspect.getdoc(predict) or (owner.__doc__ if owner.__module__ != "builtins" else "") or ""
    )
    return text.strip().split("\n\n")[0].replace("\n", " ")
