"""A line to copy: the API asked from a shell, or from Python."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

__all__ = ["curl_line", "python_line"]

_JSON = "application/json"


def curl_line(
    url: str,
    signature: Mapping[str, Any] | None,
    *,
    kind: str = "RealtimeAPI",
    key: bool = False,
) -> str:
    """A `curl` command that asks `url` (the API's whole address) with the first example.

    Args:
        signature: a pool's; None: some JSON.
        kind: the API's; a batch or a task is asked with a job.
        key: requests need an API key.
    """
    known = _asked(signature or {}, kind)
    media = known.get("input_type") or _JSON
    parts = ["curl"]
    if known.get("stream"):
        parts.append("-N")
    parts.append(shlex.quote(url))
    if key:
        parts.append("-H 'Authorization: Bearer YOUR_KEY'")
    if media == _JSON:
        body = json.dumps(_example(known), ensure_ascii=False)
        parts += ["-H 'Content-Type: application/json'", f"-d {shlex.quote(body)}"]
    elif media != "*/*":
        named = "application/octet-stream" if media == "application/octet-stream" else "image/png"
        parts += [f"-H 'Content-Type: {named}'", "--data-binary @FILE"]
    if str(known.get("output_type", _JSON)).startswith(("image/", "application/octet")):
        parts.append("-o answer")
    return " ".join(parts)


def python_line(url: str, signature: Mapping[str, Any] | None, *, kind: str = "RealtimeAPI") -> str:
    """The same as one expression of Python, with httpx."""
    known = _asked(signature or {}, kind)
    media = known.get("input_type") or _JSON
    if media == "*/*":
        return f"httpx.get({url!r})"
    given = f"json={_example(known)!r}" if media == _JSON else 'content=open("FILE", "rb").read()'
    if known.get("stream"):
        return f'httpx.post({url!r}, {given}, headers={{"Accept": "application/json"}}).json()'
    result = ".json()" if known.get("output_type", _JSON) == _JSON else ".content"
    return f"httpx.post({url!r}, {given}){result}"


def _asked(signature: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    """What is sent to an API of this kind, and answered at once."""
    if kind == "BatchAPI":
        example = _example(signature)
        items = example if isinstance(example, list) else [example]
        return {"examples": [{"workers": 1, "item_list": {"items": items, "batch_size": 1}}]}
    if kind == "TaskAPI":
        return {"examples": [{"config": {}}]}
    if kind == "AsyncAPI":
        return {**signature, "stream": False, "output_type": _JSON}
    return signature


def _example(signature: Mapping[str, Any]) -> Any:
    examples = signature.get("examples") or []
    return examples[0] if examples else {}
