"""When a target loses its share: tables of expected decisions."""

import pytest

from descent.deploy.gateway.metrics import ApiMetrics
from descent.deploy.spec import Guard, Split
from descent.deploy.traffic import Watch, judge
from descent.deploy.traffic.guarding import Seen, fallback_of

BOTH = Guard(max_error_rate=0.05, max_p99_ms=200, min_requests=20)


@pytest.mark.parametrize(
    ("requests", "errors", "p99_ms", "why"),
    [
        (0, 0, 0, None),
        (19, 19, 900, None),  # too few to tell
        (20, 1, 100, None),  # 5 % is allowed
        (20, 2, 100, "2 of 20 requests failed in 60 s: 10.0% is above max_error_rate 5.0%"),
        (1000, 50, 200, None),
        (1000, 51, 200, "51 of 1000 requests failed"),
        (1000, 0, 201, "p99 of 1000 requests in 60 s was 201 ms: above max_p99_ms 200"),
        (1000, 60, 900, "requests failed"),  # errors are said first
    ],
)
def test_decisions(requests, errors, p99_ms, why):
    said = judge(BOTH, Seen(requests, errors, p99_ms / 1e3))
    assert (said is None) == (why is None)
    assert why is None or why in said


def test_only_what_is_guarded_counts():
    assert judge(Guard(max_p99_ms=200), Seen(100, 100, 0.1)) is None
    assert judge(Guard(max_error_rate=0.5), Seen(100, 0, 99.0)) is None


def splits(**shares):
    return [Split(name=name, weight=weight) for name, weight in shares.items()]


@pytest.mark.parametrize(
    ("named", "now", "before", "expected"),
    [
        ("b", {"a": 90, "b": 10}, None, "b"),
        (None, {"a": 90, "b": 10}, None, "a"),
        (None, {"a": 10, "b": 90}, {"a": 100, "b": 0}, "a"),  # the last good one
        (None, {"b": 90, "c": 10}, {"a": 100}, "b"),  # which is gone
    ],
)
def test_who_gets_the_traffic_back(named, now, before, expected):
    guard = Guard(max_error_rate=0.1, fallback=named)
    assert (
        fallback_of(guard, splits(**now), None if before is None else splits(**before)) == expected
    )


def test_a_watch_sees_the_window_and_nothing_else():
    metrics = ApiMetrics("a", "RealtimeAPI")
    metrics.record(500, 9.0, 0)  # before anybody looked
    watch = Watch(metrics, window_s=10)
    assert watch.look(0).requests == 0
    for second in range(1, 30):
        metrics.record(200, 0.01, 0)
        metrics.record(503 if second > 20 else 404, 0.01, 0)
        seen = watch.look(float(second))
        assert seen.requests == 2 * min(second, 10)
    assert seen.errors == 9
    assert 0.008 < seen.p99_s < 0.012
