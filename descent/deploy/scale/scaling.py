"""The loop: each second measure, at each tick decide, and do it; one `Scaler` an API.

    in flight + queued (jobs: waiting + leased) → Autoscaler → pool.scale(n), limits of the gateway

State is written through `save` after every tick, so a restart of the node freezes nothing; an
update's new version gets the number of replicas its predecessor had. Pools that cannot have several
replicas ("local") scale between none and one; their `idle_unload_s` is `Residents`' business.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from descent.deploy.pool import LoadError, Pool
from descent.deploy.scale.autoscaler import Autoscaler
from descent.deploy.scale.decision import Decision
from descent.deploy.scale.waking import MOST_WAIT_S, Place, Waking
from descent.deploy.spec import Spec

__all__ = ["Scaler", "Scaling", "Subject"]

SAMPLE_S = 1.0
ZERO_GRACE_S = 30.0
WAKE_AGAIN_S = 10.0  # jobs wait on after a wake-up that failed; requests are turned away

log = logging.getLogger("descent.deploy.scale")


@dataclass(frozen=True)
class Subject:
    """An API as it is now.

    `load()`: in flight and queued. `ended()`: how many requests have ended so far, and the seconds
    they took. `place`: where requests wait; None for jobs, which wait in their store.
    `limit(replicas)`: admission for so many replicas. `several`: whether the pool can have them,
    `room`: how many there can be at most where they run; None: nobody knows.
    """

    name: str
    spec: Spec
    pool: Pool
    load: Callable[[], float]
    place: Place | None = None
    ended: Callable[[], tuple[int, float]] = lambda: (0, 0.0)
    limit: Callable[[int], None] = lambda replicas: None
    several: bool = True
    room: int | None = None
    log: Callable[..., None] = lambda line, **fields: None


class Scaler:
    """One API: its autoscaler, its pool, and whether it sleeps."""

    def __init__(self, subject: Subject, clock: Callable[[], float] = time.monotonic) -> None:
        self.subject, self._clock = subject, clock
        self.autoscaler = Autoscaler(subject.spec, clock)
        self._next_tick = clock()
        self._last_load = clock()  # when there last was any
        self._looked: float | None = None
        self._ended = subject.ended()
        self._ready = 0
        self._waking: Waking | None = None
        self._wake: asyncio.Task[None] | None = None
        self._changing = asyncio.Lock()
        self.changed = False  # since it was last saved
        self.changes: Counter[str] = Counter()  # "up", "down": how often the number was changed

    @property
    def can_sleep(self) -> bool:
        """Whether the last replica may go."""
        spec = self.subject.spec
        idle = self.subject.several and spec.idle_unload_s is not None
        return idle or spec.autoscaling.min_replicas == 0

    @property
    def active(self) -> bool:
        """Whether there is anything to decide."""
        bounds = self.subject.spec.autoscaling
        varies = bounds.max_replicas > bounds.min_replicas
        return self.can_sleep or (self.subject.several and varies)

    async def adopt(self, subject: Subject) -> None:
        """Go on with another version (or the first): as many replicas as there were."""
        old, self.subject = self.subject, subject
        if self._waking is not None and old.place is not subject.place:
            if old.place is not None and old.place.queued:
                await _woken(old.pool)  # who was held by the old one is answered by it
            self._waking.end()
            self._waking = None
        if old.spec is not subject.spec:
            state = self.autoscaler.dump()
            self.autoscaler = Autoscaler(subject.spec, self._clock)
            self.autoscaler.restore(state)
        if subject.place is not None and self._waking is None and self.can_sleep:
            self._waking = Waking(subject.place, self._awaken)
        self._last_load, self._ready = self._clock(), 0
        self._ended = subject.ended()
        replicas = _kept(subject.pool)
        if subject.several and replicas:  # what has just been loaded is not put to sleep at once
            bounds = subject.spec.autoscaling
            replicas = max(1, bounds.min_replicas, self.autoscaler.replicas)
            replicas = min(replicas, bounds.max_replicas)
            await subject.pool.scale(replicas)
        self.autoscaler.replicas = replicas
        if replicas == 0 and self._waking is not None:
            await self._waking.hold(ZERO_GRACE_S)

    async def second(self) -> Decision | None:
        """One second has passed: measure; at a tick decide, and do it."""
        now, load = self._clock(), self._measured()
        self.autoscaler.observe(load)
        if load:
            self._last_load = now
        self._follow_ready()
        if self.autoscaler.replicas == 0:
            if load:
                self._awaken()
            return None
        idle_s = self.subject.spec.idle_unload_s
        if self.subject.several and idle_s is not None and now - self._last_load >= idle_s:
            reason = f"nothing for {idle_s:g} s (idle_unload_s)"
            current = self.autoscaler.replicas
            return await self._do(self.autoscaler.note(Decision(current, 0, 0, (reason,), 0.0)))
        if now < self._next_tick:
            return None
        self._next_tick = now + self.autoscaler.tick_s
        self.changed = True
        room = self.subject.room if self.subject.several else 1
        return await self._do(self.autoscaler.tick(self._ready, room))

    def why(self) -> list[dict[str, Any]]:
        """The last decisions, newest first."""
        return self.autoscaler.why()

    def _measured(self) -> float:
        """In flight now, or, if more, on average since the last look (of those that have ended):
        requests of a millisecond are seldom met in flight."""
        count, seconds = self.subject.ended()
        since, self._ended = self._ended, (count, seconds)
        passed_s = max(1e-3, self._clock() - self._looked) if self._looked is not None else 1.0
        self._looked = self._clock()
        between = min(seconds - since[1], (count - since[0]) * min(1.0, passed_s)) / passed_s
        return max(self.subject.load(), between)

    def _follow_ready(self) -> None:
        """The gateway lets in as many as the ready replicas can work on."""
        ready = sum(replica.state.startswith("Ready") for replica in self.subject.pool.replicas())
        if ready != self._ready:
            self._ready = ready
            if ready and not (self._waking and self._waking.held):
                self.subject.limit(ready)

    async def _do(self, decision: Decision) -> Decision:
        target, pool = decision.target, self.subject.pool
        if target == decision.current:
            return decision
        async with self._changing:
            if target == 0 and not await self._quiet():  # somebody came meanwhile
                self.autoscaler.replicas = decision.current
                return decision
            self.autoscaler.replicas = target
            self.changes["up" if target > decision.current else "down"] += 1
            self.subject.log(f"replicas {decision}", level="info")
            try:
                await pool.scale(target)
            except LoadError as error:
                self.subject.log(f"could not scale to {target}: {error}", level="error")
        return decision

    async def _quiet(self) -> bool:
        """Nothing is under way, and nothing gets in any more."""
        if self._waking is not None:
            return await self._waking.hold(ZERO_GRACE_S)
        return not self.subject.load()

    def _awaken(self) -> None:
        if self._wake is None or self._wake.done():
            self._wake = asyncio.ensure_future(self._wake_up())

    async def _wake_up(self) -> None:
        async with self._changing:
            decision = self.autoscaler.awaken()
            self.changed = True
            self.changes["up"] += decision.target > decision.current
            self.subject.log(f"replicas {decision}", level="info")
            reason = await _woken(self.subject.pool)
        if reason:
            self.subject.log(f"could not be woken: {reason}", level="error")
            self.autoscaler.replicas = 0
            if self._waking is None:
                await asyncio.sleep(WAKE_AGAIN_S)
            else:
                await self._waking.turn_away(f"'{self.subject.name}' could not be woken: {reason}")
        elif self._waking is not None:
            self._waking.let_in()
            self.subject.limit(1)


async def _woken(pool: Pool) -> str:
    """One replica, ready; else why not, after `MOST_WAIT_S` at most."""
    try:
        async with asyncio.timeout(MOST_WAIT_S):
            await pool.scale(1)
            while not any(one.state.startswith("Ready") for one in pool.replicas()):
                await asyncio.sleep(0.02)
    except LoadError as error:
        return str(error)
    except TimeoutError:
        reasons = [one.reason for one in pool.replicas() if one.reason]
        return f"not ready within {MOST_WAIT_S:g} s: {'; '.join(reasons)}"
    return ""


def _kept(pool: Pool) -> int:
    """Replicas there are or will be again; one that is unloaded says "Pending"."""
    return sum(one.state not in ("Terminating", "Pending") for one in pool.replicas())


class Scaling:
    """All APIs of a node. `subjects()` says what there is now; `load(name)` and `save(name, state)`
    keep each autoscaler's state, None being none."""

    def __init__(
        self,
        subjects: Callable[[], Iterable[Subject]],
        load: Callable[[str], Awaitable[Any]],
        save: Callable[[str, Any], Awaitable[None]],
    ) -> None:
        self._subjects, self._load, self._save = subjects, load, save
        self._scalers: dict[str, Scaler] = {}
        self._loop: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin; call in the event loop."""
        self._loop = asyncio.create_task(self._run(), name="scaling")

    async def close(self) -> None:
        """End the loop; replicas stay as they are."""
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.gather(self._loop, return_exceptions=True)

    def why(self, name: str) -> list[dict[str, Any]]:
        """The last decisions about an API, newest first."""
        scaler = self._scalers.get(name)
        return [] if scaler is None else scaler.why()

    def scalers(self) -> list[tuple[str, Scaler]]:
        """Every API's, by its name."""
        return list(self._scalers.items())

    async def second(self) -> None:
        """One turn of the loop."""
        found = {subject.name: subject for subject in self._subjects()}
        for name in [name for name in self._scalers if name not in found]:
            del self._scalers[name]
            await self._save(name, None)
        for name, subject in found.items():
            try:
                await self._one(name, subject)
            except Exception:  # one API's trouble is not the others'
                log.exception("scaling '%s' failed", name)

    async def _one(self, name: str, subject: Subject) -> None:
        scaler = self._scalers.get(name)
        if scaler is None:
            scaler = Scaler(subject)
            state = await self._load(name)
            if state is not None and scaler.active:
                scaler.autoscaler.restore(state["state"], time.time() - state["time"])
            self._scalers[name] = scaler
            await scaler.adopt(subject)
        elif subject.pool is not scaler.subject.pool or subject.place is not scaler.subject.place:
            await scaler.adopt(subject)
        if not scaler.active:
            return
        await scaler.second()
        if scaler.changed:
            scaler.changed = False
            await self._save(name, {"time": time.time(), "state": scaler.autoscaler.dump()})

    async def _run(self) -> None:
        while True:
            try:
                await self.second()
            except Exception:  # the store's, say: it may answer in a second
                log.exception("scaling failed; it goes on")
            await asyncio.sleep(SAMPLE_S)
