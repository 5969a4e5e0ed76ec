"""The life of an instance around its requests: made, loaded, warmed, asked how it is, unloaded.

`def`s run in a thread of their own, which ends when they do; `async def`s in the event loop that
will answer the requests (clients and sessions belong to one loop). What fails is a `LoadError` that
names the step and the line.
"""

from __future__ import annotations

import inspect
import json
import traceback
from collections.abc import Callable, Sequence
from typing import Any

from descent.deploy.asking import ask
from descent.deploy.pool import Context, LoadError, Start
from descent.deploy.service.app import ServiceApp
from descent.deploy.service.counting import ServiceCounts
from descent.deploy.service.methods import runs_in_loop
from descent.deploy.service.opening import open_target
from descent.deploy.service.threads import Workers

__all__ = ["around", "illness", "make", "unload", "warm"]

Log = Callable[..., None]


async def make(start: Start) -> Any:
    """The instance that a spec names, loaded. Raises `LoadError`."""
    spec = start.spec
    if spec.service is None:
        raise LoadError(
            f"'{spec.name}' names no `service`: a run folder or file.py:Class is needed"
        )
    config = {**spec.config, **start.config}

    def opened() -> Any:
        return open_target(spec.service, config, folder=start.folder, name=spec.name)

    instance = await called(opened)
    try:
        if (load := getattr(instance, "load", None)) is not None:
            await called(load)
    except LoadError:
        raise
    except Exception as error:
        text = "".join(traceback.format_exception(error))
        start.log(f"load() failed: {error}", level="error", traceback=text)
        raise LoadError(f"load() failed{_place(error)}: {type(error).__name__}: {error}") from error
    return instance


async def around(instance: Any, start: Start, counts: ServiceCounts | None = None) -> ServiceApp:
    """The application around a loaded instance. Raises `LoadError` for one that cannot work."""
    spec = start.spec
    if spec.batching is not None and 1 < spec.pod.max_concurrency < spec.batching.max_batch_size:
        most = spec.pod.max_concurrency
        start.log(f"no batch can be larger than pod.max_concurrency, {most}", level="warning")
    try:
        # In a thread: types and descriptions may take long to work out.
        return await called(lambda: ServiceApp(instance, spec, start.log, counts))
    except Exception as error:
        raise LoadError(f"'{start.spec.name}' cannot be served: {error}") from error


async def warm(service: ServiceApp, examples: Sequence[Any]) -> None:
    """Answer the service's own `examples` and these, one after another; `LoadError` quotes the one
    that is not answered. The first requests of clients then find everything compiled and cached."""
    own = getattr(service.instance, "examples", None) or ()
    for number, example in enumerate([*own, *examples], 1):
        text = example if isinstance(example, bytes) else json.dumps(example, ensure_ascii=False)
        body = text if isinstance(text, bytes) else text.encode()
        context = Context(f"warm-up-{number}", api=service.spec.name)
        answer = await ask(service, "/", body, context=context)
        if answer.status >= 400 or b"event: error\n" in answer.body:
            said = service.last_failure if answer.status == 500 else answer.body.decode()
            shown = str(text) if len(text) <= 200 else f"{str(text)[:200]}…"
            raise LoadError(f"the warm-up with {shown} failed ({answer.status}): {said}")


async def illness(check_health: Callable[[], Any]) -> str:
    """Why a service says it is not well; "" if it is."""
    try:
        well = await called(check_health)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "check_health() returned False" if well is False else ""


async def unload(instance: Any, log: Log) -> None:
    """`unload()`, whose failure is logged: there is nobody else to tell."""
    function = getattr(instance, "unload", None)
    try:
        if function is not None:
            await called(function)
    except Exception as error:
        text = "".join(traceback.format_exception(error))
        log(f"unload() failed: {error}", level="error", traceback=text)


async def called(function: Callable[[], Any]) -> Any:
    """Run one of a service's functions where it belongs. Cancelling stops it."""
    if runs_in_loop(function):
        return await function()
    thread = Workers(1, name="descent-life")
    try:
        result = await thread.run(function)
    finally:
        await thread.close(1.0)
    return await result if inspect.isawaitable(result) else result


def _place(error: BaseException) -> str:
    """ " (sorter.py, line 12)": where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "/descent/deploy/" not in frame.filename.replace("\\", "/")]
    return f" ({own[-1].filename}, line {own[-1].lineno})" if own else ""
