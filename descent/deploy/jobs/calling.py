"""The pool that work is given to: how a unit reaches the service and what its answer means.

    2xx → done      408, 425, 429, 5xx, an exception → tried again      other → refused for good
The service hears which unit it is and the how-manieth try: X-Cortex-Request-ID or X-Cortex-Job-ID,
X-Descent-Unit ("job/index", the same in every try: the key to make work idempotent with) and
X-Descent-Attempt. Work begun on a pool ends there, also after an update.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterable

from descent.deploy import tracing
from descent.deploy.asking import Answer, ask
from descent.deploy.jobs.working import Failed
from descent.deploy.pool import Context, Pool
from descent.deploy.spec import Spec

__all__ = ["Calls", "failure"]

AGAIN = {408, 425, 429}
SAID_CHARACTERS = 2000


class Calls:
    """Whom to call; `use` switches. `active` counts the calls in each pool (by identity)."""

    def __init__(self) -> None:
        self.pool: Pool | None = None
        self.spec: Spec | None = None
        self.version = 0
        self.active: Counter[int] = Counter()
        self._left = asyncio.Event()

    def use(self, pool: Pool | None, spec: Spec, version: int) -> None:
        """What begins from now on goes to `pool`."""
        self.pool, self.spec, self.version = pool, spec, version

    def ready(self) -> int:
        """Replicas that can take work now."""
        if self.pool is None:
            return 0
        states = [replica.state for replica in self.pool.replicas()]
        return sum(state in ("Ready", "ReadyOutOfDate") for state in states)

    def concurrency(self) -> int:
        """How much each replica takes at once."""
        return 0 if self.spec is None else self.spec.pod.max_concurrency

    async def drained(self, pool: Pool, timeout_s: float | None = None) -> bool:
        """Wait until no call is in `pool`; False if that took longer."""
        try:
            async with asyncio.timeout(timeout_s):
                while self.active[id(pool)]:
                    self._left.clear()
                    await self._left.wait()
        except TimeoutError:
            return False
        return True

    async def call(
        self,
        path: str,
        body: bytes,
        headers: Iterable[tuple[str, str]],
        *,
        job: str,
        unit: str,
        attempt: int,
        query: str = "",
    ) -> Answer:
        """Give one unit to the pool. Raises `TimeoutError` (`timeout_s` of the spec) and whatever
        the pool raises. Cancelling stops the work."""
        pool, spec = self.pool, self.spec
        if pool is None or spec is None:
            raise RuntimeError("there is no version that could take work")
        now = asyncio.get_running_loop().time()
        deadline = None if spec.timeout_s is None else now + spec.timeout_s
        said = [*headers, ("x-descent-unit", unit), ("x-descent-attempt", str(attempt))]
        trace, said = tracing.handed_on(said)
        context = Context(
            unit.replace("/", "-"),
            api=spec.name,
            version=self.version,
            deadline=deadline,
            job=job,
            trace=trace,
        )
        self.active[id(pool)] += 1
        try:
            async with asyncio.timeout_at(deadline):
                return await ask(
                    pool.app,
                    path,
                    body,
                    context=context,
                    headers=said,
                    root_path=spec.networking.endpoint or f"/{spec.name}",
                    query=query,
                )
        finally:
            self.active[id(pool)] -= 1
            if not self.active[id(pool)]:
                del self.active[id(pool)]
            self._left.set()


def failure(answer: Answer) -> Failed:
    """What an answer that is not 2xx means for the unit."""
    after = answer.headers.get("retry-after", "")
    return Failed(
        f"answered {answer.status}: {_said(answer)}".rstrip(": "),
        retry=answer.status >= 500 or answer.status in AGAIN,
        retry_after_s=float(after) if after.isascii() and after.isdigit() else None,
    )


def _said(answer: Answer) -> str:
    """The message of an error body, ours or anybody's."""
    text = answer.body[: 4 * SAID_CHARACTERS].decode("utf-8", "replace")
    try:
        value = json.loads(text)
        error = value.get("error", value.get("detail", value))
        text = error.get("message", text) if isinstance(error, dict) else str(error)
    except (ValueError, AttributeError):
        pass
    return text.strip()[:SAID_CHARACTERS]
