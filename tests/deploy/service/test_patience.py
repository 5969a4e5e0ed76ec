"""When a batch waits for one more: by hand, in a clock of the test's own."""

from __future__ import annotations

import pytest

from descent.deploy.service.costs import Line
from descent.deploy.service.patience import Patience


def cost_of(fixed_s: float, each_s: float = 0.0) -> Line:
    line = Line()
    for n in (1, 2, 4, 8):
        line.note(n, fixed_s + n * each_s)
    return line


def test_before_any_batch_it_waits_as_long_as_it_may():
    patience = Patience(0.01)
    patience.arrival(5.0)
    assert patience.wait_s(1, 0.01, Line(), 5.0) == 0.01


def test_one_who_comes_seldom_is_never_held_up():
    patience = Patience(0.01)
    for t in range(10):
        patience.arrival(float(t))
        assert patience.wait_s(1, 0.01, cost_of(0.02), float(t)) == 0.0
        patience.answered(t + 0.02)


def test_one_who_comes_when_answered_is_soon_not_held_up():
    patience, now, waited = Patience(0.01), 0.0, []
    for _ in range(60):
        patience.arrival(now)
        wait_s = patience.wait_s(1, 0.01, cost_of(0.002), now)
        if wait_s:
            waited.append(wait_s)
            now += wait_s
            assert patience.wait_s(1, 0.01 - wait_s, cost_of(0.002), now) == 0.0
        now += 0.002
        patience.answered(now)
        now += 0.0005
    assert sum(waited) < 0.01


def test_a_burst_is_gathered_and_its_end_noticed():
    patience, now = Patience(0.01), 0.0
    for _ in range(8):  # 0.1 ms apart; a batch costs 5 ms to begin with
        patience.arrival(now)
        now += 0.0001
    wait_s = patience.wait_s(8, 0.01, cost_of(0.005), now)
    assert wait_s == pytest.approx(3 * 0.0001 - 0.0001)
    assert patience.wait_s(8, 0.01, cost_of(0.005), now + wait_s) == 0.0  # nobody came


def test_many_who_would_wait_for_one_more_do_not():
    patience = Patience(0.01)
    for i in range(20):
        patience.arrival(i * 0.001)
    assert patience.wait_s(4, 0.01, cost_of(0.005), 0.019) > 0  # 4 · 1 ms < 5 ms
    assert patience.wait_s(6, 0.01, cost_of(0.005), 0.019) == 0.0  # 6 · 1 ms > 5 ms


def test_without_a_fixed_cost_nothing_is_shared():
    patience = Patience(0.01)
    for i in range(20):
        patience.arrival(i * 0.001)
    assert patience.wait_s(1, 0.01, cost_of(0.0, each_s=0.005), 0.019) == 0.0


def test_after_an_answer_those_it_went_to_are_waited_for():
    patience, now = Patience(0.01), 0.0
    for _ in range(9):  # four clients: answered together, back 1 ms later, 0.1 ms apart
        for i in range(4):
            patience.arrival(now + i * 0.0001)
        now += 0.01
        patience.answered(now)
        now += 0.001
    patience.answered(now)
    assert patience.wait_s(2, 0.01, cost_of(0.01), now) == pytest.approx(0.003)
    assert patience.wait_s(8, 0.01, cost_of(0.01), now) == 0.0  # 8 · 3 ms > 2.4 · 10 ms


def test_luck_turns():
    patience, now = Patience(0.01), 0.0
    for _ in range(50):
        patience.arrival(now)
        patience.arrival(now + 0.001)
        patience.wait_s(2, 0.01, cost_of(0.02), now + 0.001)
        now += 0.05  # nobody else
        patience.answered(now)
    assert patience.luck < 0.05
    for _ in range(50):
        patience.arrival(now)
        patience.wait_s(1, 0.01, cost_of(0.02), now)
        patience.arrival(now + 0.001)
        now += 0.05
    assert patience.luck > 0.9
