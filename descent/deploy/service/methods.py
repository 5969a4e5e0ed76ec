"""One method of a service, with its types and the way it is run.

all `def`:  body → [thread: decode → predict → encode] → answer        one way there and back
otherwise:  each step where it belongs: `def` in a thread, `async def` in the event loop
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import typing
from collections.abc import AsyncIterator, Callable
from typing import Any

from starlette.responses import Response

from descent.deploy.errors import HttpError
from descent.deploy.service.inflight import InFlight, current_request
from descent.deploy.service.pipe import Pipe
from descent.deploy.service.signature import Signature
from descent.deploy.service.streaming import Groups
from descent.deploy.service.threads import Workers

__all__ = ["Method", "Step", "bad_input", "runs_in_loop", "takes_nothing", "without_input"]

Encoded = tuple[bytes, str]
_LARGE_BYTES = 64 * 2**10  # parsing more would keep the event loop from others
_TYPES = 100
_DATA = frozenset(
    (dict, list, str, int, float, bool, bytes, type(None))
)  # nothing else to look for


class Step:
    """A function of the service; None: nothing is done."""

    __slots__ = ("function", "in_loop")

    def __init__(self, function: Callable[..., Any] | None) -> None:
        self.function = function
        self.in_loop = runs_in_loop(function)


class Method:
    """`await method(request)` gives an encoded answer, a Starlette response, or the `Groups` of a
    stream. Raises `HttpError`, and whatever the service raises."""

    def __init__(
        self,
        predict: Callable[..., Any],
        signature: Signature,
        workers: Workers,
        *,
        decode: Callable[..., Any] | None = None,
        encode: Callable[..., Any] | None = None,
        reads: bool = True,
    ) -> None:
        self.signature = signature
        self.workers = workers
        self._reads = reads
        predict = predict if reads else without_input(predict)
        self._decode, self._predict, self._encode = Step(decode), Step(predict), Step(encode)
        steps = (self._decode, self._predict, self._encode)
        self._in_one_thread = not any(step.in_loop for step in steps)
        simple = not (decode or encode or signature.raw or signature.spread) and reads
        plain = simple and inspect.iscoroutinefunction(predict)
        self._direct = predict if plain else None  # an `async def predict` and nothing else
        self._values: set[type] = set(_DATA)  # types of results that are to be encoded

    async def __call__(self, request: InFlight) -> Encoded | Response | Groups:
        if self._direct is not None and len(request.body) < _LARGE_BYTES:
            result = await self._direct(self.signature.decode_json(request.body))
            if type(result) in self._values:
                return self.signature.encode(result)
            return await self._finished(request, result)
        value = await self.read(request)
        if self._in_one_thread:
            result = await self._in_thread(request, self._answer, value)
            if type(result) is tuple:
                return result
        else:
            result = await self._predicted(request, value)
            if type(result) in _DATA and self._encode.function is None:
                return self.signature.encode(result)
        return await self._finished(request, result)

    def close(self) -> None:
        """Nothing more is asked of it."""

    async def read(self, request: InFlight) -> Any:
        """The request's value, by the annotations. Raises `HttpError` 400."""
        if not self._reads:
            return None
        if self.signature.raw:
            return current_request()
        if len(request.body) < _LARGE_BYTES:
            return self.signature.decode_json(request.body)
        return await self._in_thread(request, self.signature.decode_json, request.body)

    async def _in_thread(
        self, request: InFlight, function: Callable[..., Any], *arguments: Any
    ) -> Any:
        call = self.workers.submit(function, *arguments)
        request.work = call
        try:
            return await call.future
        except asyncio.CancelledError:
            self.workers.stop(call)
            raise

    def _answer(self, value: Any) -> Any:
        """All three steps, in a thread. What is not plain data is given back as it is."""
        if self._decode.function is not None:
            try:
                value = self._decode.function(value)
            except Exception as error:
                raise bad_input(error) from error
            result = self._predict.function(value)  # type: ignore[misc]
        elif self.signature.spread:
            result = self._predict.function(**value)  # type: ignore[misc]
        else:
            result = self._predict.function(value)  # type: ignore[misc]
        if type(result) not in self._values and self._unfinished(result):
            return result
        if self._encode.function is not None:
            result = self._encode.function(result)
        return self.signature.encode(result)

    async def _predicted(self, request: InFlight, value: Any) -> Any:
        if self._decode.function is None:
            return await self._called(request, self._predict, value, spread=self.signature.spread)
        try:
            value = await self._called(request, self._decode, value)
        except Exception as error:
            raise bad_input(error) from error
        return await self._called(request, self._predict, value)

    async def _finished(self, request: InFlight, result: Any) -> Encoded | Response | Groups:
        """Whatever predict gave that is not plain data."""
        if type(result) in self._values or not self._unfinished(result):
            if self._encode.function is not None:
                result = await self._called(request, self._encode, result)
            return self.signature.encode(result)
        if isinstance(result, Response):
            return result
        if inspect.isawaitable(result):  # a `def` that returns a coroutine
            result = await result
        if hasattr(result, "__anext__"):
            return self._groups_here(result)
        if hasattr(result, "__next__"):
            return self._groups_of_thread(request, result)
        if self._encode.function is not None:
            result = await self._called(request, self._encode, result)
        return self.signature.encode(result)

    async def _called(
        self, request: InFlight, step: Step, value: Any, *, spread: bool = False
    ) -> Any:
        function = step.function
        assert function is not None
        if not step.in_loop:
            return await self._in_thread(request, _spreading(function, spread), value)
        result = function(**value) if spread else function(value)
        return await result if inspect.iscoroutine(result) else result

    def _unfinished(self, result: Any) -> bool:
        """A stream, a coroutine or a whole response, rather than a value to encode. A type is asked
        once: to say that they lack an attribute takes pydantic's models microseconds."""
        if hasattr(result, "__next__") or hasattr(result, "__anext__"):
            return True
        if isinstance(result, Response) or inspect.isawaitable(result):
            return True
        if len(self._values) < _TYPES:  # a service could make a type for each answer
            self._values.add(type(result))
        return False

    async def _groups_here(self, items: AsyncIterator[Any]) -> Groups:
        encode, to_body = self._encode, self.signature.encode
        try:
            async for item in items:
                if encode.function is not None:
                    item = encode.function(item)
                    item = await item if encode.in_loop else item
                yield [to_body(item)]
        finally:
            if (close := getattr(items, "aclose", None)) is not None:
                await close()

    def _groups_of_thread(self, request: InFlight, items: Any) -> Groups:
        encode, to_body = self._encode.function, self.signature.encode

        def convert(item: Any) -> Encoded:
            return to_body(item if encode is None else encode(item))

        pipe = Pipe(self.workers, items, convert)
        request.work = pipe.call
        return pipe.groups()


def bad_input(error: Exception) -> Exception:
    """What `decode` raised, as the client's mistake where its type says so."""
    if isinstance(error, HttpError):
        return error
    field = getattr(error, "field", None)
    if isinstance(error, KeyError) and error.args:
        field = str(error.args[0])
        return HttpError(400, "invalid_input", f"The body lacks '{field}'.", field=field)
    if isinstance(error, ValueError | TypeError | LookupError):
        return HttpError(400, "invalid_input", str(error), field=field or "body")
    return error


def runs_in_loop(function: Callable[..., Any] | None) -> bool:
    """Is it `async def` (a coroutine or an async generator)?"""
    if function is None:
        return False
    target = inspect.unwrap(function)
    if not inspect.isroutine(target) and not isinstance(target, functools.partial):
        target = type(target).__call__
    return inspect.iscoroutinefunction(target) or inspect.isasyncgenfunction(target)


def takes_nothing(function: Callable[..., Any]) -> bool:
    """Has it no parameter for a value?"""
    return not inspect.signature(function).parameters


def without_input(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same with a parameter that is ignored."""

    def ignores(_: Any) -> Any:
        return function()

    async def ignores_in_loop(_: Any) -> Any:
        result = function()
        return await result if inspect.isawaitable(result) else result

    made = ignores_in_loop if runs_in_loop(function) else ignores
    made.__annotations__ = {"return": typing.get_type_hints(function).get("return", Any)}
    made.__name__ = getattr(function, "__name__", "function")
    return made


def _spreading(function: Callable[..., Any], spread: bool) -> Callable[[Any], Any]:
    return (lambda value: function(**value)) if spread else function
