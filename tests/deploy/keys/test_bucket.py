"""The token bucket, in simulated time."""

from hypothesis import given
from hypothesis import strategies as st

from descent.deploy.keys import Bucket


def test_a_burst_then_the_rate():
    bucket = Bucket(2.0, 3, 100.0)
    assert [bucket.take(100.0) for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]
    assert bucket.take(100.25) == 0.25
    assert bucket.take(100.5) == 0.0
    assert bucket.take(100.5) == 0.5


def test_rest_fills_it_to_the_brim_only():
    bucket = Bucket(1.0, 2, 0.0)
    assert [bucket.take(0.0), bucket.take(0.0)] == [0.0, 0.0]
    assert [bucket.take(1000.0) for _ in range(3)] == [0.0, 0.0, 1.0]


def test_a_clock_that_goes_back_gives_nothing():
    bucket = Bucket(1.0, 1, 50.0)
    assert bucket.take(50.0) == 0.0
    assert bucket.take(10.0) == 1.0
    assert bucket.take(10.5) == 0.5


@given(
    st.floats(0.1, 100), st.integers(1, 50),
    st.lists(st.floats(0, 5), min_size=1, max_size=200),
)  # fmt: skip
def test_never_more_than_burst_and_rate_allow(per_s, burst, gaps):
    bucket, now, let_in = Bucket(per_s, burst, 0.0), 0.0, 0
    for gap in gaps:
        now += gap
        wait_s = bucket.take(now)
        let_in += wait_s == 0.0
        assert wait_s <= 1.0 / per_s + 1e-9
        assert let_in <= burst + per_s * now + 1e-6
