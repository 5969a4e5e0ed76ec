"""The files of the operator's page: `/-/` and `/-/page/…`.

They are public and hold nothing of the node; what they show is asked of the control API with the
token that the address carries after `#token=` (browsers never send that part).
"""

from __future__ import annotations

import mimetypes
from importlib.resources import files

from starlette.types import Scope, Send

__all__ = ["Page"]

_OURS = files("descent.deploy.page") / "static"
_SHARED = files("descent.deploy.service") / "demo"  # the look of every page of a node
_PLACES = {"icon.svg": _SHARED, "style.css": _SHARED} | dict.fromkeys(
    ("index.html", "page.js", "api.js", "detail.js", "parts.js", "plots.js", "work.js",
     "operator.css"),
    _OURS,
)  # fmt: skip
_POLICY = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


class Page:
    """Answers for the page's own paths."""

    def has(self, path: str) -> bool:
        """Is this path the page's?"""
        return path in ("/-", "/-/") or path.removeprefix("/-/page/") in _PLACES

    async def __call__(self, scope: Scope, send: Send) -> None:
        """Answer a GET or HEAD for a path that `has`."""
        path = scope["path"]
        if path == "/-":  # the page's own links are relative to /-/
            return await _send(send, 308, b"", [(b"location", b"/-/")])
        name = "index.html" if path == "/-/" else path.removeprefix("/-/page/")
        kind = mimetypes.guess_type(name)[0] or "text/plain"
        if kind.startswith("text/"):
            kind += "; charset=utf-8"
        body = (_PLACES[name] / name).read_bytes()
        headers = [
            (b"content-type", kind.encode()),
            (b"cache-control", b"no-cache"),
            (b"content-security-policy", _POLICY.encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"no-referrer"),
        ]
        await _send(send, 200, b"" if scope["method"] == "HEAD" else body, headers)


async def _send(send: Send, status: int, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
