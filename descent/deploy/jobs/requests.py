"""Working on the requests of an AsyncAPI: to the service, and what it answered into the store.

The service gets body, path, query and headers as they came, and X-Cortex-Request-ID; whatever it
answers with 2xx is the result, type and status kept.
"""

from __future__ import annotations

from descent.deploy.jobs.calling import failure
from descent.deploy.jobs.progress import reporter
from descent.deploy.jobs.room import Room
from descent.deploy.jobs.store import Lease
from descent.deploy.jobs.telling import ProgressTeller
from descent.deploy.jobs.working import Done, Failed

__all__ = ["Requests"]


class Requests:
    """What `Workers` are given for an AsyncAPI."""

    def __init__(self, room: Room):
        self.room = room

    async def work(self, lease: Lease) -> Done | Failed:
        """Give one request to the service."""
        meta = lease.payload.meta
        try:
            body = await self.room.contents.read(lease.payload)
        except FileNotFoundError:
            return Failed("the request's file has been removed", retry=False)
        headers = [(name, value) for name, value in meta.get("headers", [])]
        headers.append(("x-cortex-request-id", lease.job))
        with ProgressTeller(self.room.store, lease) as teller:
            token = reporter.set(teller.tell)
            try:
                answer = await self.room.calls.call(
                    meta.get("path", ""),
                    body,
                    headers,
                    job=lease.job,
                    unit=lease.job,
                    attempt=lease.attempt,
                    query=meta.get("query", ""),
                )
            except TimeoutError:
                self.room.counts.by_status["504"] += 1
                limit = self.room.spec.timeout_s
                return Failed(f"took longer than timeout_s ({limit} s)", code="timed_out")
            finally:
                reporter.reset(token)
        self.room.counts.by_status[str(answer.status)] += 1
        if not 200 <= answer.status < 300:
            return failure(answer)
        kind = answer.headers.get("content-type", "")
        result = {"type": kind, "status": answer.status, "bytes": len(answer.body)}
        name = f"result.{lease.fence}"
        return Done(lambda: self.room.contents.keep(lease.job, name, answer.body, result))

    def told(self, lease: Lease, outcome: Done | Failed, seconds: float, state: str) -> None:
        room = self.room
        room.counts.ended(seconds, state)
        if isinstance(outcome, Failed):
            room.log(
                outcome.error, level="error", job_id=lease.job, attempt=lease.attempt, state=state
            )
        if state in ("done", "dead", "failed"):
            room.tell_ended(lease.job)
