"""One container kept running: started, probed, restarted after it dies, later each time.

It waits 0.5 s, 1 s, 2 s … at most 60 s before a restart (Kubernetes: 10 s … 300 s), and from the
beginning again once it has run for a minute. Departure: a liveness probe counts from its first good
answer, so a process that takes long to start is not restarted for that.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from descent.deploy.pools.child_counts import Tally
from descent.deploy.pools.command_process import Process, how_it_ended
from descent.deploy.pools.command_recipe import RECORD, Recipe
from descent.deploy.pools.probes import run_hook, watch
from descent.deploy.spec.containers import Probe

__all__ = ["ContainerRun"]

FIRST_WAIT_S = 0.5
MOST_WAIT_S = 60.0
GOOD_RUN_S = 60.0
LIVENESS_GRACE_S = 30.0

Log = Callable[..., None]


class ContainerRun:
    """A recipe being followed. `changed` is called when `running`, `ready` or `reason` change."""

    def __init__(
        self, recipe: Recipe, log: Log, changed: Callable[[], None], tally: Tally | None = None
    ) -> None:
        self.recipe = recipe
        self.tally = tally
        self.families = ""  # what our own child has told of its metrics
        self.ready = False
        self.reason = ""
        self.lapsed = False  # was ready and, by its probe, is no more
        self.state = "Creating"
        self.restarts = 0
        self.deaths = 0  # in a row, without having been ready
        self.started = 0.0
        self.back_at: float | None = None
        self.process: Process | None = None
        self.last: deque[str] = deque(maxlen=12)
        self._log, self._changed = log, changed
        self._closing = False
        self._why = ""
        self._task = asyncio.ensure_future(self._keep())

    def last_lines(self) -> str:
        """The end of its output, for a message."""
        return "\n".join(f"    {line}" for line in self.last if line.strip())

    async def stop(self, grace_s: float) -> None:
        """Do its pre_stop, end it, and start it no more. The grace is for both together; who has
        less patience may call again."""
        first, self._closing = not self._closing, True
        self._say("Terminating", False, "")
        loop = asyncio.get_running_loop()
        until = loop.time() + grace_s
        process = self.process
        if process is not None and process.running:
            if first and self.recipe.pre_stop is not None and grace_s > 0:
                said = await run_hook(self.recipe.pre_stop, self.recipe.place, grace_s)
                if said:
                    self._log(f"pre_stop: {said}", container=self.recipe.name, level="warning")
            await process.stop(max(0.0, until - loop.time()))
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        if process is not None:
            await process.wait()
        await self._remove()

    async def _keep(self) -> None:
        wait = FIRST_WAIT_S
        while not self._closing:
            begun = time.monotonic()
            reason = await self._run_once()
            if self._closing:
                return
            self._log(f"{self.recipe.name}: {reason}", container=self.recipe.name, level="error")
            if time.monotonic() - begun >= GOOD_RUN_S:
                wait = FIRST_WAIT_S
            self.back_at = time.monotonic() + wait
            self._changed()
            await asyncio.sleep(wait)
            self.back_at = None
            wait = min(2 * wait, MOST_WAIT_S)
            self.restarts += 1

    async def _run_once(self) -> str:
        """Start it and wait for its end; why it has ended."""
        recipe = self.recipe
        if self.tally is not None:
            self.tally.restart()
        await self._remove()
        try:
            self.process = await Process.start(
                recipe.argv, self._line, env=recipe.env, folder=recipe.folder, given=recipe.given
            )
        except (OSError, ValueError) as error:  # ValueError: a NUL in a word or variable
            self.deaths += 1
            why = getattr(error, "strerror", None) or error
            said = f"{recipe.argv[0]!r} cannot be started: {why}"
            return self._say("Failed", False, said)
        self.started, self._why, self.lapsed = time.time(), "", False
        self._say("Creating", recipe.readiness is None, "starting")
        watching = [asyncio.ensure_future(self._watch_readiness(recipe.readiness))]
        watching += [asyncio.ensure_future(self._watch_liveness(recipe.liveness))]
        try:
            await self.process.ended()
        finally:
            for task in watching:
                task.cancel()
            await asyncio.gather(*watching, return_exceptions=True)
        self._say("Failed", False, "it has ended")  # at once: no request may go there
        return self._ended(await self.process.wait())

    def _ended(self, code: int) -> str:
        assert self.process is not None
        self.deaths += 1
        out_of_memory = self.process.out_of_memory
        said = how_it_ended(code, out_of_memory)
        if self._why:
            return self._say("NotReady", False, self._why)
        state = "KilledOOM" if out_of_memory else "Killed" if code < 0 else "Failed"
        if self.recipe.image and code == 125:
            pulling = any("pull" in line.lower() or "manifest" in line for line in self.last)
            state = "ErrImagePull" if pulling else "Failed"
        return self._say(state, False, said)

    async def _watch_readiness(self, probe: Probe | None) -> None:
        if probe is None:
            return
        async for good, said in watch(probe, self.recipe.place):
            if good:
                self.deaths = 0
            self.lapsed = not good and (self.lapsed or self.ready)
            reason = "" if good else f"readiness probe: {said}"
            self._say("Ready" if good else "NotReady", good, reason)

    async def _watch_liveness(self, probe: Probe | None) -> None:
        if probe is None:
            return
        lived = False
        async for good, said in watch(probe, self.recipe.place):
            lived |= good
            if good or not lived or self.process is None:
                continue
            self._why = f"restarted: liveness probe: {said}"
            self._say("NotReady", False, self._why)
            await asyncio.shield(self.process.stop(LIVENESS_GRACE_S))
            return

    def _line(self, line: str) -> None:
        fields: dict[str, Any] = {"line": line}
        if line.startswith(RECORD) and self.recipe.given is not None:
            with contextlib.suppress(ValueError):
                fields = json.loads(line[1:])
        if "line" not in fields:
            self._count(fields)
            return
        said = str(fields.pop("line"))
        self.last.append(said)
        self._log(said, container=self.recipe.name, **fields)

    def _count(self, record: dict[str, Any]) -> None:
        if self.tally is not None:
            self.tally.take(record.get("counts", {}))
        self.families = str(record.get("families", ""))

    def _say(self, state: str, ready: bool, reason: str) -> str:
        if self._closing:
            state, ready = "Terminating", False
        self.state, self.ready, self.reason = state, ready, reason
        self._changed()
        return reason

    async def _remove(self) -> None:
        """Make sure that nothing of an earlier run is left where a daemon keeps it."""
        if not self.recipe.remove:
            return
        with contextlib.suppress(OSError):
            process = await asyncio.create_subprocess_exec(
                *self.recipe.remove,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
                env=dict(self.recipe.env),
            )
            await process.wait()
