"""One API's autoscaler: samples in, decisions out, by Cortex' policy or Ray Serve's.

    observe(in flight) each second ─► tick() every `tick_s` ─► Decision(current, target, reasons)

Knows no clock but the one it is given and touches no pool, so a day passes in a test in
milliseconds. `dump` is what a restart keeps: ages, not times, so neither a restart nor a changed
wall clock freezes scaling (Cortex' state is in memory: every restart freezes it for 1 to 5 min).
Reference: shared/field/shipping.md §2 and §5.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from descent.deploy.scale import cortex, ray_serve
from descent.deploy.scale.decision import Decision
from descent.deploy.scale.samples import Samples
from descent.deploy.spec import Spec
from descent.deploy.spec.sections import TICK_S

__all__ = ["Autoscaler"]

REMEMBERED = 100  # decisions that changed something or were the last, for `describe`


class Autoscaler:
    """Decides how many replicas `spec`'s API should have.

    `clock`: seconds that only move forward (`time.monotonic`; a test's own). `replicas` is what was
    asked for last; whoever scales by other means (a deploy, an operator) sets it.
    """

    def __init__(self, spec: Spec, clock: Callable[[], float]) -> None:
        self.spec = spec
        self._clock = clock
        bounds = spec.autoscaling
        first = bounds.init_replicas
        self.replicas = bounds.min_replicas if first is None else first
        ray = spec.policy == "ray"
        self.tick_s = 1.0 if ray else TICK_S
        self.samples = Samples(spec.ray_autoscaling.look_back_period_s if ray else bounds.window)
        self.history = cortex.History()
        self.leaning = ray_serve.Leaning()
        self.decisions: deque[tuple[float, Decision]] = deque(maxlen=REMEMBERED)

    @property
    def target_in_flight(self) -> float:
        """Cortex' default: as many as a replica works on at once."""
        target = self.spec.autoscaling.target_in_flight
        return float(self.spec.pod.max_concurrency if target is None else target)

    def observe(self, in_flight: float, source: str = "") -> None:
        """Note how many requests are queued, running or held now (jobs: visible and leased)."""
        self.samples.add(self._clock(), in_flight, source)

    def tick(self, running: int | None = None, room: int | None = None) -> Decision:
        """Decide; `running`: replicas that answer now, as many as asked for when not given;
        `room`: how many there can be where they run."""
        now = self._clock()
        if self.spec.policy == "ray":
            settings = self.spec.ray_autoscaling
            decision, self.leaning = ray_serve.decide(
                settings,
                self.leaning,
                running=self.replicas if running is None else running,
                target=self.replicas,
                requests=self.samples.reduced(now, settings.aggregation_function),
                bounds=(self.spec.autoscaling.min_replicas, self.spec.autoscaling.max_replicas),
                now=now,
            )
        else:
            decision, self.history = cortex.decide(
                self.spec.autoscaling,
                self.history,
                target_in_flight=self.target_in_flight,
                current=self.replicas,
                in_flight=self.samples.average(now),
                now=now,
            )
        if room is not None and decision.target > max(room, decision.current):
            reason = f"there is room for {room} here"
            target = max(room, decision.current)
            decision = replace(decision, target=target, reasons=(*decision.reasons, reason))
        return self.note(decision)

    def awaken(self) -> Decision:
        """A request came to an API at zero: one replica at once, outside the ticks."""
        now = self._clock()
        if self.replicas > 0:
            current = self.replicas
            return Decision(current, current, current, ("already awake",))
        self.history = cortex.History(self.history.first_tick, now, self.history.recommendations)
        return self.note(Decision(0, 1, 1, ("a request came while at zero",)))

    def why(self) -> list[dict[str, Any]]:
        """The decisions kept, newest first, with their age in seconds."""
        now = self._clock()
        return [{"age_s": round(now - t, 1), **d.as_json()} for t, d in reversed(self.decisions)]

    def dump(self) -> dict[str, Any]:
        """The state as JSON; all times are ages in seconds."""
        now = self._clock()
        begun, awakened = self.history.first_tick, self.history.awakened
        return {
            "replicas": self.replicas,
            "samples": self.samples.aged(now),
            "first_tick_age": None if begun is None else now - begun,
            "awakened_age": None if awakened is None else now - awakened,
            "recommendations": [(now - t, rec) for t, rec in self.history.recommendations],
            "way": self.leaning.way,
            "way_age": None if self.leaning.since is None else now - self.leaning.since,
        }

    def restore(self, state: dict[str, Any], elapsed_s: float = 0.0) -> None:
        """Go on from `dump`'s state, taken `elapsed_s` ago (below 0, the wall clock having been set
        back, counts as 0). Replicas outside the spec's bounds are left to the next tick."""
        now = self._clock() - max(0.0, elapsed_s)
        begun, awakened, since = (
            None if state[key] is None else now - state[key]
            for key in ("first_tick_age", "awakened_age", "way_age")
        )
        recommendations = tuple((now - age, int(rec)) for age, rec in state["recommendations"])
        self.replicas = int(state["replicas"])
        self.history = cortex.History(begun, awakened, recommendations)
        self.leaning = ray_serve.Leaning(int(state["way"]), since)
        self.samples.take_aged(now, state["samples"])

    def note(self, decision: Decision) -> Decision:
        """Take a decision, this one's or somebody else's, as made; returns it."""
        if self.decisions:  # of the ticks that changed nothing only the last is kept
            last = self.decisions[-1][1]
            if last.target == last.current and decision.current == last.current:
                self.decisions.pop()
        self.decisions.append((self._clock(), decision))
        self.replicas = decision.target
        return decision
