"""Send a stream: server-sent events for JSON values, chunks for bytes.

    data: {"token":" the"} ⏎⏎ data: {"token":" cat"} ⏎⏎ … event: error ⏎ data: {"error": {…}} ⏎⏎

`Accept: application/x-ndjson` gets a JSON value a line, `Accept: application/json` one array at the
end (what a job keeps). The error comes last, if a stream fails. The answer begins with the first
item, so that what fails before has a status of its own. A stream of bytes that fails is cut off:
its end cannot say so. Reference: the WHATWG's HTML standard, 9.2 Server-sent events.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable

from starlette.types import Send

from descent.deploy.errors import HttpError

__all__ = ["Groups", "send_stream"]

Groups = AsyncGenerator[
    list[tuple[bytes, str]], None
]  # bodies and media types of items, as they come
_EVENTS, _LINES, _ARRAY = "text/event-stream", "application/x-ndjson", "application/json"


async def send_stream(
    groups: Groups,
    accept: str,
    output_type: str,
    send: Send,
    said_of: Callable[[BaseException], HttpError | None],
) -> None:
    """Answer with the items of `groups`, which are closed whatever happens.

    Args:
        accept: the request's header.
        output_type: media type of an empty stream.
        said_of: what the client is told of an error that ends a stream; None: nothing, it goes on.

    Raises whatever goes wrong before the first item.
    """
    try:
        first = await anext(groups, [])
        media = _media(first[0][1] if first else output_type, accept)
        if media == _ARRAY:
            items = [body for body, _ in first]
            items += [body async for group in groups for body, _ in group]
            return await _send_whole(b"[" + b",".join(items) + b"]", send)
        await _send_start(media, send)
        await _send_rest(first, groups, media, send, said_of)
    finally:
        await groups.aclose()


async def _send_start(media: str, send: Send) -> None:
    headers = [
        (b"content-type", media.encode()),
        (b"cache-control", b"no-cache"),
        (b"x-accel-buffering", b"no"),  # nginx would collect it
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})


async def _send_rest(
    group: list[tuple[bytes, str]],
    groups: Groups,
    media: str,
    send: Send,
    said_of: Callable[[BaseException], HttpError | None],
) -> None:
    try:
        await _send_group(group, media, send)
        async for group in groups:
            await _send_group(group, media, send)
    except BaseException as error:
        said = said_of(error)
        if said is None:
            raise
        if media not in (_EVENTS, _LINES):
            raise said from None  # the server then breaks the connection off
        frame = b"event: error\ndata: %b\n\n" if media == _EVENTS else b"%b\n"
        await send({"type": "http.response.body", "body": frame % said.body(), "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def _media(item: str, accept: str) -> str:
    if item not in (_ARRAY, _EVENTS):
        return item
    asked = [part.partition(";")[0].strip().lower() for part in accept.split(",")]
    return next((known for known in (_EVENTS, _LINES, _ARRAY) if known in asked), _EVENTS)


async def _send_group(group: list[tuple[bytes, str]], media: str, send: Send) -> None:
    if not group:
        return
    if media == _EVENTS:
        body = b"".join([b"data: %b\n\n" % body for body, _ in group])
    elif media == _LINES:
        body = b"".join([b"%b\n" % body for body, _ in group])
    else:
        body = b"".join([body for body, _ in group])
    await send({"type": "http.response.body", "body": body, "more_body": True})


async def _send_whole(body: bytes, send: Send) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
