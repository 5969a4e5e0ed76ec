"""A method whose predict takes many requests at once.

    [bodies] → decode each → batch → predict → unbatch → encode each → [answers]

A request whose value, result or prediction is bad fails alone (bisecting.py). All `def`s run in one
thread, one way there and back for the whole batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from descent.deploy.service.batching import Batcher
from descent.deploy.service.bisecting import apart, check_count
from descent.deploy.service.inflight import InFlight
from descent.deploy.service.methods import Method, bad_input, runs_in_loop
from descent.deploy.service.signature import Signature
from descent.deploy.service.threads import Workers
from descent.deploy.spec import Batching

__all__ = ["BatchedMethod"]


class BatchedMethod(Method):
    """`Method`, through a `Batcher`. `instance` may have batch and unbatch (both `def`)."""

    def __init__(
        self,
        instance: Any,
        signature: Signature,
        workers: Workers,
        settings: Batching,
        on_batch: Callable[[int], None] | None = None,
    ) -> None:
        decode, encode = getattr(instance, "decode", None), getattr(instance, "encode", None)
        predict = getattr(instance, "predict", instance)
        super().__init__(predict, signature, workers, decode=decode, encode=encode)
        self._batch = getattr(instance, "batch", None)
        self._unbatch = getattr(instance, "unbatch", None)
        self._refuse_unsuitable(instance)
        self.batcher = Batcher(
            self._run_in_loop if self._predict.in_loop else self._run_in_thread,
            max_batch_size=settings.max_batch_size,
            max_wait_ms=settings.max_wait_ms,
            max_latency_ms=settings.max_latency_ms,
            on_batch=on_batch,
        )

    async def __call__(self, request: InFlight) -> tuple[bytes, str]:
        return await self.batcher.submit(await self.read(request), request)

    def close(self) -> None:
        """Nothing more is asked of it."""
        self.batcher.close()

    def _refuse_unsuitable(self, instance: Any) -> None:
        name = type(instance).__name__
        if self.signature.stream:
            raise TypeError(f"{name}.predict streams; a stream cannot be batched: drop `batching`")
        if self.signature.spread:
            raise TypeError(
                f"{name}.predict takes several parameters; with `batching` it takes one list of"
                " inputs, and gives a list of results"
            )
        if self.signature.raw:
            raise TypeError(f"{name} asks for the request itself, which has no place in a batch")
        for word in ("decode", "encode", "batch", "unbatch"):
            if runs_in_loop(getattr(instance, word, None)):
                raise TypeError(f"{name}.{word} must be `def` where requests are batched")

    async def _run_in_thread(self, values: list[Any]) -> list[Any]:
        return await self.workers.run(self._outcomes, values)

    def _outcomes(self, values: list[Any]) -> list[Any]:
        """In a thread: an encoded answer or an exception for each value."""
        decoded = self._all_decoded(values)
        steps = apart([value for value in decoded if not isinstance(value, Exception)])
        got: Any = None
        while True:
            try:
                part = steps.send(got)
            except StopIteration as end:
                return self._merged(decoded, end.value)
            try:
                result = self._predict.function(self._stacked(part))  # type: ignore[misc]
                got = self._unstacked(result)
            except Exception as error:
                got = error
                continue
            got = check_count(got, len(part))

    async def _run_in_loop(self, values: list[Any]) -> list[Any]:
        """The same for an `async def predict`; its `def` decode and encode run in a thread."""
        decode, encode = self._decode.function, self._encode.function
        decoded = await self._apart(decode, self._all_decoded, values)
        steps = apart([value for value in decoded if not isinstance(value, Exception)])
        got: Any = None
        while True:
            try:
                part = steps.send(got)
            except StopIteration as end:
                return await self._apart(encode, self._merged, decoded, end.value)
            try:
                result = await self._predict.function(self._stacked(part))  # type: ignore[misc]
                got = self._unstacked(result)
            except Exception as error:
                got = error
                continue
            got = check_count(got, len(part))

    async def _apart(self, step: Any, function: Callable[..., Any], *arguments: Any) -> Any:
        """In a thread if the service has such a step, else here: there is nothing to do."""
        if step is None:
            return function(*arguments)
        return await self.workers.run(function, *arguments)

    def _all_decoded(self, values: list[Any]) -> list[Any]:
        return [self._decoded(value) for value in values]

    def _decoded(self, value: Any) -> Any:
        if self._decode.function is None:
            return value
        try:
            return self._decode.function(value)
        except Exception as error:
            return bad_input(error)

    def _stacked(self, values: list[Any]) -> Any:
        return values if self._batch is None else self._batch(values)

    def _unstacked(self, result: Any) -> Any:
        return result if self._unbatch is None else self._unbatch(result)

    def _merged(self, decoded: list[Any], outcomes: list[Any]) -> list[Any]:
        """Outcomes of the good values, put back among the bad ones, encoded."""
        rest = iter(outcomes)
        whole = [v if isinstance(v, Exception) else next(rest) for v in decoded]
        return [self._encoded(outcome) for outcome in whole]

    def _encoded(self, outcome: Any) -> Any:
        if isinstance(outcome, Exception):
            return outcome
        try:
            if self._encode.function is not None:
                outcome = self._encode.function(outcome)
            return self.signature.encode(outcome)
        except Exception as error:
            return error
