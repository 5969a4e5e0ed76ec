"""Samples, waking, decisions kept, and a restart that freezes nothing."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from descent.deploy.pool import Replica
from descent.deploy.scale import Autoscaler
from descent.deploy.scale.samples import Samples
from descent.deploy.scale.shrinking import to_end
from tests.deploy.scale.settings import spec


class Clock:
    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def test_average_is_cortex():
    samples = Samples(60)
    for second in range(10):
        samples.add(second, 3.0, "a")
    for second in (8, 9):  # a source that has just begun
        samples.add(second, 5.0, "b")
    assert samples.average(9) == (10 * 3 + 2 * 5) / 10
    assert samples.average(67.5) == (2 * 3 + 2 * 5) / 2  # younger than 60 s: seconds 8 and 9
    assert samples.average(69) is None


@pytest.mark.parametrize(("how", "expected"), [("mean", 2 + 7), ("max", 3 + 7), ("min", 1 + 7)])
def test_reduced_is_rays(how, expected):
    samples = Samples(30)
    for second, value in enumerate([1.0, 2.0, 3.0]):
        samples.add(second, value, "a")
    samples.add(2, 7.0, "b")
    assert samples.reduced(2, how) == expected


def feed(scaler: Autoscaler, clock: Clock, load, seconds: int) -> list[tuple[float, int]]:
    changes = []
    for _ in range(seconds):
        scaler.observe(load(clock.now))
        if clock.now % scaler.tick_s == 0:
            before = scaler.replicas
            if scaler.tick().target != before:
                changes.append((clock.now, scaler.replicas))
        clock.now += 1
    return changes


def test_second_by_second():
    clock = Clock()
    scaler = Autoscaler(spec(max_concurrency=4), clock)
    assert scaler.target_in_flight == 4
    # 40 in flight at 4 each are 10: as in the table of the policy.
    assert feed(scaler, clock, lambda t: 40, 400) == [
        (60, 2), (130, 3), (200, 5), (270, 8), (340, 10),
    ]  # fmt: skip


def test_ray_by_the_second():
    clock = Clock()
    scaler = Autoscaler(spec("ray", ray={"upscale_delay_s": 5}), clock)
    assert feed(scaler, clock, lambda t: 10, 20) == [(5, 5)]


def test_wakes_once():
    clock = Clock(1000)
    scaler = Autoscaler(spec(min_replicas=0), clock)
    assert scaler.replicas == 0
    assert scaler.awaken().target == 1
    assert scaler.awaken().reasons == ("already awake",)
    assert str(scaler.decisions[-1][1]) == "0 → 1: a request came while at zero"
    assert feed(scaler, clock, lambda t: 0, 500) == [(1300, 0)]


def test_starts_with_init_replicas():
    assert Autoscaler(spec(init_replicas=3), Clock()).replicas == 3


def test_keeps_changes_and_the_last_tick():
    clock = Clock()
    scaler = Autoscaler(spec(), clock)
    feed(scaler, clock, lambda t: 10, 200)
    why = scaler.why()
    assert [(w["current"], w["target"]) for w in why] == [(3, 3), (2, 3), (1, 2)]
    assert why[1]["age_s"] == 70
    assert why[1]["text"].startswith("2 → 3: 10 in flight over 60 s at a target of 1 is 10")


@given(
    loads=st.lists(st.integers(0, 30), min_size=40, max_size=120),
    cut=st.integers(1, 39),
    away=st.integers(0, 3),
    policy=st.sampled_from(["cortex", "ray"]),
)
def test_restart_changes_nothing(loads, cut, away, policy):
    """A node that was down for `away` ticks goes on as one that was up and saw nothing."""
    short = spec(
        policy,
        downscale_stabilization_period=60,
        upscale_stabilization_period=20,
        window=30,
        ray={"upscale_delay_s": 20, "downscale_delay_s": 40, "look_back_period_s": 30},
    )
    clock, other = Clock(0.0), Clock(1e6)
    whole = Autoscaler(short, clock)
    parts, saved = Autoscaler(short, other), {}
    for tick, load in enumerate(loads):
        clock.now += 10
        other.now += 10
        if cut <= tick < cut + away:
            continue
        if tick == cut + away:
            state = json.loads(json.dumps(saved))
            other.now = 5.0  # another process, another clock
            parts = Autoscaler(short, other)
            parts.restore(state, elapsed_s=10 * (away + 1))
        for scaler in (whole, parts):
            scaler.observe(load)
        assert whole.tick() == parts.tick()
        saved = parts.dump()


def test_wall_clock_set_back():
    clock = Clock(100)
    scaler = Autoscaler(spec(), clock)
    scaler.observe(4)
    scaler.tick()
    state = scaler.dump()
    again = Autoscaler(spec(), clock)
    again.restore(state, elapsed_s=-3600)
    assert again.dump() == state


def test_starting_replicas_go_first():
    replicas = [
        Replica("busy", "Ready", started=1, in_flight=3),
        Replica("idle", "Ready", started=2),
        Replica("idle, newer", "Ready", started=3),
        Replica("old", "ReadyOutOfDate", started=0, in_flight=9),
        Replica("starting", "NotReady", started=4),
        Replica("just asked for", "Requested", started=5),
        Replica("dead", "Killed", started=0),
    ]
    order = ["dead", "just asked for", "starting", "old", "idle, newer", "idle", "busy"]
    for keep in range(9):
        assert [r.id for r in to_end(replicas, keep)] == order[: max(0, 7 - keep)]
