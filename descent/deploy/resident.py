"""Several models in one process under a memory limit: loaded when asked, unloaded by least use.

    async with residents.use("gpt2", load, unload) as model:      a lease: it stays until the end
        …
    before a load: unload the least used without a lease until   Σ bytes + expected ≤ limit
    after a load:  bytes are measured (`size`, else the growth of the process), and the same again

Many first requests load once; one load runs at a time, so that what is measured is its own. Who
finds no room waits until a lease ends, `patience_s` at most. Of a model whose size is not known yet
the first load may exceed the limit until it is measured. Reference: NVIDIA Triton's and
TorchServe's model stores; the order of eviction is LRU (Denning 1968). Left out: part of a model.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import logging
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from descent.deploy.errors import HttpError
from descent.deploy.pool import LoadError

__all__ = ["Lease", "Resident", "Residents"]

log = logging.getLogger("descent.deploy.node")
Load = Callable[[], Awaitable[Any]]
Unload = Callable[[Any], Awaitable[None]]
Size = Callable[[Any], int | None]
LOOK_S = 1.0


@dataclass(eq=False)
class Resident:
    """A model that is here, or was. `bytes`: measured at its last load; 0 before the first."""

    key: str
    load: Load
    unload: Unload | None = None
    size: Size | None = None
    idle_s: float | None = None
    value: Any = None
    here: bool = False
    bytes: int = 0
    in_use: int = 0
    used: float = field(default_factory=time.monotonic)
    loads: int = 0
    loading: asyncio.Task[None] | None = None


class Lease:
    """`async with`: the model is here, and stays. Cheap where it is here already."""

    __slots__ = ("_resident", "_residents")

    def __init__(self, residents: Residents, resident: Resident) -> None:
        self._residents, self._resident = residents, resident

    async def __aenter__(self) -> Any:
        resident = self._resident
        resident.in_use += 1  # counted from now on: who waits for it keeps it, too
        if not resident.here:
            try:
                await self._residents.bring(resident)
            except BaseException:
                self._residents.released(resident)
                raise
        return resident.value

    async def __aexit__(self, *error: object) -> None:
        self._residents.released(self._resident)


class Residents:
    """The models of one process.

    Args:
        limit_bytes: of all together; None: no limit (then only `idle_s` unloads).
        patience_s: how long a request waits for room.
        growth: the process's resident bytes, for models that do not know their size.
    """

    def __init__(
        self,
        limit_bytes: int | None,
        *,
        patience_s: float = 30.0,
        growth: Callable[[], int | None] = lambda: None,
    ) -> None:
        self.limit_bytes = limit_bytes
        self.patience_s = patience_s
        self._growth = growth
        self._by_key: OrderedDict[str, Resident] = OrderedDict()  # the least used first
        self._one_load = asyncio.Lock()
        self._freed = asyncio.Event()
        self._trimming: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None

    @property
    def bytes(self) -> int:
        """What those here need, as measured."""
        return sum(resident.bytes for resident in self._by_key.values() if resident.here)

    def use(
        self,
        key: str,
        load: Load,
        unload: Unload | None = None,
        *,
        size: Size | None = None,
        idle_s: float | None = None,
    ) -> Lease:
        """A lease on the model of this key; `async with` gives what `load` returned.

        `load`, `unload`, `size(value)` are those of the first call with this key. Entering raises
        `HttpError` 503 where no room came up in time, `LoadError` for a model that alone is
        larger than the limit, and whatever `load` raises (the next request tries again).
        """
        resident = self._by_key.get(key)
        if resident is None:
            resident = self._by_key[key] = Resident(key, load, unload, size, idle_s)
        self._by_key.move_to_end(key)
        if idle_s is not None and self._watching is None:
            self._watching = asyncio.create_task(self._watch())
        return Lease(self, resident)

    async def settle(self, key: str) -> None:
        """What has been loaded elsewhere under this key counts from now on; the rest moves over."""
        resident = self._by_key[key]
        resident.here, resident.used = True, time.monotonic()
        resident.bytes = self._measured(resident, None)
        await self._fit(resident)

    @contextlib.asynccontextmanager
    async def one_load(self, expected_bytes: int = 0) -> AsyncIterator[None]:
        """While inside no other load runs: for whoever loads by themselves and then `settle`s."""
        async with self._one_load:
            await self._make_room(expected_bytes)
            yield

    async def forget(self, key: str) -> None:
        """Its owner has closed it, or will: it counts no longer."""
        resident = self._by_key.pop(key, None)
        if resident is not None:
            resident.here = False
            self._freed.set()

    def status(self) -> list[dict[str, Any]]:
        """Every model, the least used first."""
        return [
            {
                "key": r.key,
                "here": r.here,
                "bytes": r.bytes,
                "in_use": r.in_use,
                "loads": r.loads,
                "idle_s": round(time.monotonic() - r.used, 3),
            }
            for r in self._by_key.values()
        ]

    async def close(self) -> None:
        """Unload everything; leases that are out end as they can."""
        for task in (self._watching, self._trimming):
            if task is not None:
                task.cancel()
        for resident in list(self._by_key.values()):
            if resident.loading is not None:
                resident.loading.cancel()
            if resident.here:
                await self._unload(resident)
        self._by_key.clear()

    # For leases

    async def bring(self, resident: Resident) -> None:
        """Load it, or wait for whoever does."""
        while not resident.here:
            if resident.loading is None:
                resident.loading = asyncio.create_task(self._load(resident))
                resident.loading.add_done_callback(_noted)
            # A client that leaves ends its waiting, not the load: the next one finds the model.
            await asyncio.shield(resident.loading)

    def released(self, resident: Resident) -> None:
        """A lease has ended."""
        resident.in_use -= 1
        resident.used = time.monotonic()
        if not resident.in_use:
            self._freed.set()
            over = self.limit_bytes is not None and self.bytes > self.limit_bytes
            if over and (self._trimming is None or self._trimming.done()):
                self._trimming = asyncio.create_task(self._trim())

    async def _load(self, resident: Resident) -> None:
        try:
            async with self._one_load:
                await self._make_room(resident.bytes)
                before = self._growth()
                resident.value = await resident.load()
                resident.here, resident.loads = True, resident.loads + 1
                resident.bytes = self._measured(resident, before)
                await self._fit(resident)
        finally:
            resident.loading = None

    def _measured(self, resident: Resident, before: int | None) -> int:
        known = None if resident.size is None else resident.size(resident.value)
        if known is None:
            after = self._growth()
            known = 0 if before is None or after is None else after - before
        return max(known, resident.bytes)  # loaded again, it may find its pages here already

    async def _make_room(self, expected: int) -> None:
        """Unload until `expected` more fit; wait for leases to end where that is not enough."""
        if self.limit_bytes is None:
            return
        until = time.monotonic() + self.patience_s
        while not await self._evict(self.limit_bytes - expected):
            left = until - time.monotonic()
            if left <= 0:
                raise HttpError(
                    503,
                    "memory_full",
                    f"other models use the {_said(self.limit_bytes)} this node has for models",
                    retry_after_s=5,
                )
            self._freed.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._freed.wait(), left)

    async def _fit(self, new: Resident) -> None:
        """After a load, with its true size: the others move over, or it must go itself."""
        limit = self.limit_bytes
        if limit is None:
            return
        if new.bytes > limit:
            await self._again(new, limit)
        await self._evict(limit, keep=new)  # those in use go when their leases end

    async def _again(self, new: Resident, limit: int) -> None:
        """The first load of a model brings libraries, too, which stay: a second tells its size."""
        first = new.bytes
        await self._unload(new)
        if new.bytes < first and new.bytes <= limit:
            before = self._growth()
            new.value = await new.load()
            new.here, new.loads = True, new.loads + 1
            new.bytes = self._measured(new, before)
            if new.bytes <= limit:
                return
            await self._unload(new)
        raise LoadError(
            f"it needs {_said(first if new.bytes <= limit else new.bytes)}; this node has"
            f" {_said(limit)} for models (memory_limit)"
        )

    async def _evict(self, limit: int, keep: Resident | None = None) -> bool:
        """Unload the least used without a lease until the rest is within `limit`."""
        while self.bytes > limit:
            idle = (r for r in self._by_key.values() if r.here and not r.in_use and r is not keep)
            least = next(idle, None)
            if least is None:
                return self.bytes <= 0 and limit <= 0
            log.info("%s is unloaded for others: %s", least.key, _said(least.bytes))
            await self._unload(least)
        return True

    async def _trim(self) -> None:
        async with self._one_load:
            if self.limit_bytes is not None:
                await self._evict(self.limit_bytes)

    async def _unload(self, resident: Resident) -> None:
        """From here on a request for it waits for a new load, which waits for this to end."""
        value, resident.value, resident.here = resident.value, None, False
        before = self._growth()
        try:
            if resident.unload is not None:
                await resident.unload(value)
        except Exception:
            log.exception("%s could not be unloaded in good order", resident.key)
        del value
        await asyncio.to_thread(_give_back)
        after = self._growth()
        if before is not None and after is not None and after < before:
            resident.bytes = min(resident.bytes, before - after)  # what it had for itself
        self._freed.set()

    async def _watch(self) -> None:
        """Unload what has been idle for its `idle_s`."""
        while True:
            await asyncio.sleep(LOOK_S)
            now = time.monotonic()
            for resident in list(self._by_key.values()):
                idle = resident.here and not resident.in_use and resident.idle_s is not None
                if idle and now - resident.used >= resident.idle_s:  # type: ignore[operator]
                    async with self._one_load:
                        if resident.here and not resident.in_use:
                            log.info("%s is unloaded: nobody asked it", resident.key)
                            await self._unload(resident)


def _noted(task: asyncio.Task[None]) -> None:
    """Where every waiter has gone, nobody else asks for a failed load's exception."""
    if not task.cancelled():
        task.exception()


def _give_back() -> None:
    """Freed memory to the system: glibc keeps it otherwise."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _said(size: int) -> str:
    for unit in ("bytes", "KB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000  # type: ignore[assignment]
    return f"{size:.3g} GB"
