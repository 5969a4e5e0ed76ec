"""What the scaling loop looks at: every live API whose spec says how many replicas it may have."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

from descent.deploy.control.apis import Api
from descent.deploy.control.fronts import JobFront, RealtimeFront
from descent.deploy.control.starting import Live, backend_of, limits_of
from descent.deploy.gateway.metrics import Metrics
from descent.deploy.pool import Pool
from descent.deploy.pools.residing import ResidentPool
from descent.deploy.scale.scaling import Subject
from descent.deploy.spec.containers import Compute

__all__ = ["Scaled"]


class Scaled:
    """Called once a second: the APIs as they are now."""

    def __init__(self, apis: Mapping[str, Api], metrics: Metrics, default: str) -> None:
        self._apis, self._metrics, self._default = apis, metrics, default

    def __call__(self) -> Iterator[Subject]:
        for name, api in list(self._apis.items()):
            live = api.live
            if live is None or live.pool is None or "autoscaling" not in live.spec.takes:
                continue
            if isinstance(live.pool, ResidentPool):
                continue  # loaded by whoever asks it, unloaded by least use (resident.py)
            if isinstance(api.front, RealtimeFront):
                yield self._realtime(name, live, live.pool)
            elif isinstance(api.front, JobFront):
                yield self._jobs(name, live, live.pool, api.front)

    def _realtime(self, name: str, live: Live, pool: Pool) -> Subject:
        served, counters = live.served, self._metrics.api(name)

        def ended() -> tuple[int, float]:
            return sum(counters.counts), counters.total_s

        return Subject(
            name, live.spec, pool,
            load=lambda: served.in_flight + served.queued,
            place=served,
            ended=ended,
            limit=lambda replicas: served.set_limits(
                limits_of(live.spec, replicas, served.signature)
            ),
            several=self._several(live),
            room=self._room(live),
            log=live.log,
        )  # fmt: skip

    def _jobs(self, name: str, live: Live, pool: Pool, front: JobFront) -> Subject:
        counts = front.jobs.counts
        return Subject(
            name, live.spec, pool,
            load=lambda: counts.queued + counts.active,
            several=self._several(live),
            room=self._room(live),
            log=live.log,
        )  # fmt: skip

    def _several(self, live: Live) -> bool:
        return backend_of(live.spec, self._default) != "local"

    def _room(self, live: Live) -> int | None:
        """Processes of this machine share its processors: as many as ask for no more than there
        are (`compute.cpu`, 0.2 unless set), and what its owner has set as the minimum."""
        spec = live.spec
        if backend_of(spec, self._default) != "command":
            return None
        compute = [one.compute for one in spec.pod.containers] or [Compute()]
        asked = sum(one.cpu or 0.0 for one in compute)
        most = int((os.cpu_count() or 1) / asked + 1e-9) if asked else spec.autoscaling.max_replicas
        return max(1, spec.autoscaling.min_replicas, most)
