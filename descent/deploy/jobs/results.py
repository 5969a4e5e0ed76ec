"""Files of jobs: bodies too large for a row and results of any type, in a folder or wherever fsspec
reaches (s3://…, gs://…).

A file is there whole or not at all. A full disk is `StoreFull`, said before anything is accepted.
Keys are ours alone ("api/job/3"): no user's text ever becomes a path.
"""

from __future__ import annotations

import errno
import re
import shutil
import time
from pathlib import Path
from typing import Any

from descent.data.files import write_atomically
from descent.deploy.jobs.store import StoreFull

__all__ = ["Files"]

KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*")
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class Files:
    """`put`, `get` and `delete` of whole files by key. All of it blocks: call from a thread."""

    def __init__(self, url: str | Path):
        text = str(url)
        self.folder: Path | None = None
        self.system: Any = None
        if "://" not in text or text.startswith("file://"):
            self.folder = Path(text.removeprefix("file://")).expanduser()
            self.folder.mkdir(parents=True, exist_ok=True)
            return
        self.system, self.root = _system(text)

    def put(self, key: str, data: bytes) -> None:
        """Raises `StoreFull` when there is no room."""
        _check(key)
        try:
            if self.folder is not None:
                write_atomically(self.folder / key, data)
            else:
                self.system.pipe_file(f"{self.root}/{key}", data)
        except OSError as error:
            if error.errno in FULL:
                raise StoreFull(
                    f"no room for {len(data)} bytes of job data: {error.strerror}"
                ) from error
            raise

    def get(self, key: str) -> bytes:
        """Raises `FileNotFoundError`."""
        _check(key)
        if self.folder is not None:
            return (self.folder / key).read_bytes()
        return self.system.cat_file(f"{self.root}/{key}")

    def delete(self, prefix: str) -> None:
        """Remove a file, or all files below `prefix`; none there is no error."""
        _check(prefix)
        if self.folder is not None:
            path = self.folder / prefix
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
            return
        try:
            self.system.rm(f"{self.root}/{prefix}", recursive=True)
        except FileNotFoundError:
            pass

    def old(self, than_s: float) -> list[str]:
        """Keys like "api/job" of folders that nothing was added to for so long (local ones)."""
        if self.folder is None:
            return []
        before = time.time() - than_s
        return [
            f"{path.parent.name}/{path.name}"
            for path in self.folder.glob("*/*")
            if path.is_dir() and path.stat().st_mtime < before
        ]


def _check(key: str) -> None:
    if not KEY.fullmatch(key):
        raise ValueError(f"{key!r} is no key of a file")


def _system(url: str) -> tuple[Any, str]:
    """The fsspec file system of a URL, and the path of its root there."""
    try:
        import fsspec
    except ImportError as error:
        raise ImportError(f"files at {url} need fsspec: pip install 'descent-ml[serve]'") from error
    try:
        system, path = fsspec.core.url_to_fs(url)
    except ImportError as error:  # s3fs, gcsfs …: fsspec names the package
        raise ImportError(f"files at {url}: {error}") from error
    return system, path.rstrip("/")
