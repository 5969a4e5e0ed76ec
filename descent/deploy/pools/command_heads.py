"""The head of a request to a process: what is passed on, what is added, what stays here.

Passed on: everything but hop-by-hop headers (RFC 9110 §7.6.1) and those that only the gateway may
set. Added: who asked (X-Forwarded-*), the request id, the trace; for our own child the context.
"""

from __future__ import annotations

import asyncio
import json
from urllib.parse import quote

from starlette.types import Scope

from descent.deploy.pool import Context

__all__ = ["CONTEXT_HEADER", "HOP_BY_HOP", "head_of"]

CONTEXT_HEADER = b"x-descent-context"
HOP_BY_HOP = frozenset(
    b"connection keep-alive proxy-connection transfer-encoding te trailer upgrade expect".split()
)
VISIBLE = "".join(map(chr, range(0x21, 0x7F)))  # else a path of decoded %0D%0A adds headers
DROPPED = HOP_BY_HOP | {b"content-length", b"x-request-id", CONTEXT_HEADER}


def head_of(scope: Scope, length: int, more: bool, *, plain: bool) -> bytes:
    """The request's head as bytes, ready to be sent."""
    root = scope.get("root_path", "")
    path: bytes = scope.get("raw_path") or scope["path"].encode()
    path = path.split(b"?", 1)[0]
    if plain and root and path.startswith(root.encode()):
        path = path[len(root.encode()) :]
    elif plain and root and scope["path"].startswith(root):  # letters of the endpoint as %41
        path = quote(scope["path"][len(root) :]).encode()
    path = path if path.startswith(b"/") else b"/" + path
    query = scope.get("query_string", b"")
    target = quote(path + b"?" + query if query else path, safe=VISIBLE)
    lines = [f"{scope['method']} {target} HTTP/1.1".encode()]
    given, host = None, b"localhost"
    forwarded = b""
    traced = (about := scope.get("descent")) is not None and about.trace  # said by _about
    for name, value in scope["headers"]:
        if name == b"content-length":
            given = value
        elif name == b"host":
            host = value
        elif name == b"x-forwarded-for":
            forwarded = value + b", "
        elif name not in DROPPED and not (traced and name == b"traceparent"):
            lines.append(name + b": " + value)
    lines.insert(1, b"host: " + host)
    if not more:
        if length or given is not None or scope["method"] in ("POST", "PUT", "PATCH"):
            lines.append(b"content-length: %d" % length)
    elif given is not None:
        lines.append(b"content-length: " + given)
    else:
        lines.append(b"transfer-encoding: chunked")
    lines += _about(scope, forwarded, root, plain)
    return b"\r\n".join(lines) + b"\r\n\r\n"


def _about(scope: Scope, forwarded: bytes, root: str, plain: bool) -> list[bytes]:
    """Headers that say where a request came from, and what travels with it."""
    client = scope.get("client")
    lines = [b"x-forwarded-proto: " + scope.get("scheme", "http").encode()]
    if client:
        lines.append(b"x-forwarded-for: " + forwarded + str(client[0]).encode())
    if root:
        lines.append(b"x-forwarded-prefix: " + root.encode())
    context: Context | None = scope.get("descent")
    if context is None:
        return lines
    for name, value in ((b"x-request-id", context.request_id), (b"traceparent", context.trace)):
        if value and value.isascii() and value.isprintable():
            lines.append(name + b": " + value.encode())
    if not plain:
        left = None
        if context.deadline is not None:
            left = context.deadline - asyncio.get_running_loop().time()
        said = [context.request_id, context.api, context.version, left]
        said += [context.key, context.job, context.trace]
        lines.append(CONTEXT_HEADER + b": " + json.dumps(said).encode())
    return lines
