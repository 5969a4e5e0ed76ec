from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from descent.deploy.spec.schedules import Schedule, ScheduleError


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def said(moment: float | None) -> str:
    assert moment is not None
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M")


@pytest.mark.parametrize(
    ("rule", "now", "expected"),
    [
        ("* * * * *", "2026-11-26 04:15:32", "2026-11-26 04:16"),
        ("* * * * *", "2026-11-26 04:16:00", "2026-11-26 04:17"),
        ("0 3 * * *", "2026-11-26 03:00", "2026-11-27 03:00"),
        ("*/15 8-18 * * *", "2026-11-26 08:50", "2026-11-26 09:00"),
        ("*/15 8-18 * * *", "2026-11-26 18:46", "2026-11-27 08:00"),
        ("5/20 * * * *", "2026-11-26 08:26", "2026-11-26 08:45"),
        ("30 4 * * mon-fri", "2026-11-27 05:00", "2026-11-30 04:30"),
        ("0 0 1 jan,jul *", "2026-11-26 00:00", "2027-01-01 00:00"),
        ("0 0 29 2 *", "2026-11-26 00:00", "2028-02-29 00:00"),
        ("0 0 29 2 *", "2096-03-01 00:00", "2104-02-29 00:00"),
        ("0 0 31 * *", "2026-11-26 00:00", "2026-12-31 00:00"),
        ("0 0 * * 7", "2026-11-26 00:00", "2026-11-29 00:00"),
        ("0 0 * * SUN", "2026-11-26 00:00", "2026-11-29 00:00"),
        ("0 0 13 * 5", "2026-11-26 00:00", "2026-11-27 00:00"),  # either is enough
        ("0 0 */2 * 5", "2026-11-26 00:00", "2026-11-27 00:00"),  # */2 begins with *: both
        ("@hourly", "2026-11-26 04:15", "2026-11-26 05:00"),
        ("@yearly", "2026-11-26 04:15", "2027-01-01 00:00"),
        ("0,30 12 * * *", "2026-11-26 12:00", "2026-11-26 12:30"),
        # Oslo: summer time begins 2026-03-29 02:00 → 03:00, ends 2026-10-25 03:00 → 02:00
        ("CRON_TZ=Europe/Oslo 30 2 * * *", "2026-03-28 12:00", "2026-03-29 01:30"),
        ("CRON_TZ=Europe/Oslo 30 2 * * *", "2026-03-29 12:00", "2026-03-30 00:30"),
        ("CRON_TZ=Europe/Oslo 30 2 * * *", "2026-10-24 12:00", "2026-10-25 00:30"),
        ("CRON_TZ=Europe/Oslo 30 2 * * *", "2026-10-25 00:30", "2026-10-26 01:30"),
    ],
)
def test_next(rule, now, expected):
    assert said(Schedule(rule).after(at(now))) == expected


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("", "0 fields"),
        ("* * * *", "4 fields"),
        ("0 3 * * * 2026", "6 fields"),
        ("60 * * * *", "minute '60' is not from 0 to 59"),
        ("* 24 * * *", "hour '24'"),
        ("* * 0 * *", "day of month '0'"),
        ("* * * 13 *", "month '13'"),
        ("* * * foo *", "month 'foo'"),
        ("* * * * 8", "day of week '8'"),
        ("5-3 * * * *", "the range 5-3 is empty"),
        ("*/0 * * * *", "step '0'"),
        ("1--2 * * * *", "minute '-2'"),
        ("@never", "@never is none of"),
        ("0 0 30 2 *", "never due"),
        ("CRON_TZ=Mars/Olympus 0 0 * * *", "no time zone 'Mars/Olympus'"),
        ("CRON_TZ=../../etc/passwd 0 0 * * *", "no time zone"),
        ("², * * * *", "minute"),
    ],
)
def test_what_is_wrong_is_said(rule, words):
    with pytest.raises(ScheduleError, match=words):
        Schedule(rule)


FIELD = st.sampled_from(["*", "*/7", "3", "1-5", "2,9", "4-10/3"])


@given(FIELD, FIELD, FIELD, FIELD, st.integers(0, 2_000_000_000))
def test_next_is_the_first_minute_that_fits(minute, hour, day, month, now):
    schedule = Schedule(f"{minute} {hour} {day} {month} *")
    due = schedule.after(now)
    assert due is not None
    assert due > now
    assert due % 60 == 0

    def fits(moment: datetime) -> bool:
        return (
            moment.minute in schedule.minutes
            and moment.hour in schedule.hours
            and moment.day in schedule.days
            and moment.month in schedule.months
        )

    found = datetime.fromtimestamp(due, UTC)
    assert fits(found)
    # none of the hours before, sampled minute by minute near both ends
    for back in range(1, 180):
        earlier = found - timedelta(minutes=back)
        assert earlier.timestamp() <= now or not fits(earlier)
