"""When a schedule is due next: crontab(5)'s five fields, names, ranges, steps and @shorthands.

    "30 4 * * mon-fri"   "*/15 8-18 1 jan,jul *"   "@daily"   "CRON_TZ=Europe/Oslo 0 3 * * *"
Where both day of month and day of week are restricted, either is enough (crontab(5)). Times are UTC
without CRON_TZ. An hour that summer time skips runs when the clock has moved on; one that comes
twice runs once. Left out: seconds, years, L, W and #.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

__all__ = ["Schedule", "ScheduleError"]

MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()
DAYS = "sun mon tue wed thu fri sat".split()
SHORTHANDS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
HORIZON_DAYS = 366 * 9  # 29 February may be eight years away


class ScheduleError(ValueError):
    """What is wrong with the text of a schedule."""


@dataclass(frozen=True)
class Field:
    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()


FIELDS = (
    Field("minute", 0, 59),
    Field("hour", 0, 23),
    Field("day of month", 1, 31),
    Field("month", 1, 12, ("", *MONTHS)),
    Field("day of week", 0, 7, tuple(DAYS)),
)


class Schedule:
    """`Schedule("0 3 * * *").after(now)`; raises `ScheduleError` for text it cannot read."""

    def __init__(self, text: str):
        self.text = text
        words = text.split()
        self.zone: tzinfo = UTC
        if words and words[0].startswith(("CRON_TZ=", "TZ=")):
            self.zone = _zone(words.pop(0).partition("=")[2])
        if len(words) == 1 and words[0].startswith("@"):
            if words[0].lower() not in SHORTHANDS:
                raise ScheduleError(f"{words[0]} is none of {', '.join(SHORTHANDS)}")
            words = SHORTHANDS[words[0].lower()].split()
        if len(words) != 5:
            raise ScheduleError(
                f"{text!r} has {len(words)} fields; a schedule has five: minute hour day-of-month "
                'month day-of-week ("0 3 * * *" is each night at three, UTC)'
            )
        minutes, hours, days, months, weekdays = (
            _members(word, field) for word, field in zip(words, FIELDS)
        )
        self.minutes, self.hours = sorted(minutes), sorted(hours)
        self.days, self.months = days, months
        self.weekdays = {day % 7 for day in weekdays}  # 7 is Sunday too
        self.either = words[2][0] != "*" and words[4][0] != "*"
        if self.after(0.0) is None:
            raise ScheduleError(f"{text!r} is never due: no such day exists")

    def after(self, moment: float) -> float | None:
        """The first due time later than `moment`; both in unix seconds."""
        start = datetime.fromtimestamp(moment, self.zone)
        # A day early: where the clock was set back, local time repeats.
        day = start.date() - timedelta(days=1)
        for _ in range(HORIZON_DAYS):
            if self._on(day):
                due = [at for at in self._times(day) if at > moment]
                if due:
                    return min(due)
            day += timedelta(days=1)
        return None

    def _on(self, day: date) -> bool:
        if day.month not in self.months:
            return False
        in_month = day.day in self.days
        in_week = (day.weekday() + 1) % 7 in self.weekdays
        return (in_month or in_week) if self.either else (in_month and in_week)

    def _times(self, day: date) -> list[float]:
        local = (time(hour, minute) for hour in self.hours for minute in self.minutes)
        return [datetime.combine(day, at, self.zone).timestamp() for at in local]


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ScheduleError(f"there is no time zone {name!r}") from error


def _members(text: str, field: Field) -> set[int]:
    """The numbers that `text` ("1-5,*/10") names."""
    members: set[int] = set()
    for part in text.split(","):
        span, slash, step_text = part.partition("/")
        step = _number(step_text, Field("step", 1, field.high)) if slash else 1
        if span == "*":
            low, high = field.low, field.high
        else:
            first, dash, last = span.partition("-")
            low = _number(first, field)
            high = _number(last, field) if dash else (field.high if slash else low)
        if low > high:
            raise ScheduleError(f"{field.name} {part!r}: the range {low}-{high} is empty")
        members.update(range(low, high + 1, step))
    return members


def _number(text: str, field: Field) -> int:
    if text.lower() in field.names and text:
        return field.names.index(text.lower())
    if not (text.isascii() and text.isdigit() and field.low <= int(text) <= field.high):
        raise ScheduleError(f"{field.name} {text!r} is not from {field.low} to {field.high}")
    return int(text)
