"""What a client sends to deploy: where the code is (same machine), or the code itself (another).

    {"target": "sorter.py:Sorter" | "text": YAML | "specs": […], "folder": "/abs", "overrides": {…}}

To a node elsewhere the same goes as a zip file: order.json and the folder's files below files/.
"""

from __future__ import annotations

import inspect
import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from descent.deploy.control.sources import chosen_files
from descent.deploy.errors import DeployError

__all__ = ["MOST_TEXT_BYTES", "order", "source_of"]

MOST_TEXT_BYTES = 1_000_000
_YAML = (".yaml", ".yml", ".json")


def order(
    spec: Any, *, folder: str | Path | None, overrides: Mapping[str, Any], local: bool
) -> dict[str, Any]:
    """The request's body, as httpx takes it (`json`, or `content` and `headers`)."""
    base = Path.cwd() if folder is None else Path(folder).expanduser().absolute()
    if isinstance(spec, type):
        spec = source_of(spec)
    body: dict[str, Any]
    if isinstance(spec, Mapping):
        body = {"specs": [dict(spec)]}
    elif isinstance(spec, list | tuple):
        body = {"specs": [dict(each) for each in spec]}
    else:
        text = str(spec)
        if text.endswith(_YAML):
            file = base / Path(text).expanduser()
            body, base = {"text": _read(file), "name": file.name}, file.parent
        else:
            if not text.strip("./"):  # "." is the folder one stands in, by its name
                text = str((base / text).resolve())
            body = {"target": text}
    if overrides:
        body["overrides"] = dict(overrides)
    if local:
        return {"json": {**body, "folder": str(base)}}
    return {"content": _packed(body, base), "headers": {"content-type": "application/zip"}}


def source_of(target: type) -> str:
    """A class as "file.py:Class", so that the node can load it. Raises `DeployError`."""
    try:
        file = inspect.getsourcefile(target)
    except TypeError:
        file = None
    if file is None or "<" in target.__qualname__ or not Path(file).is_file():
        raise DeployError(f"{target.__qualname__} stands in no file that a node could load")
    return f"{Path(file).absolute()}:{target.__qualname__}"


def _read(file: Path) -> str:
    try:
        if file.stat().st_size > MOST_TEXT_BYTES:
            raise DeployError(f"{file} is larger than {MOST_TEXT_BYTES:,} bytes: not a spec")
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise DeployError(f"there is no file {file}") from None
    except UnicodeDecodeError as error:
        raise DeployError(f"{file} is not UTF-8 text (byte {error.start})") from None


def _packed(body: dict[str, Any], base: Path) -> bytes:
    """order.json and what the target or the specs' services need of `base`."""
    services = [spec.get("service") for spec in body.get("specs", [])]
    if "target" in body:
        services = [body["target"]]
        path, colon, attribute = body["target"].partition(":")
        where = (base / Path(path).expanduser()).resolve()
        if where.exists():  # the node knows nothing of folders here
            base = where.parent
            body = {**body, "target": f"{where.name}{colon}{attribute}"}
            services = [body["target"]]
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("order.json", json.dumps(body))
        for file in chosen_files(base, services):
            archive.write(file, f"files/{file.relative_to(base)}")
    return out.getvalue()
