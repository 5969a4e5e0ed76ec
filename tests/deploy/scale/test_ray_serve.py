"""Ray Serve's policy against tables worked out by hand, and against Ray's own function."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from descent.deploy.scale.ray_serve import Leaning, decide
from tests.deploy.scale.settings import ray

ONE_UP = (1, 100)


def run(load, running, ticks, step=1.0, **changed) -> list[tuple[float, int]]:
    """(time, replicas) of each change; replicas run as soon as they are asked for."""
    leaning, changes = Leaning(), []
    bounds = changed.pop("bounds", (1, 100))
    for tick in range(ticks):
        now = tick * step
        decision, leaning = decide(
            ray(**changed),
            leaning,
            running=running,
            target=running,
            requests=load(now),
            now=now,
            bounds=bounds,
        )
        if decision.target != running:
            running = decision.target
            changes.append((now, running))
    return changes


def test_up_after_thirty_seconds():
    assert run(lambda t: 10, 1, 100) == [(30, 5)]  # 10 requests at 2 each


def test_down_after_ten_minutes():
    assert run(lambda t: 4, 5, 1300) == [(600, 2)]


def test_up_is_forgotten_when_it_pauses():
    # Every 20 s one second of content: the 30 s never fill.
    assert run(lambda t: 2 if t % 20 == 0 else 10, 1, 200) == []


def test_to_zero_only_from_one():
    # To 1 at 600 though nothing is to do, then to 0 after another 600 (or after its own delay).
    assert run(lambda t: 0, 3, 1300, bounds=(0, 100)) == [(600, 1), (1201, 0)]
    assert run(lambda t: 0, 3, 1300, bounds=(0, 100), downscale_to_zero_delay_s=5) == [
        (600, 1),
        (606, 0),
    ]


def test_cold_start_waits_for_nothing():
    assert run(lambda t: 1 if t == 7 else 2, 0, 10, bounds=(0, 100)) == [(0, 1)]
    assert run(lambda t: 9 if t >= 7 else 0, 0, 10, bounds=(0, 100), upscaling_factor=3.0) == [
        (7, 3)
    ]


def test_factors():
    # 2 + 0.5·(8 − 2) = 5; then 5 + 0.5·3 = 6.5 → 7; 7 + 0.5 → 8
    assert run(lambda t: 16, 2, 100, upscaling_factor=0.5) == [(30, 5), (61, 7), (92, 8)]
    # 3 + 0.1·(2 − 3) = 2.9 → 3 sticks, so 2
    assert run(lambda t: 4, 3, 20, downscaling_factor=0.1, downscale_delay_s=5) == [(5, 2)]


def test_bounds():
    assert run(lambda t: 100, 1, 40, bounds=(1, 4)) == [(30, 4)]
    assert run(lambda t: 0, 4, 700, bounds=(3, 9)) == [(600, 3)]


def test_starting_replicas_are_asked_for_once():
    # Target 5 with 1 running: 10 requests still need 5, which is the target: nothing changes.
    decision, _ = decide(ray(), Leaning(), running=1, target=5, requests=10, now=0, bounds=ONE_UP)
    assert decision.target == 5


def test_says_why():
    decision, leaning = decide(
        ray(), Leaning(), running=1, target=1, requests=10, now=0, bounds=ONE_UP
    )
    assert str(decision) == (
        "1 stays: 10 requests over 30 s at a target of 2 is 5; more wanted for 0 s of 30 s"
    )
    decision, _ = decide(ray(), leaning, running=1, target=1, requests=10, now=30, bounds=ONE_UP)
    assert str(decision) == "1 → 5: 10 requests over 30 s at a target of 2 is 5"


@pytest.mark.oracle
@pytest.mark.slow
def test_equals_rays_own():
    pytest.importorskip("ray.serve", reason="ray is not installed: pip install 'descent-ml[ray]'")
    from ray.serve import autoscaling_policy as theirs
    from ray.serve.config import AutoscalingConfig

    class Context:  # what Ray's policy reads of its AutoscalingContext
        def __init__(self, config, running, target, requests, state):
            self.config, self.policy_state = config, state
            self.current_num_replicas, self.target_num_replicas = running, target
            self.total_num_requests = requests

    policy = theirs._apply_autoscaling_config(theirs._core_replica_queue_length_policy)
    apply_delay = theirs._apply_delay_logic
    clock = [0.0]

    def at_the_clock(wanted, target, config, state):
        return apply_delay(wanted, target, config, state, clock[0])

    @given(
        loads=st.lists(st.floats(0, 60), min_size=1, max_size=80),
        lag=st.integers(0, 3),
        up=st.sampled_from([1.0, 0.3, 2.0]),
        down=st.sampled_from([1.0, 0.2, 1.5]),
        low=st.integers(0, 2),
        to_zero=st.sampled_from([None, 0.0, 2.0]),
    )
    def compare(loads, lag, up, down, low, to_zero):
        settings = ray(
            upscaling_factor=up,
            downscaling_factor=down,
            upscale_delay_s=2.0,
            downscale_delay_s=4.0,
            downscale_to_zero_delay_s=to_zero,
        )
        fields = settings.model_dump() | {"min_replicas": low, "max_replicas": 12}
        config = AutoscalingConfig(**fields)
        targets, leaning, state = [max(low, 1)], Leaning(), {}
        for tick, load in enumerate(loads):
            clock[0] = tick * 1.0
            running, target = targets[max(0, len(targets) - 1 - lag)], targets[-1]
            wanted, state = policy(Context(config, running, target, load, state))
            ours, leaning = decide(
                settings,
                leaning,
                running=running,
                target=target,
                requests=load,
                now=clock[0],
                bounds=(low, 12),
            )
            assert ours.target == max(low, min(12, wanted))
            targets.append(ours.target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(theirs, "_apply_delay_logic", at_the_clock)
        compare()
