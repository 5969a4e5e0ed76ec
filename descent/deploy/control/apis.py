"""One API and the life of its versions; every change of it waits for the one before.

    keep what was sent → record → load and warm beside the old → remember → switch → drain the old

Whatever fails before "remember" leaves the old version as it was; a node that dies there comes back
with the old one, one that dies after it with the new one.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from descent.deploy.control.fronts import Front
from descent.deploy.control.records import Records, Version, previous_good
from descent.deploy.control.sources import Kept, forget, keep
from descent.deploy.control.starting import Live, Starter, ready
from descent.deploy.errors import DeployError
from descent.deploy.gateway import Served
from descent.deploy.pool import LoadError
from descent.deploy.spec import Spec, changed, make_spec

__all__ = ["Api", "LoadFailed"]

KEPT_VERSIONS = 20  # the files of older ones are removed
_RETRY_S = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)


class LoadFailed(DeployError):
    """A version that could not be loaded; the last good one, if any, goes on."""


class Api:
    """`live`: the version that answers. `loading`: the number of the one that is coming up.
    `check(specs)`: raises `DeployError` where they do not fit beside the other APIs."""

    def __init__(
        self,
        folder: Path,
        records: Records,
        starter: Starter,
        make_front: Callable[[Spec], Front],
        *,
        check: Callable[[Sequence[Spec]], None],
        drain_s: float,
        grace_s: float,
    ) -> None:
        self.name = records.name
        self.kind = records.kind
        self.folder = folder
        self.records = records
        self.starter = starter
        self.make_front = make_front
        self.check = check
        self.drain_s = drain_s
        self.grace_s = grace_s
        self.front: Front | None = None
        self.live: Live | None = None
        self.loading: int | None = None
        self.newest = 0
        self.notes: tuple[str, ...] = ()  # on what was last sent
        self.trouble = ""  # why there is no live version, or why the last change failed
        self.lock = asyncio.Lock()
        self.deleted = False
        self._place: Served | None = None  # where requests wait after a restart,
        self._reserved: int | None = None  # and for which version
        self._ending: set[asyncio.Task[None]] = set()
        self._recovering: asyncio.Task[None] | None = None

    @property
    def endpoint(self) -> str | None:
        """The path it answers at; None while there is nothing to answer."""
        return self.live.spec.networking.endpoint if self.live else None

    @property
    def state(self) -> str:
        """live, updating (a version comes up beside the live one), loading, failed."""
        if self.loading is not None:
            return "updating" if self.live else "loading"
        return "live" if self.live else "failed"

    async def deploy(
        self,
        spec: Spec,
        by: str,
        base: Path | None,
        *,
        force: bool = False,
        reason: str = "",
    ) -> tuple[Version, bool]:
        """Make a new version live; False beside it: nothing had changed, nothing was done.
        `reason`, why it is made, is remembered with it.

        Raises `DeployError` (what was sent cannot be used) or `LoadFailed`.
        """
        async with self.lock:
            self._must_exist()
            base = None if spec.kind == "TrafficSplitter" else base  # it is nothing but its spec
            incoming = self.folder / f".incoming-{time.time_ns()}"
            try:
                kept = await asyncio.to_thread(keep, spec.service, base, incoming)
                if kept.service != spec.service:
                    spec = changed(spec, service=kept.service)
                same = None if force else await self._same(spec, kept)
                if same is not None:
                    return same, False
                self.notes = kept.notes
                version = await self._record(spec, kept, by, incoming)
            finally:
                await asyncio.to_thread(shutil.rmtree, incoming, True)
            await self._bring(version, reason)
            await self._prune()
            return await self.records.get(version.number), True

    async def _same(self, spec: Spec, kept: Kept) -> Version | None:
        if self.live is None:
            return None
        version = await self.records.get(self.live.version)
        return version if (version.spec, version.folder) == (_written(spec), kept.hash) else None

    async def _record(self, spec: Spec, kept: Kept, by: str, incoming: Path) -> Version:
        target = self.folder / kept.hash
        if not target.exists():
            incoming.rename(target)
        version = await self.records.add(_written(spec), by, kept.hash)
        self.newest = version.number
        return version

    async def refresh(self) -> Version:
        """Load the active version anew beside itself and switch."""
        async with self.lock:
            self._must_exist()
            number = self.live.version if self.live else await self.records.active()
            if number is None:
                raise DeployError(f"'{self.name}' has no version that was ever live; deploy one")
            await self._bring(await self.records.get(number))
            return await self.records.get(number)

    async def rollback(self, number: int | None) -> Version:
        """Go back to a version; None: to the one that was live before."""
        async with self.lock:
            self._must_exist()
            active = self.live.version if self.live else None
            if number is None:
                found = previous_good(await self.records.list(), active)
                if found is None:
                    raise DeployError(f"'{self.name}' has no earlier good version to go back to")
                number = found.number
            version = await self.records.get(number)
            if number != active:
                self.check([make_spec(version.spec)])  # the others may have changed since
                await self._bring(version)
            return await self.records.get(number)

    async def reserve(self, number: int | None) -> None:
        """After a restart, before the node answers: requests will wait for the active version, work
        is accepted. Nothing is loaded yet."""
        async with self.lock:
            await self.records.settle(number)
            versions = await self.records.list()
            self.newest = max((version.number for version in versions), default=0)
            if number is None:
                self.trouble = versions[0].reason if versions else ""
                return
            version = await self.records.get(number)
            try:
                spec = make_spec(version.spec)
            except DeployError as error:
                self.trouble = f"the spec of version {number} is no longer right: {error}"
                return
            self._place = await self._front(spec).hold(spec, number, self._files(version))
            self._reserved = self.loading = number

    async def restore(self) -> None:
        """Load what `reserve` made room for. A version that cannot be loaded is tried again, and
        again, until something else is deployed (which may have happened before this began)."""
        async with self.lock:
            number, self._reserved = self._reserved, None
            if number is None or self.live is not None or self.front is None:
                return
            version = await self.records.get(number)
            self.loading = number
            try:
                spec, files = make_spec(version.spec), self._files(version)
                live = await self.starter.start(spec, number, files)
            except LoadError as error:
                self.trouble = f"version {number} could not be loaded again: {error}"
                self.front.refuse(f"'{self.name}' is not ready: {self.trouble}")
                self._place = None
                self._recovering = asyncio.create_task(self._recover(number))
                return
            finally:
                self.loading = None
            await self._go_live(live, files)

    async def _go_live(self, live: Live, files: Path) -> Live | None:
        """The switch; answers the version before."""
        if self._place is not None:  # those who wait since the node began are let in
            live.take(self._place)
            self._place = None
        old, self.live, self.trouble = self.live, live, ""
        await self._front(live.spec).use(live, files)
        return old

    async def _recover(self, number: int) -> None:
        for attempt in range(10**9):
            await asyncio.sleep(_RETRY_S[min(attempt, len(_RETRY_S) - 1)])
            if self.live is not None or self.deleted:
                return
            async with self.lock:
                if self.live is None and not self.deleted:
                    with contextlib.suppress(LoadFailed):
                        await self._bring(await self.records.get(number))

    async def _bring(self, version: Version, reason: str = "") -> None:
        """Load a version beside the live one, switch, let the old one end."""
        number, spec = version.number, make_spec(version.spec)
        self.loading = number
        try:
            try:
                live = await self.starter.start(spec, number, self._files(version))
            except LoadError as error:
                why = str(error).replace(f"{self._files(version)}/", "")
                await self._failed(version, why)
                raise LoadFailed(self._said(number, why)) from error
            try:
                if self.live is not None and self.live.pool is not None:
                    await self.starter.grow(live, ready(self.live.pool))
                if version.state in ("live", "retired"):
                    reason = reason or version.reason  # why it was made stays known
                await self.records.activate(number, reason)
            except BaseException:
                await live.close(self.grace_s)
                raise
            old = await self._go_live(live, self._files(version))
        finally:
            self.loading = None
        if old is not None:
            self._end(old)

    async def _failed(self, version: Version, reason: str) -> None:
        self.trouble = f"version {version.number} could not be loaded: {reason}"
        if version.state != "live":
            await self.records.failed(version.number, reason)

    def _said(self, number: int, reason: str) -> str:
        goes_on = f"; version {self.live.version} goes on" if self.live else ""
        return f"version {number} of '{self.name}' could not be loaded{goes_on}: {reason}"

    def _front(self, spec: Spec) -> Front:
        if self.front is None:
            self.front = self.make_front(spec)
        return self.front

    def _end(self, old: Live) -> None:
        task = asyncio.create_task(self._retire(old, self.drain_s))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def _retire(self, old: Live, drain_s: float) -> None:
        """Let what is under way in a version finish, then free it."""
        if self.front is not None and not await self.front.drained(old, drain_s):
            said = f"work that did not end within {drain_s:g} s is cut off"
            old.log(said, level="warning")
        await old.close(self.grace_s)

    async def delete(self, *, keep_jobs: bool = False) -> None:
        """Take the API away: no new requests, those inside finish, then everything is freed."""
        async with self.lock:
            self._must_exist()
            self.deleted = True
            if self._recovering is not None:
                self._recovering.cancel()
            if self.front is not None:
                await self.front.close(self.grace_s)
                if not keep_jobs:
                    await self.front.forget()
            await self.records.forget()
            if self.live is not None:
                self._end(self.live)
                self.live = None
            await asyncio.gather(*self._ending)
            await asyncio.to_thread(shutil.rmtree, self.folder, True)
            self.starter.forget_logs(self.name)

    async def close(self, grace_s: float) -> None:
        """The node ends: everything is freed, nothing is forgotten."""
        if self._recovering is not None:
            self._recovering.cancel()
        if self.front is not None:
            await self.front.close(grace_s)
        if self.live is not None:
            await self._retire(self.live, grace_s)
        await asyncio.gather(*self._ending, return_exceptions=True)

    async def _prune(self) -> None:
        """Remove what was kept for versions far back."""
        versions = list(await self.records.list())
        good = previous_good(versions, self.live.version if self.live else None)
        needed = {version.folder for version in versions[:KEPT_VERSIONS] if version.folder}
        needed |= {v.folder for v in versions if v.state == "live" or v == good}
        for version in versions[KEPT_VERSIONS:]:
            if version.folder and version.folder not in needed:
                await asyncio.to_thread(forget, self.folder / version.folder)
            self.starter.forget_logs(self.name, version.number)

    def _files(self, version: Version) -> Path:
        return self.folder / version.folder

    def _must_exist(self) -> None:
        if self.deleted:
            raise DeployError(f"'{self.name}' was deleted a moment ago")


def _written(spec: Spec) -> dict[str, Any]:
    return spec.model_dump(mode="json", exclude_unset=True)
