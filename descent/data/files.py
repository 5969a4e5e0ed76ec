"""Files written whole or not at all: temporary file beside the target, fsync, rename."""

import json
import os
import secrets
from collections.abc import Iterable
from pathlib import Path

__all__ = ["readable_json", "write_atomically"]


def write_atomically(
    path: str | os.PathLike, data: bytes | str | Iterable[bytes | memoryview]
) -> Path:
    """Write `data` (text as UTF-8, or pieces of bytes one after the other) to `path` so that a
    reader sees the old file or the new one."""
    path = Path(path)
    if isinstance(data, str):
        data = data.encode("utf-8")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    try:
        with temporary.open("xb") as file:  # not mkstemp: the user's umask decides who may read
            file.writelines([data] if isinstance(data, bytes) else data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)
    return path


def _sync_folder(folder: Path) -> None:
    """Make the rename itself survive a power cut; Windows neither offers nor needs it."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def readable_json(value: dict) -> str:
    """JSON with one top-level key per line, and one line per item of a list of lists."""
    lines = []
    for key, item in value.items():
        text = json.dumps(item, ensure_ascii=False)
        if isinstance(item, list) and item and isinstance(item[0], list):
            rows = ",\n".join("    " + json.dumps(row, ensure_ascii=False) for row in item)
            text = f"[\n{rows}\n  ]"
        lines.append(f"  {json.dumps(key, ensure_ascii=False)}: {text}")
    return "{\n" + ",\n".join(lines) + "\n}\n"
