"""What a service is: a class with `predict`, and whatever else it needs.

    load → (decode → predict → encode) for each request → unload

Reference: Cortex' predictors and the decode/predict/encode of LitServe. Left out: any machinery.
Nothing need be inherited; `Service` is where the methods are written down.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

__all__ = ["JOB_COMPLETE", "Service", "endpoint", "endpoints_of"]

JOB_COMPLETE = "/on-job-complete"  # where Cortex tells a service that a job's work is done
Function = TypeVar("Function", bound=Callable[..., Any])


class Service:
    """A service keeps its `config` (a spec's `config:`) and answers requests. Methods it may have:

    load(self)             open the model; called once, in a thread, before any request
    decode(self, body)     the request's value → predict's input. ValueError, TypeError, LookupError
                           are the client's mistake (400); one with `.field` names the field
    predict(self, value)   the answer; its annotations are the API's types
    encode(self, result)   predict's result → what is sent
    batch(self, values)    with `batching`: a list of inputs → what predict takes (absent: the list)
    unbatch(self, result)  predict's result → one answer for each input (absent: its items); an
                           exception among them is the answer of that one
    check_health(self)     raises (or returns False) when the service should be loaded anew
    on_job_complete(self)  called once when a batch job's work is done
    unload(self)           close what load opened

    stoppable = False      a late or unwanted request's thread is let run to its end
    metrics                what is told at /metrics with the node's own: an attribute with
                           `collect()`, as a `prometheus_client.CollectorRegistry`

    `def` runs in a thread, `async def` in the event loop (never block there); generators of both
    kinds stream: JSON values as server-sent events, bytes as they are. Up to `pod.max_concurrency`
    requests run at once, in as many threads. `@endpoint("/path")` marks further methods; an `asgi`
    attribute (a FastAPI application) answers every path in place of all this.
    """

    def __init__(self, config: dict[str, Any] | None = None) -> None:
        self.config = config or {}


def endpoint(path: str, *, methods: Sequence[str] = ("POST",)) -> Callable[[Function], Function]:
    """Answer requests below the API with this method: `/sorter/top` for "/top".

    It is run as predict is, and its annotations give its types; without a parameter it takes none.
    """
    if not path.startswith("/") or path == "/":
        raise ValueError(f"the path {path!r} of an endpoint must be like '/top'")

    def mark(function: Function) -> Function:
        function.__endpoint__ = (path, tuple(method.upper() for method in methods))  # type: ignore[attr-defined]
        return function

    return mark


def endpoints_of(instance: Any) -> Iterator[tuple[str, tuple[str, ...], Callable[..., Any]]]:
    """(path, methods, bound method) of each `@endpoint` of a service."""
    kind = type(instance)
    for name in dir(kind):
        marked = getattr(inspect.getattr_static(kind, name), "__endpoint__", None)
        if marked is not None:
            yield (*marked, getattr(instance, name))
    if callable(completed := getattr(instance, "on_job_complete", None)):
        yield JOB_COMPLETE, ("POST",), completed
