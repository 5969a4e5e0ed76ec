"""What a client sent to be deployed → specs and the folder they stand in.

application/json   {"target" | "text" | "specs", "folder", "overrides"}      (control/sending.py)
application/zip    order.json and files/…: from another machine
anything else      the specs' YAML or JSON itself
"""

from __future__ import annotations

import asyncio
import io
import json
import shutil
import tempfile
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from starlette.requests import Request

from descent.deploy.errors import HttpError
from descent.deploy.spec import Spec, changed, read_specs, spec_of

__all__ = ["read_body", "read_order"]

MOST_UPLOAD_BYTES = 512 * 2**20
_KEYS = {"target", "text", "specs", "folder", "overrides", "name"}


@asynccontextmanager
async def read_order(
    body: bytes, content_type: str, work_folder: Path
) -> AsyncIterator[tuple[list[Spec], Path | None]]:
    """Specs, checked, and where their files stand (until the end of the `with`).

    Raises `SpecError`, and `HttpError` for a body that is none of the forms.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/zip":
        folder = Path(tempfile.mkdtemp(prefix=".upload-", dir=work_folder))
        try:
            order = await asyncio.to_thread(_unpack, body, folder)
            yield _specs(order, folder), folder
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, True)
        return
    order = _order(body, kind)
    base = order.get("folder")
    if base is not None and not (isinstance(base, str) and Path(base).is_dir()):
        raise HttpError(400, "bad_request", f"there is no folder {base!r} here", field="folder")
    folder = None if base is None else Path(base)
    yield _specs(order, folder), folder


async def read_body(request: Request) -> bytes:
    """All of it. Raises `HttpError` for one that is too large."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > MOST_UPLOAD_BYTES:
            raise HttpError(
                413, "body_too_large", f"more than {MOST_UPLOAD_BYTES:,} bytes were sent"
            )
        parts.append(part)
    return b"".join(parts)


def _order(body: bytes, kind: str) -> dict[str, Any]:
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise HttpError(400, "bad_request", f"not UTF-8 text (byte {error.start})") from None
    if not text.strip():
        raise HttpError(400, "bad_request", "nothing was sent: a spec (YAML, JSON) is needed")
    if kind != "application/json":
        return {"text": text}
    try:
        value = json.loads(text)
    except ValueError as error:
        raise HttpError(400, "bad_request", f"the body is not JSON: {error}") from None
    if isinstance(value, dict) and not set(value) <= _KEYS:
        return {"specs": [value]}
    return value if isinstance(value, dict) else {"specs": value}


def _specs(order: dict[str, Any], base: Path | None) -> list[Spec]:
    overrides = order.get("overrides") or {}
    if not isinstance(overrides, dict):
        raise HttpError(400, "bad_request", "overrides should be an object", field="overrides")
    if "target" in order:
        if not str(order["target"]).strip(" ./"):
            said = f"target is {order['target']!r}: a run folder, file.py:Class or a name is needed"
            raise HttpError(400, "bad_request", said, field="target")
        return [spec_of(_placed(str(order["target"]), base), **overrides)]
    if "text" in order:
        specs = read_specs(_as_text(str(order["text"])))
    elif isinstance(order.get("specs"), list):
        specs = read_specs(order["specs"])
    else:
        raise HttpError(400, "bad_request", "target, text or specs is needed")
    return [changed(spec, **overrides) for spec in specs] if overrides else specs


def _as_text(text: str) -> str:
    """A line break more: it can't be taken for a file's name."""
    return text if text.endswith("\n") else text + "\n"


def _placed(target: str, base: Path | None) -> str:
    """A target that is a path, from the client's folder; names and modules stay."""
    path, colon, attribute = target.rpartition(":")
    if not colon or "/" in attribute:
        path, colon, attribute = target, "", ""
    where = Path(path).expanduser()
    where = where if base is None else base / where
    if where.exists() or path.endswith(".py"):
        return f"{where}{colon}{attribute}"
    return target


def _unpack(body: bytes, folder: Path) -> dict[str, Any]:
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            total = sum(info.file_size for info in archive.infolist())
            if total > 4 * MOST_UPLOAD_BYTES or len(archive.infolist()) > 20_000:
                raise HttpError(413, "body_too_large", "the zip file unpacks to too much")
            order = json.loads(archive.read("order.json"))
            for info in archive.infolist():
                if not info.filename.startswith("files/") or info.is_dir():
                    continue
                target = (folder / info.filename.removeprefix("files/")).resolve()
                if not target.is_relative_to(folder.resolve()):
                    raise HttpError(400, "bad_request", f"{info.filename!r} leads out of the zip")
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(info) as source, target.open("wb") as file:
                    shutil.copyfileobj(source, file)
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        raise HttpError(400, "bad_request", f"not a zip file with order.json: {error}") from None
    if not isinstance(order, dict):
        raise HttpError(400, "bad_request", "order.json should be an object")
    order.pop("folder", None)
    return order
