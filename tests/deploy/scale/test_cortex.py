"""Cortex' policy against tables worked out by hand from its formula, in simulated time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from descent.deploy.scale.cortex import History, decide
from tests.deploy.scale.settings import cortex

LONG_AGO = History(first_tick=-10_000.0)
FRESH = History()


def recommended(current: int, raw: float, **changed: float) -> int:
    decision, _ = decide(
        cortex(**changed), LONG_AGO, target_in_flight=2, current=current, in_flight=2 * raw, now=0
    )
    return decision.recommended


@pytest.mark.parametrize(
    ("current", "raw", "changed", "expected"),
    [
        # ceil
        (5, 5.0, {}, 5),
        (5, 5.3, {}, 6),
        (5, 4.2, {}, 5),
        # within 5 % of 100: 95 < raw < 105, both ends excluded
        (100, 95.5, {"max_replicas": 200}, 100),
        (100, 95.0, {"max_replicas": 200}, 95),
        (100, 104.9, {"max_replicas": 200}, 100),
        (100, 105.0, {"max_replicas": 200}, 105),
        (100, 88.5, {"downscale_tolerance": 0.2}, 100),
        (10, 11.5, {"upscale_tolerance": 0.2}, 10),
        # at least ceil(8·0.75) = 6, at most ceil(8·1.5) = 12
        (8, 1.0, {}, 6),
        (8, 50.0, {}, 12),
        (3, 6.2, {}, 5),
        # one less and one more are always allowed: ceil(2·0.75) = 2 and ceil(1·1.05) = 2
        (2, 0.5, {}, 1),
        (3, 0.0, {}, 2),
        (1, 9.0, {"max_upscale_factor": 1.01}, 2),
        (0, 9.0, {"min_replicas": 0}, 1),
        # bounds
        (1, 0.0, {}, 1),
        (1, 0.0, {"min_replicas": 0}, 0),
        (0, 0.0, {"min_replicas": 0}, 0),
        (3, 9.0, {"max_replicas": 4}, 4),
        (3, 0.0, {"min_replicas": 3}, 3),
        # outside the bounds after an update of the spec: the bound wins over the factor
        (20, 20.0, {"max_replicas": 4}, 4),
        (1, 1.0, {"min_replicas": 7}, 7),
    ],
)
def test_recommendation(current, raw, changed, expected):
    assert recommended(current, raw, **changed) == expected


def run(load, current, history=FRESH, ticks=100, **changed) -> list[tuple[int, int]]:
    """(time, replicas) of each change, one tick each 10 s; `load(t)` in flight at a target of 1."""
    changes = []
    for tick in range(ticks):
        now = 10 * tick
        decision, history = decide(
            cortex(**changed),
            history,
            target_in_flight=1,
            current=current,
            in_flight=load(now),
            now=now,
        )
        if decision.target != current:
            current = decision.target
            changes.append((now, current))
    return changes


def test_spike_from_a_fresh_start():
    # 1: rec 2 from 0 on, free at 60. 2: rec 3 from 70 on; the last 2 (at 60) is out of the period
    # at 130. 3: rec ceil(4.5) = 5 from 140, last 3 at 130. 5: 8 from 210, last 5 at 200.
    # 8: 10 from 280, last 8 at 270.
    assert run(lambda t: 10, 1) == [(60, 2), (130, 3), (200, 5), (270, 8), (340, 10)]


def test_idle_after_work():
    # 4: rec 3 from 0; the 4 of -10 is out of 300 s at 300. 3: rec 2 (one less is always allowed),
    # last 3 at 300, out at 610. 2: rec 1, last 2 at 610, out at 920.
    past = History(first_tick=-5000, recommendations=((-10, 4),))
    assert run(lambda t: 0, 4, past) == [(300, 3), (610, 2), (920, 1)]


def test_first_period_holds_down_and_up():
    # Begun at 0: nothing goes down before 300 though no higher recommendation was ever made.
    assert run(lambda t: 0, 2, ticks=31) == [(300, 1)]
    assert run(lambda t: 5, 1, ticks=6) == []


def test_short_spike_is_sat_out():
    # 30 s of load: three recommendations of 2 among ones; the smallest of 60 s stays 1.
    past = History(first_tick=-5000, recommendations=((-10, 1),))
    assert run(lambda t: 8 if 0 <= t < 30 else 1, 1, past) == []


def test_zero_and_awake():
    past = History(first_tick=-5000, recommendations=((-10, 1),))
    assert run(lambda t: 0, 1, past, min_replicas=0) == [(300, 0)]
    # Woken at 0 by a request that was gone before the first tick: one stays for 300 s.
    woken = History(first_tick=-5000, awakened=0, recommendations=((-10, 0),))
    assert run(lambda t: 0, 1, woken, min_replicas=0) == [(300, 0)]


def test_floor_above_the_present_meets_the_ceiling():
    # 8 was recommended 100 s ago and held back. Now 2 of 3 are needed: the floor of 300 s says 8,
    # which is above 3, so the ceiling of 60 s holds for it: 2 (Cortex' own order of rules).
    past = History(first_tick=-5000, recommendations=((-100, 8),))
    decision, _ = decide(cortex(), past, target_in_flight=1, current=3, in_flight=2, now=0)
    assert (decision.recommended, decision.target) == (2, 2)
    assert "8 was recommended within the last 300 s" in str(decision)
    assert "only 2 was recommended within the last 60 s" in str(decision)


def test_a_rise_after_silence_can_end_the_last_replica():
    # Two minutes of nothing, held by the first 300 s; then 2 are needed, but the smallest of the
    # last 60 s is 0, which the ceiling obeys though it is below 1. (Waking then needs no tick.)
    past = History(first_tick=-120, recommendations=tuple((t, 0) for t in range(-120, 0, 10)))
    decision, _ = decide(
        cortex(min_replicas=0), past, target_in_flight=1, current=1, in_flight=2, now=0
    )
    assert (decision.recommended, decision.target) == (2, 0)


def test_without_measurement_nothing_changes():
    decision, history = decide(
        cortex(), History(), target_in_flight=1, current=3, in_flight=None, now=7
    )
    assert decision.target == 3
    assert history == History(first_tick=7)


def test_says_why():
    decision, _ = decide(cortex(), LONG_AGO, target_in_flight=2, current=3, in_flight=12.4, now=0)
    assert str(decision) == (
        "3 → 5: 12.4 in flight over 60 s at a target of 2 is 6.2; limited to 1.5× a tick"
    )
    decision, _ = decide(cortex(), History(), target_in_flight=2, current=3, in_flight=12.4, now=0)
    assert str(decision).startswith("3 stays: ")
    assert str(decision).endswith("no scaling up in the first 60 s")


def test_forgets_what_no_period_needs():
    history = History()
    for now in range(0, 10_000, 10):
        _, history = decide(cortex(), history, target_in_flight=1, current=1, in_flight=1, now=now)
    assert len(history.recommendations) == 31  # 300 s, both ends


@given(
    loads=st.lists(st.floats(0, 1e6), min_size=1, max_size=60),
    low=st.integers(0, 10),
    extra=st.integers(0, 100),
    first=st.integers(0, 120),
    down=st.floats(0, 0.99),
    up=st.floats(1.01, 10),
)
def test_bounds(loads, low, extra, first, down, up):
    settings = cortex(
        min_replicas=low,
        max_replicas=low + max(1, extra),
        max_downscale_factor=down,
        max_upscale_factor=up,
    )
    current, history = min(max(first, low), settings.max_replicas), History()
    for tick, load in enumerate(loads):
        decision, history = decide(
            settings,
            history,
            target_in_flight=1.5,
            current=current,
            in_flight=load,
            now=10.0 * tick,
        )
        assert low <= decision.target <= settings.max_replicas
        assert decision.current == current
        assert decision.reasons
        if tick < 6:
            assert decision.target <= current, "no scaling up in the first minute"
        if tick < 30 and decision.recommended <= current:
            assert decision.target >= current, "no scaling down in the first five minutes"
        if decision.target > current:
            assert decision.target <= max(current + 1, -(-current * up // 1))
        current = decision.target
