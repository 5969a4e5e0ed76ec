"""What is told when a job has ended: a webhook to its owner, on-job-complete to the service.

The store puts both into its outbox in the transaction that ends the job, so neither is forgotten;
a claim with a fence lets one node at a time deliver, with back-off. A delivery is made until it is
received and noted once: a crash between the two repeats it, under the same id.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from descent.deploy.jobs.answers import job_row
from descent.deploy.jobs.calling import failure
from descent.deploy.jobs.loops import end_loop, repeat
from descent.deploy.jobs.room import Room
from descent.deploy.jobs.store import Event, Job
from descent.deploy.jobs.webhooks import Undelivered, Webhooks, secret_from

__all__ = ["Deliveries"]

LEASE_S = 60.0
LOOK_S = 2.0
AT_ONCE = 16
COMPLETE = ("succeeded", "completed_with_failures")


class Deliveries:
    """Delivers the events of one API. `describe(job)` is what a webhook carries of it."""

    def __init__(self, room: Room, describe: Callable[[Job], Awaitable[dict[str, Any]]]):
        self.room, self.describe = room, describe
        self.webhooks = Webhooks()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to deliver, until `close`."""
        self._task = repeat(self._deliver, f"{self.room.api} deliveries")

    async def close(self) -> None:
        """Leave the rest for the next start: a claim runs out by itself."""
        await end_loop(self._task)
        await self.webhooks.close()

    async def _deliver(self) -> None:
        """One round: what is due, or a while of waiting."""
        room = self.room
        names = ["webhook"]
        if room.calls.ready():
            names.append("on-job-complete")
        events = await room.store.events.claim(
            names, AT_ONCE, worker=room.worker, lease_s=LEASE_S, api=room.api
        )
        await asyncio.gather(*(self._one(event) for event in events))
        if not events:
            await room.store.wait(room.api, LOOK_S)
            await asyncio.sleep(0.05)  # work that waits for a busy pool wakes us too

    async def _one(self, event: Event) -> None:
        room = self.room
        try:
            tell = self._webhook if event.name == "webhook" else self._complete
            await tell(event)
        except Exception as error:
            final = isinstance(error, Undelivered) and error.final
            words = str(error) if isinstance(error, Undelivered) else repr(error)
            state = await room.store.events.fail(event, words, retry=not final)
            room.log(
                f"{event.name} not delivered: {words}",
                level="error" if state == "dead" else "warning",
                job_id=event.job,
                attempt=event.attempt,
                state=state,
            )
        else:
            await room.store.events.done(event)

    async def _webhook(self, event: Event) -> None:
        hook = self.room.spec.webhook
        if hook is None:
            return  # the version that asked for it is gone
        job = await self.room.store.job(event.job)
        data = dict(event.payload) if job is None else await self.describe(job)
        kind = event.payload["kind"].removesuffix("API").lower()
        body = json.dumps(
            {
                "type": f"{kind}.{event.payload['status']}",
                "timestamp": event.payload["ended"],
                "data": {"api_name": event.api, **data},
            },
            ensure_ascii=False,
        ).encode("utf-8", "backslashreplace")
        try:
            secret = secret_from(hook.secret_env)
        except ValueError as error:
            raise Undelivered(str(error)) from None
        await self.webhooks.deliver(hook.url, event.id, body, secret=secret)

    async def _complete(self, event: Event) -> None:
        """POST /on-job-complete to the service; one that has no such path has nothing to do."""
        room = self.room
        job = await room.store.job(event.job)
        if job is None or event.payload["status"] not in COMPLETE:
            return  # Cortex does not call it for jobs that were stopped or timed out
        body = json.dumps({**job_row(job), "config": job.config.get("config", {})}).encode()
        headers = [("content-type", "application/json"), ("x-cortex-job-id", event.job)]
        answer = await room.calls.call(
            "/on-job-complete",
            body,
            headers,
            job=event.job,
            unit=f"{event.job}/on-job-complete/{event.payload['round']}",
            attempt=event.attempt,
        )
        if not (200 <= answer.status < 300 or answer.status in (404, 405)):
            raise Undelivered(failure(answer).error)
