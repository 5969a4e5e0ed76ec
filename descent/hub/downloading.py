"""One file from a hub to the disk: taken up where it was cut, tried again, and verified.

    <hash>.incomplete grows by Range requests → its hash is checked → it takes its name

A file kept apart (LFS) is checked by sha256, a small one by the hash git gives it,
sha1("blob " + size + "\\0" + content). What arrived before a cut, a full disk or Ctrl-C is kept.
huggingface_hub's own download keeps nothing of a process that ended and checks sizes only.
"""

from __future__ import annotations

import errno
import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from descent.hub.choosing import HubFile
from descent.hub.naming import HubError

__all__ = ["disk_error", "download", "http_error", "is_content", "retrying"]

_TRIES = 6  # in a row that brought nothing
_AGAIN = {408, 429, 500, 502, 503, 504}
_BLOCK_BYTES = 1 << 20
_LONGEST_WAIT_S = 60.0
_SILENCE_S = 30.0  # a server that sends nothing for so long counts as cut off


def download(
    session: Any,
    url: str,
    headers: dict[str, str],
    file: HubFile,
    target: Path,
    on_bytes: Callable[[int], None],
) -> None:
    """Fetch `file` from `url` to `target`; `on_bytes` hears of every block (negative: taken back).

    Raises:
        HubError: the bytes are twice not the published ones.
        HfHubHTTPError, httpx.HTTPError: what `retrying` could not get past.
        OSError: the disk.
    """
    part = target.with_name(target.name + ".incomplete")
    part.parent.mkdir(parents=True, exist_ok=True)
    if part.is_file():
        on_bytes(part.stat().st_size)
    for _ in range(2):
        retrying(lambda: _receive(session, url, headers, file, part, on_bytes), _size_of(part))
        if is_content(part, file):
            os.replace(part, target)
            return
        have = part.stat().st_size
        on_bytes(-have)
        part.unlink()
    raise HubError(
        f"{file.path}: the bytes received are not the published ones ({have:,} bytes, {_said(file)}"
        " expected); something between here and the hub changes them: try another network"
    )


def _receive(
    session: Any,
    url: str,
    headers: dict[str, str],
    file: HubFile,
    part: Path,
    on_bytes: Callable[[int], None],
) -> None:
    """Append what is missing; an exception leaves what has arrived."""
    from huggingface_hub.utils import hf_raise_for_status

    have = _size_of(part)()
    if have >= file.size > 0 or (file.size == 0 and part.is_file()):
        return
    # identity: a compressed answer would make sizes and ranges mean something else.
    asked = {**headers, "accept-encoding": "identity"} | (
        {"range": f"bytes={have}-"} if have else {}
    )
    with session.stream(
        "GET", url, headers=asked, follow_redirects=True, timeout=_SILENCE_S
    ) as response:
        hf_raise_for_status(response)
        resumed = have > 0 and response.status_code == 206
        if have and not resumed:  # a server without ranges sends it all
            on_bytes(-have)
            have = 0
        with part.open("ab" if resumed else "wb") as out:
            for block in response.iter_bytes():  # as it arrives: a cut must cost nothing
                out.write(block)
                out.flush()  # so that a full disk or a kill loses nothing that was counted
                have += len(block)
                on_bytes(len(block))
                if have > file.size:  # the wrong file: no need for the rest of it
                    return
            os.fsync(out.fileno())
    if have < file.size:
        raise ConnectionError(f"the connection was cut after {have:,} of {file.size:,} bytes")


def retrying(work: Callable[[], Any], progress: Callable[[], int] = lambda: 0) -> Any:
    """`work`'s result, after waiting where the hub is busy or the network cut.

    `progress` is a number that grows while something arrives: that starts the count anew.
    """
    from huggingface_hub import errors

    failures, before = 0, progress()
    while True:
        try:
            return work()
        except (http_error(), ConnectionError, TimeoutError) as error:
            if isinstance(error, errors.OfflineModeIsEnabled):
                raise
            response = getattr(error, "response", None)
            if isinstance(error, errors.HfHubHTTPError) and response is not None:
                if response.status_code not in _AGAIN:
                    raise
            if progress() > before:
                failures, before = 0, progress()
            failures += 1
            if failures >= _TRIES:
                raise
            _pause(_wait_s(failures, response))


def http_error() -> type[Exception]:
    """The error class of huggingface_hub's HTTP library (httpx, or its successor)."""
    from huggingface_hub.errors import HfHubHTTPError

    return HfHubHTTPError.__mro__[1]


def _wait_s(failures: int, response: Any) -> float:
    asked = "" if response is None else response.headers.get("retry-after", "")
    if asked.isdigit():
        return min(float(asked), _LONGEST_WAIT_S)
    return 0.25 * 2**failures


def _pause(seconds: float) -> None:
    time.sleep(seconds)


def _size_of(part: Path) -> Callable[[], int]:
    return lambda: part.stat().st_size if part.is_file() else 0


def is_content(path: Path, file: HubFile) -> bool:
    """Whether `path` holds the published bytes of `file`."""
    if not path.is_file() or path.stat().st_size != file.size:
        return False
    with path.open("rb") as content:
        if file.sha256:
            return hashlib.file_digest(content, "sha256").hexdigest() == file.sha256
        if file.blob:
            digest = hashlib.sha1(b"blob %d\0" % file.size, usedforsecurity=False)
            while block := content.read(_BLOCK_BYTES):
                digest.update(block)
            return digest.hexdigest() == file.blob
    return True


def _said(file: HubFile) -> str:
    if file.sha256:
        return f"{file.size:,} with sha256 {file.sha256[:12]}…"
    return f"{file.size:,} with git hash {(file.blob or '')[:12]}…"


def disk_error(error: OSError, where: Path) -> HubError | None:
    """A full disk or a missing permission as a sentence; None for anything else."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return HubError(
            f"the disk is full at {where}: what has arrived is kept; make room, or set HF_HOME to "
            "a folder on another disk, and run the same command again"
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return HubError(f"no permission to write in {where}: set HF_HOME to a folder that is yours")
    return None
