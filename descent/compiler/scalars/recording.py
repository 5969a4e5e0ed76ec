"""Run a function once on recorded numbers; keep what it handed back and what it changed.

The parameters become `Recorded` for the time of the call, the arguments Numbers of the same nesting
(an array stays an array, a list a list); afterwards the parameters are as they were.
"""

from __future__ import annotations

import gc
import random
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from descent.compiler.scalars.reading import Argument
from descent.compiler.scalars.recorded import Recorded, note_foreign
from descent.compiler.scalars.rolling import Home
from descent.compiler.scalars.tape import Number, Refusal, Tape, inside_package
from descent.scalar import Value

__all__ = ["Recording", "record"]

_one_at_a_time = threading.RLock()


@dataclass
class Recording:
    """What a call of the function does.

    `result` is what it returned, with a `Slot` in the place of every number; `differentiable` says
    that out[slots:] are the derivatives of the one Value returned.
    """

    tape: Tape
    rows: int
    outputs: list[tuple[Home, Number]] = field(default_factory=list)
    result: Any = None
    slots: int = 0
    differentiable: bool = False


@dataclass(frozen=True)
class Slot:
    """The place of a number in `out`, and whether the function returned it as a Value."""

    index: int
    is_value: bool


def record(
    function: Callable[..., Any],
    args: Sequence[Any],
    arguments: Sequence[Argument | None],
    parameters: Sequence[Value],
) -> Recording:
    """Refuses, with the line and the reason, what a replay could not do."""
    tape = Tape()
    rows = next((a.shape[0] for a in arguments if a is not None and a.per_row), 0)
    recording = Recording(tape, rows)
    with _one_at_a_time:
        before = [(p.data, p.grad) for p in parameters]
        dice = (random.getstate(), np.random.get_state())
        Recorded.foreign.clear()
        try:
            _become_recorded(tape, parameters)
            given = [
                arg if a is None else _numbers(tape, i, arg, a)
                for i, (arg, a) in enumerate(zip(args, arguments))
            ]
            as_given = [list(_leaves(x)) for x in given]
            result = function(*given)
            _refuse_changed_arguments(given, as_given)
            _keep(recording, result, parameters)
        except Refusal:
            raise
        except Exception as error:
            raise Refusal(f"{_line_of(error)}: {type(error).__name__}: {error}") from error
        finally:
            for p, (data, grad) in zip(parameters, before):
                p.__class__, p.data, p.grad = Value, data, grad
        del result, given, as_given
        _refuse_dice(dice)
        _refuse_foreign_values()
    return recording


def _become_recorded(tape: Tape, parameters: Sequence[Value]) -> None:
    for k, p in enumerate(parameters):
        p.__class__ = Recorded
        p.data = tape.leaf("data", k)  # type: ignore[assignment]
        p.grad = tape.leaf("grad", k)  # type: ignore[assignment]


def _numbers(tape: Tape, i: int, arg: Any, a: Argument) -> Any:
    """The argument with a Number in the place of each number."""
    if not a.shape:
        return tape.leaf("scalar", i, 0)
    flat = np.empty(a.shape, dtype=object)
    width = int(np.prod(a.shape[1:]))
    for place, index in enumerate(np.ndindex(a.shape)):
        if a.per_row:
            flat[index] = tape.leaf("column", i, place % width, row=index[0])
        else:
            flat[index] = tape.leaf("scalar", i, place)
    return flat if isinstance(arg, np.ndarray) else _like(arg, flat)


def _like(arg: Any, numbers: np.ndarray) -> Any:
    """Lists of lists (tuples, …) stay what they are."""
    if isinstance(arg, (list, tuple)):
        return type(arg)(_like(x, n) for x, n in zip(arg, numbers))
    return numbers


def _leaves(x: Any) -> Iterator[Any]:
    if isinstance(x, (list, tuple)):
        for part in x:
            yield from _leaves(part)
    elif isinstance(x, np.ndarray):
        yield from x.flat
    else:
        yield x


def _refuse_changed_arguments(given: Sequence[Any], before: list[list[Any]]) -> None:
    for i, (arg, old) in enumerate(zip(given, before)):
        new = list(_leaves(arg))
        if len(new) != len(old) or any(a is not b for a, b in zip(new, old)):
            raise Refusal(f"the function changes its argument {i} in place: work on a copy")


def _keep(recording: Recording, result: Any, parameters: Sequence[Value]) -> None:
    tape = recording.tape
    untouched = all(
        _is_leaf(tape, p.data, "data") and _is_leaf(tape, p.grad, "grad") for p in parameters
    )
    values: list[Value] = []
    recording.result = _slots(recording, result, values)
    for k, p in enumerate(parameters):
        for name, x in (("data", p.data), ("grad", p.grad)):
            if not _is_leaf(tape, x, name):
                recording.outputs.append(((f"new_{name}", k), _number(tape, x)))
    if untouched and len(values) == 1 and parameters:
        for p in parameters:
            p.grad = 0
        values[0].backward()
        for k, p in enumerate(parameters):
            home = ("out", recording.slots + k)
            recording.outputs.append((home, _number(tape, p.grad)))
        recording.differentiable = True


def _is_leaf(tape: Tape, x: Any, name: str) -> bool:
    return x.__class__ is Number and tape.ops[x.kind] == name


def _number(tape: Tape, x: Any) -> Number:
    return x if x.__class__ is Number else tape.constant(x)


def _slots(recording: Recording, x: Any, values: list[Value]) -> Any:
    """x with a Slot for each number; an array of numbers is an object array of Slots."""
    if isinstance(x, Value) or x.__class__ is Number:
        if x.__class__ is Value:
            note_foreign(x)
        elif isinstance(x, Value):
            values.append(x)
        data = x.data if isinstance(x, Value) else x
        slot = Slot(recording.slots, isinstance(x, Value))
        recording.outputs.append((("out", slot.index), _number(recording.tape, data)))
        recording.slots += 1
        return slot
    if isinstance(x, tuple) and hasattr(x, "_fields"):
        return type(x)(*(_slots(recording, v, values) for v in x))
    if isinstance(x, (list, tuple)):
        return type(x)(_slots(recording, v, values) for v in x)
    if isinstance(x, dict):
        return {k: _slots(recording, v, values) for k, v in x.items()}
    if isinstance(x, np.ndarray) and x.dtype == object:
        out = np.empty(x.shape, dtype=object)
        for index in np.ndindex(x.shape):
            out[index] = _slots(recording, x[index], values)
        return out
    return x


def _line_of(error: BaseException) -> str:
    """Where in the user's own file the error came from."""
    frames = [
        f for f in traceback.extract_tb(error.__traceback__) if not inside_package(f.filename)
    ]
    if not frames:
        return "in the package itself"
    return f"{frames[-1].filename}:{frames[-1].lineno}: `{frames[-1].line}`"


def _refuse_dice(dice: tuple[Any, Any]) -> None:
    now = (random.getstate(), np.random.get_state())
    same = dice[0] == now[0] and all(np.array_equal(a, b) for a, b in zip(dice[1], now[1]))
    if not same:
        random.setstate(dice[0])
        np.random.set_state(dice[1])
        raise Refusal(
            "the function draws random numbers; a replay would draw the same ones each time. "
            "Draw them outside and pass them as arguments"
        )


def _refuse_foreign_values() -> None:
    """A Value that is no parameter but outlives the call could change between calls."""
    foreign = []
    for value, data, grad in Recorded.foreign.values():
        value.data, value.grad = data, grad  # the recorded backward() may have written here
        foreign.append(value)
    Recorded.foreign.clear()
    value = operand = None
    inside: dict[int, int] = {}  # how often each is an operand of another of them
    for k in range(len(foreign)):
        for operand in foreign[k].parents:
            inside[id(operand)] = inside.get(id(operand), 0) + 1
    operand = None
    if any(_has_owner(foreign, k, inside) for k in range(len(foreign))):
        gc.collect()  # what only a cycle keeps alive is nobody's
    for k in range(len(foreign)):
        if _has_owner(foreign, k, inside):
            name = f" {foreign[k].label!r}" if foreign[k].label else ""
            raise Refusal(
                f"the function uses a Value{name} (data {foreign[k].data}) that is not among the "
                "parameters: list it in parameters=…"
            )


def _has_owner(values: list[Value], k: int, inside: dict[int, int]) -> bool:
    """Whether anything but the list and the others' operands refers to values[k]."""
    return sys.getrefcount(values[k]) > 2 + inside.get(id(values[k]), 0)
