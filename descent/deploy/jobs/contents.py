"""Bodies and results, in a row of the database when small, in a file when large.

    ≤ 32 KiB: Content(data)        above: Content(ref="api/job/name"), written before the row
A file's name holds the lease's fence, so an attempt that was overtaken cannot touch the result of
the one that counts. Files are removed with their job.
"""

from __future__ import annotations

import asyncio
from typing import Any

from descent.deploy.jobs.results import Files
from descent.deploy.jobs.store import Content

__all__ = ["Contents"]

INLINE_BYTES = 32 * 1024


class Contents:
    """Bytes ↔ `Content`, for the jobs of one API."""

    def __init__(self, files: Files, api: str):
        self.files, self.api = files, api

    async def keep(self, job: str, name: str, data: bytes, meta: dict[str, Any]) -> Content:
        """Raises `StoreFull`."""
        if len(data) <= INLINE_BYTES:
            return Content(data=data, meta=meta)
        key = f"{self.api}/{job}/{name}"
        await asyncio.to_thread(self.files.put, key, data)
        return Content(ref=key, meta=meta)

    async def read(self, content: Content) -> bytes:
        """The bytes. Raises `FileNotFoundError` when somebody has removed the file."""
        if content.ref is None:
            return content.data or b""
        return await asyncio.to_thread(self.files.get, content.ref)

    async def forget(self, job: str) -> None:
        """Remove all files of a job."""
        await asyncio.to_thread(self.files.delete, f"{self.api}/{job}")
