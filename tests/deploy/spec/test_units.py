"""Durations, quantities and limits: properties over what can be written."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import PydanticCustomError

from descent.deploy.spec.units import Between, duration, processors, quantity_bytes

UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}


@given(
    st.lists(st.tuples(st.integers(0, 10**6), st.sampled_from(list(UNITS))), min_size=1, max_size=5)
)
def test_a_duration_is_the_sum_of_its_parts(parts):
    text = "".join(f"{number}{unit}" for number, unit in parts)
    assert duration(text) == pytest.approx(sum(number * UNITS[unit] for number, unit in parts))


@given(st.floats(0, 1e9))
def test_a_number_is_seconds_and_is_read_back(seconds):
    assert duration(seconds) == seconds
    assert duration(duration(seconds)) == seconds


@given(st.text(max_size=8))
def test_any_text_is_a_duration_or_refused_with_the_rule(text):
    try:
        found = duration(text)
    except PydanticCustomError as error:
        said = error.message()
    else:
        said = f"a duration of {max(found, 0)} s"
    assert "duration" in said


@pytest.mark.parametrize(
    "value", [None, True, -1, math.nan, math.inf, "-3s", "5", "5 s", "1m m", [], "1e3s"]
)
def test_no_duration(value):
    with pytest.raises(PydanticCustomError):
        duration(value)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("128Mi", 2**27),
        ("2.5Gi", 5 * 2**29),
        ("2G", 2 * 10**9),
        ("1k", 1000),
        ("1Ki", 1024),
        (7, 7),
        ("0.5", 1),
    ],
)
def test_sizes(text, number):
    assert quantity_bytes(text) == number


@pytest.mark.parametrize(
    ("text", "number"), [("200m", 0.2), ("1", 1), (0.5, 0.5), (2, 2), ("1500m", 1.5)]
)
def test_processors(text, number):
    assert processors(text) == number


@pytest.mark.parametrize("value", ["-1", "1KiB", "Mi", "", True, None, -1, math.nan, "1m"])
def test_no_size(value):
    with pytest.raises(PydanticCustomError):
        quantity_bytes(value)


@pytest.mark.parametrize("value", ["-1", "1G", "m", True, -0.5, "100mm"])
def test_no_processors(value):
    with pytest.raises(PydanticCustomError):
        processors(value)


limits = st.none() | st.integers(-100, 100)


@given(limits, limits, limits, limits, st.floats(-200, 200) | st.integers(-200, 200))
def test_a_limit_allows_what_it_says(least, most, above, below, value):
    limit = Between(least, most, above, below)
    allowed = (
        (least is None or value >= least)
        and (most is None or value <= most)
        and (above is None or value > above)
        and (below is None or value < below)
    )
    if allowed:
        assert limit.check(value) == value
    else:
        with pytest.raises(PydanticCustomError, match="is allowed"):
            limit.check(value)


def test_a_limit_in_words():
    assert Between(1, 30000).words() == "1 to 30000"
    assert Between(0, below=1).words() == "0 to less than 1"
    assert Between(above=1).words() == "more than 1"
    assert Between(most=3, unit="s").words() == "at most 3 s"
    with pytest.raises(PydanticCustomError, match="finite"):
        Between(0).check(math.inf)
