"""The units of a spec: durations, quantities, shares, and numbers between two limits.

    "1m30s" → 90.0 s · "200m" → 0.2 processors · "2.5Gi" → 2.5 · 2³⁰ bytes · "25%" → itself

Durations are Go's (Cortex'), days are ours; quantities are Kubernetes'. A plain number is seconds,
processors or bytes, so what a spec dumps is read back as the same spec.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator, GetCoreSchemaHandler, Strict, WithJsonSchema
from pydantic_core import PydanticCustomError, core_schema

__all__ = [
    "Between",
    "Bytes",
    "Duration",
    "Number",
    "Processors",
    "Share",
    "Whole",
    "duration",
    "processors",
    "quantity_bytes",
    "wrong",
]

Whole = Annotated[int, Strict()]
Number = Annotated[float, Strict()]

_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3}
_SECONDS |= {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h|d)")
_AMOUNT = re.compile(r"(\d{1,40}(?:\.\d*)?|\.\d+)(m|k|[KMGTPE]i?)?")
_BYTES = {"k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15, "E": 10**18}
_BYTES |= {f"{letter}i": 1024 ** (n + 1) for n, letter in enumerate("KMGTPE")}


def _finite(value: float) -> bool:
    """Whether it is a number that a float can hold."""
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number of more than 308 digits
        return False


def wrong(rule: str) -> PydanticCustomError:
    """The error of a value for which `rule` says what would be right."""
    return PydanticCustomError("rule", "{rule}", {"rule": rule})


@dataclass(frozen=True)
class Between:
    """A number's limits; None is no limit, `above` and `below` exclude the limit itself."""

    least: float | None = None
    most: float | None = None
    above: float | None = None
    below: float | None = None
    unit: str = ""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> Any:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, core: Any, handler: Any) -> dict[str, Any]:
        found = dict(handler(core))
        names = {"least": "minimum", "most": "maximum"}
        names |= {"above": "exclusiveMinimum", "below": "exclusiveMaximum"}
        return found | {
            names[name]: limit
            for name, limit in vars(self).items()
            if name in names and limit is not None
        }

    def check(self, value: float | None) -> float | None:
        """`value`, when it lies within; None (not given) always does."""
        if value is None:
            return value
        if not _finite(value):
            raise wrong("a finite number is needed")
        if (
            (self.least is not None and value < self.least)
            or (self.most is not None and value > self.most)
            or (self.above is not None and value <= self.above)
            or (self.below is not None and value >= self.below)
        ):
            raise wrong(f"{self.words()} is allowed")
        return value

    def words(self) -> str:
        """The limits as text: "1 to 30000", "more than 1", "0 to less than 1"."""
        unit = f" {self.unit}" if self.unit else ""
        low = f"{self.least:.12g}" if self.least is not None else ""
        low = f"more than {self.above:.12g}" if self.above is not None else low
        high = f"{self.most:.12g}" if self.most is not None else ""
        high = f"less than {self.below:.12g}" if self.below is not None else high
        if low and high:
            return f"{low} to {high}{unit}"
        if high:
            return f"{high if self.below is not None else f'at most {high}'}{unit}"
        return f"{low if self.above is not None else f'{low} or more'}{unit}"


def duration(value: Any) -> float:
    """Seconds of "90s", "1h30m", "250ms", "7d" or a number of seconds."""
    rule = 'a duration is needed, like "30s", "5m" or "1h30m" (or a number of seconds)'
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise wrong(rule)
    if isinstance(value, str):
        text = value.strip()
        parts = _PART.findall(text)
        if text == "0":
            value = 0.0
        elif not parts or "".join(number + unit for number, unit in parts) != text:
            raise wrong(rule)
        else:
            value = math.fsum(float(number) * _SECONDS[unit] for number, unit in parts)
    if not _finite(value) or value < 0:
        raise wrong("a duration cannot be negative or endless")
    return float(value)


def _amount(value: Any, rule: str) -> tuple[float, str]:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise wrong(rule)
    if isinstance(value, str):
        found = _AMOUNT.fullmatch(value.strip())
        if found is None:
            raise wrong(rule)
        return float(found[1]), found[2] or ""
    if not _finite(value) or value < 0:
        raise wrong(rule)
    return float(value), ""


def processors(value: Any) -> float:
    """Processors of 2, 0.5, "500m" or "1"."""
    rule = 'a number of processors is needed, like 2, 0.5 or "500m"'
    number, unit = _amount(value, rule)
    if unit not in ("", "m"):
        raise wrong(rule)
    return number / 1000 if unit else number


def quantity_bytes(value: Any) -> int:
    """Bytes of 1024, "128Mi", "2.5Gi" or "2G"."""
    rule = 'a size is needed, like 134217728, "128Mi" or "2.5Gi"'
    number, unit = _amount(value, rule)
    if unit == "m":
        raise wrong(rule + '; "m" is a thousandth of a byte')
    return math.ceil(number * _BYTES.get(unit, 1))


def _share(value: Any) -> int | str:
    rule = 'a number of replicas (5) or a percentage of them ("25%") is needed'
    if isinstance(value, str) and re.fullmatch(r"\d{1,9}", value):
        value = int(value)
    if isinstance(value, str) and re.fullmatch(r"\d{1,3}%", value):
        return value
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise wrong(rule)
    return value


_TEXT_OR_NUMBER = {"anyOf": [{"type": "number", "minimum": 0}, {"type": "string"}]}
Duration = Annotated[float, BeforeValidator(duration), WithJsonSchema(_TEXT_OR_NUMBER)]
Processors = Annotated[float, BeforeValidator(processors), WithJsonSchema(_TEXT_OR_NUMBER)]
Bytes = Annotated[int, BeforeValidator(quantity_bytes), WithJsonSchema(_TEXT_OR_NUMBER)]
Share = Annotated[int | str, BeforeValidator(_share), WithJsonSchema(_TEXT_OR_NUMBER)]
