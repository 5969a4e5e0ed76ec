"""Workers: lease units, have them worked on, commit what came out; nothing is lost between.

    lease (attempt counted) → work → commit(fence) | fail(back-off) | release (shutting down)
A lease is renewed at a third of its time; one that is lost (taken by another, its job ended) stops
its work. Two cares:
- short units are leased ahead, so that no fsync stands between one and the next;
- a unit's last attempt is made alone (its first ten seconds): should it kill the process, no
  innocent neighbour pays.
The service may be called more than once for a unit (at least once); the result is committed once.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from descent.deploy import tracing
from descent.deploy.jobs.loops import end_loop, repeat, set_within
from descent.deploy.jobs.store import Content, Lease, Store, StoreError, StoreFull, StoreUnavailable

__all__ = ["Done", "Failed", "Workers"]

T = TypeVar("T")
AHEAD_S = 0.05  # how much work is leased beyond what can begin at once
MOST_AHEAD = 128
ALONE_S = 10.0
PATIENCE_S = 2.0  # between looks at an empty queue; the store wakes us sooner


@dataclass(frozen=True)
class Done:
    """What came out; `keep` makes it content (writing a file where it is large)."""

    keep: Callable[[], Awaitable[Content]]


@dataclass(frozen=True)
class Failed:
    """Why not. `code` is the job's status should this be its end; `retry=False` is for good."""

    error: str
    retry: bool = True
    code: str | None = None
    retry_after_s: float | None = None


class Workers:
    """Work on the units of one API (of one job, where given), at most `capacity()` at a time.

    `work(lease)` does one; `told(lease, outcome, seconds, state)` hears how each went.
    """

    def __init__(
        self,
        store: Store,
        api: str,
        *,
        name: str,
        work: Callable[[Lease], Awaitable[Done | Failed]],
        capacity: Callable[[], int],
        lease_s: float,
        told: Callable[[Lease, Done | Failed, float, str], None],
        job: str | None = None,
    ):
        self.store, self.api, self.name, self.job = store, api, name, job
        self.work, self.capacity, self.lease_s, self.told = work, capacity, lease_s, told
        self.active: dict[tuple[str, int], Lease] = {}  # held: waiting here, begun, being settled
        self.begun = 0
        self._waiting: deque[Lease] = deque()
        self._tasks: dict[tuple[str, int], asyncio.Task[None]] = {}
        self._changed = asyncio.Event()
        self._mean_s: float | None = None
        self._failed = -1e9  # when a unit last was
        self._closing = False
        self._loop: asyncio.Task[None] | None = None
        self._renewer: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to work, until `close`."""
        self._loop = repeat(self._lease, f"{self.api} workers")
        self._renewer = repeat(self._renew, f"{self.api} leases")

    async def close(self, grace_s: float = 0.0) -> None:
        """Lease no more; wait `grace_s` for what has begun; give the rest back, uncounted."""
        self._closing = True
        await end_loop(self._loop)
        self._waiting.clear()
        for lease in [lease for key, lease in self.active.items() if key not in self._tasks]:
            await self._give_back(lease)
        tasks = list(self._tasks.values())
        if tasks and grace_s > 0:
            await asyncio.wait(tasks, timeout=grace_s)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await end_loop(self._renewer)

    def stop_work(self, job: str) -> None:
        """The job has ended: stop what works on it."""
        for key in [key for key in self.active if key[0] == job]:
            self._forget(key)

    async def _lease(self) -> None:
        """One round: begin what is here, take more, or wait."""
        self._pump()
        wanted = self._wanted()
        if wanted <= 0:
            return await self._change()
        leases = await self.store.lease(
            self.api, wanted, worker=self.name, lease_s=self.lease_s, job=self.job
        )
        last = [lease for lease in leases if lease.last and lease.attempts > 1]
        for lease in leases:
            if lease not in last:
                self._take(lease)
        self._pump()
        if last:
            await self._alone(last)
        elif not leases:
            # What failed a moment ago is due again soon: look sooner, then less and less.
            since = time.monotonic() - self._failed
            await self.store.wait(self.api, min(PATIENCE_S, max(0.05, since / 4)))

    def _wanted(self) -> int:
        """How many units to lease now: what can begin, and a little more when they are short."""
        capacity = self.capacity()
        if capacity <= 0:
            return 0
        ahead = 0
        if self._mean_s is not None:
            ahead = min(MOST_AHEAD, int(capacity * AHEAD_S / max(self._mean_s, 1e-4)))
        held = len(self.active)
        # Below half of the store ahead: ask for many at once, not one by one.
        return capacity + ahead - held if held < capacity + ahead / 2 else 0

    def _take(self, lease: Lease) -> None:
        self.active[_key(lease)] = lease
        self._waiting.append(lease)

    def _pump(self) -> None:
        """Begin what there is room for."""
        room = self.capacity()
        while self._waiting and self.begun < room:
            lease = self._waiting.popleft()
            self.begun += 1
            task = asyncio.create_task(self._one(lease), name=f"{lease.api} {lease.job}")
            self._tasks[_key(lease)] = task

    async def _change(self) -> None:
        """Until a unit is over, or a quarter of a second: capacity may have changed."""
        await set_within(self._changed, 0.25)
        self._changed.clear()

    async def _alone(self, last: list[Lease]) -> None:
        """Give back all but one, let the others end, then make this one's last attempt alone; but
        no more than `ALONE_S` for each: work that takes hours must not hold up all other."""
        # Held, so that they are renewed meanwhile, and given back should we close.
        self.active.update((_key(lease), lease) for lease in last)
        for lease in last[1:]:
            await self._give_back(lease)
        only = last[0]
        until = time.monotonic() + ALONE_S
        while len(self.active) > 1 and time.monotonic() < until:
            self._pump()
            await self._change()
        if _key(only) in self.active:
            self._waiting.append(only)
        until = time.monotonic() + ALONE_S
        while _key(only) in self.active and time.monotonic() < until:
            self._pump()
            await self._change()

    async def _one(self, lease: Lease) -> None:
        key, begun = _key(lease), time.monotonic()
        try:
            try:
                outcome = await self._worked(lease)
            except Exception as error:  # the service's own, or the pool's
                outcome = Failed(f"{type(error).__name__}: {error}")
            finally:
                self.begun -= 1
            seconds = time.monotonic() - begun
            mean = seconds if self._mean_s is None else self._mean_s
            self._mean_s = mean + 0.1 * (seconds - mean)
            self._pump()  # the next may begin while this one is settled
            self.told(lease, outcome, seconds, await self._settle(lease, outcome))
        except asyncio.CancelledError:
            if self._closing and key in self.active:
                await self._give_back(lease)
            raise
        finally:
            if self.active.get(key) == lease:
                del self.active[key]
            if self._tasks.get(key) is asyncio.current_task():
                del self._tasks[key]
            self._changed.set()

    async def _worked(self, lease: Lease) -> Done | Failed:
        if tracing.active is None:
            return await self.work(lease)
        with tracing.active.attempt(lease) as failed:
            outcome = await self.work(lease)
            if isinstance(outcome, Failed):
                failed(outcome.error)
            return outcome

    async def _give_back(self, lease: Lease) -> None:
        """Uncounted; if even that fails, the lease will run out."""
        with contextlib.suppress(StoreError):
            await self.store.release(lease)
        self.active.pop(_key(lease), None)  # not before: a call that is cancelled is made again

    async def _settle(self, lease: Lease, outcome: Done | Failed) -> str:
        """Commit or fail, however long the database or the disk refuses; the unit's state."""
        if isinstance(outcome, Done):
            content = await self._surely(outcome.keep)
            done = await self._surely(lambda: self.store.commit(lease, content))
            return "done" if done else "refused"
        failed = outcome
        self._failed = time.monotonic()
        return await self._surely(
            lambda: self.store.fail(
                lease,
                failed.error,
                retry=failed.retry,
                code=failed.code,
                retry_after_s=failed.retry_after_s,
            )
        )

    async def _surely(self, call: Callable[[], Awaitable[T]]) -> T:
        pause_s = 0.1
        while True:
            try:
                return await call()
            except (StoreUnavailable, StoreFull):
                if self._closing:
                    raise
            await asyncio.sleep(pause_s)
            pause_s = min(5.0, pause_s * 2)

    async def _renew(self) -> None:
        await asyncio.sleep(self.lease_s / 3)
        if not self.active:
            return
        for lost in await self.store.renew(list(self.active.values()), self.lease_s):
            if self.active.get(_key(lost)) == lost:
                self._forget(_key(lost))

    def _forget(self, key: tuple[str, int]) -> None:
        """The lease is no longer ours: end the work, settle nothing."""
        lease = self.active.pop(key, None)
        if lease in self._waiting:
            self._waiting.remove(lease)
        task = self._tasks.get(key)
        if task is not None:
            task.cancel()
        self._changed.set()


def _key(lease: Lease) -> tuple[str, int]:
    return lease.job, lease.index
