"""A pickle read without executing anything: an interpreter of its opcodes that builds plain values.

A pickle is a program for a stack machine. This one knows numbers, texts, lists, tuples, dicts and
sets; a class or function it names is looked up in a table of harmless stand-ins the caller gives,
and anything outside that table is an error that names it. No import, no call of foreign code.
Reference: Python's `pickletools`, "Opcodes"; protocols 0 to 5. Left out: persistent text ids,
extension registries, out-of-band buffers, objects with state (except the `_metadata` of a state
dict, which is dropped). Keys of dicts must be plain values: nested tuples can take for ever to
hash.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["PickleError", "interpret"]

_MARK = object()
_PLAIN = (str, int, float, bool, bytes, type(None))
_COUNTED = {0x8C: (1, "utf-8"), 0x58: (4, "utf-8"), 0x8D: (8, "utf-8"),  # BINUNICODE and kin
            0x55: (1, "latin-1"), 0x54: (4, "latin-1"),  # BINSTRING
            0x43: (1, None), 0x42: (4, None), 0x8E: (8, None)}  # BINBYTES  # fmt: skip
_NUMBERS = {0x4B: "<B", 0x4D: "<H", 0x4A: "<i", 0x47: ">d"}  # BININT1 …2, BININT, BINFLOAT
_CONSTANTS: dict[int, Callable[[], Any]] = {
    0x4E: lambda: None, 0x88: lambda: True, 0x89: lambda: False,
    0x5D: list, 0x7D: dict, 0x29: tuple, 0x8F: set, 0x28: lambda: _MARK,
}  # fmt: skip


class PickleError(ValueError):
    """What is wrong with a pickle, and at which of its bytes."""

    def __init__(self, problem: str, offset: int) -> None:
        super().__init__(problem)
        self.offset = offset


def interpret(
    data: bytes,
    known: Mapping[str, Any],
    persistent: Callable[[Any], Any] | None = None,
    start: int = 0,
) -> tuple[Any, int]:
    """The value of a pickle, and where it ends in `data`.

    Args:
        known: what stands in for "module.name": a value, or a function that is called with the
            arguments the pickle gives.
        persistent: what stands for an object kept outside of the pickle, by its id.

    Raises:
        PickleError: truncated, unknown opcodes or names, impossible stack operations.
    """
    machine = _Machine(data, known, persistent, start)
    try:
        return machine.run()
    except PickleError:
        raise
    except (IndexError, KeyError, TypeError, ValueError, struct.error, AttributeError) as error:
        empty = isinstance(error, IndexError)
        why = "takes more from the stack than is there" if empty else f"fails: {error}"
        raise PickleError(f"an operation {why}"[:200], machine.here) from None
    except (RecursionError, OverflowError) as error:
        raise PickleError(f"an operation fails: {error}", machine.here) from None


class _Function:
    """What stands in for a class or function the pickle named."""

    def __init__(self, stand_in: Callable[..., Any]) -> None:
        self.stand_in = stand_in


class _Machine:
    """The stack, the memo, and where we are."""

    def __init__(self, data: bytes, known: Any, persistent: Any, start: int) -> None:
        self.data, self.known, self.persistent = data, known, persistent
        self.at = self.here = start
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def run(self) -> tuple[Any, int]:
        while True:
            self.here = self.at
            code = self.take(1)[0]
            if code == 0x2E:  # STOP
                value = self.pop()
                if self.stack:
                    raise PickleError("ends with something left on its stack", self.here)
                return value, self.at
            self.step(code)

    def take(self, count: int) -> bytes:
        if count < 0 or self.at + count > len(self.data):
            raise PickleError(
                f"needs {count} bytes from here, but ends at byte {len(self.data)}", self.here
            )
        self.at += count
        return self.data[self.at - count : self.at]

    def line(self) -> str:
        end = self.data.find(b"\n", self.at)
        if end < 0:
            raise PickleError("a line does not end", self.here)
        text = self.data[self.at : end].decode("utf-8")
        self.at = end + 1
        return text

    def pop(self) -> Any:
        value = self.stack.pop()
        if value is _MARK:
            raise PickleError("a mark stands where a value should", self.here)
        return value

    def since_mark(self) -> list[Any]:
        """What was pushed after the last mark, and the mark off."""
        for place in range(len(self.stack) - 1, -1, -1):
            if self.stack[place] is _MARK:
                found = self.stack[place + 1 :]
                del self.stack[place:]
                return found
        raise PickleError("there is no mark on the stack", self.here)

    def step(self, code: int) -> None:
        push = self.stack.append
        if code in _CONSTANTS:
            push(_CONSTANTS[code]())
        elif code in _NUMBERS:
            layout = _NUMBERS[code]
            push(struct.unpack(layout, self.take(struct.calcsize(layout)))[0])
        elif code in _COUNTED:
            width, encoding = _COUNTED[code]
            raw = self.take(int.from_bytes(self.take(width), "little"))
            push(raw.decode(encoding) if encoding else raw)
        elif code in _STEPS:
            _STEPS[code](self)
        else:
            raise PickleError(f"opcode {code:#04x} is not one a file of tensors needs", self.here)


def _long(m: _Machine, width: int) -> None:
    m.stack.append(int.from_bytes(m.take(int.from_bytes(m.take(width), "little")), "little",
                                  signed=True))  # fmt: skip


def _text_number(m: _Machine) -> None:
    text = m.line()
    m.stack.append({"00": False, "01": True}[text] if text in ("00", "01") else int(text))


def _text_float(m: _Machine) -> None:
    m.stack.append(float(m.line()))


def _text_long(m: _Machine) -> None:
    m.stack.append(int(m.line().rstrip("L")))


def _tuple_of(m: _Machine, count: int) -> None:
    m.stack.append(tuple([m.pop() for _ in range(count)][::-1]))


def _marked(m: _Machine, make: Callable[[list[Any]], Any]) -> None:
    m.stack.append(make(m.since_mark()))


def _pairs(m: _Machine, items: list[Any]) -> dict[Any, Any]:
    if len(items) % 2:
        raise PickleError("a dict gets a key without a value", m.here)
    for key in items[::2]:
        _check_key(m, key)
    return dict(zip(items[::2], items[1::2]))


def _check_key(m: _Machine, key: Any) -> None:
    if type(key) not in _PLAIN:
        raise PickleError(f"a key is a {type(key).__name__}, not a plain value", m.here)


def _set_items(m: _Machine, items: list[Any]) -> None:
    if not isinstance(m.stack[-1], dict):
        raise PickleError("sets items of what is not a dict", m.here)
    m.stack[-1].update(_pairs(m, items))


def _append(m: _Machine, items: list[Any]) -> None:
    if type(m.stack[-1]) is not list:
        raise PickleError("appends to what is not a list", m.here)
    m.stack[-1].extend(items)


def _add(m: _Machine) -> None:
    items = m.since_mark()
    for item in items:
        _check_key(m, item)
    if type(m.stack[-1]) is not set:
        raise PickleError("adds to what is not a set", m.here)
    m.stack[-1].update(items)


def _put(m: _Machine, index: int) -> None:
    if m.stack[-1] is _MARK:
        raise PickleError("remembers a mark", m.here)
    m.memo[index] = m.stack[-1]


def _get(m: _Machine, index: int) -> None:
    if index not in m.memo:
        raise PickleError(f"recalls memo {index}, which was never written", m.here)
    m.stack.append(m.memo[index])


def _named(m: _Machine, module: Any, name: Any) -> None:
    full = f"{module}.{name}"
    if full not in m.known:
        raise PickleError(
            f"asks for {full[:80]!r}: only tensors, numbers, texts and collections of them are "
            "read, and nothing is executed",
            m.here,
        )
    found = m.known[full]
    m.stack.append(_Function(found) if callable(found) else found)


def _called(m: _Machine) -> None:
    arguments, function = m.pop(), m.pop()
    if not isinstance(function, _Function) or not isinstance(arguments, tuple):
        raise PickleError("calls what is not a known function", m.here)
    m.stack.append(function.stand_in(*arguments))


def _persistent(m: _Machine) -> None:
    if m.persistent is None:
        raise PickleError("refers to something outside of the pickle", m.here)
    m.stack.append(m.persistent(m.pop()))


def _state(m: _Machine) -> None:
    m.pop()
    if not isinstance(m.stack[-1], OrderedDict):
        raise PickleError("sets the state of an object; only plain values are read", m.here)


def _discard_to_mark(m: _Machine) -> None:
    m.since_mark()


def _number(m: _Machine, width: int) -> int:
    return int.from_bytes(m.take(width), "little")


def _last_two(m: _Machine) -> list[Any]:
    value = m.pop()
    return [m.pop(), value]


_STEPS: dict[int, Callable[[_Machine], Any]] = {
    0x80: lambda m: m.take(1),  # PROTO
    0x95: lambda m: m.take(8),  # FRAME: a hint for reading ahead
    0x30: lambda m: m.stack.pop(),  # POP
    0x31: _discard_to_mark,
    0x32: lambda m: m.stack.append(m.stack[-1]),  # DUP
    0x49: _text_number, 0x46: _text_float, 0x4C: _text_long,
    0x8A: lambda m: _long(m, 1), 0x8B: lambda m: _long(m, 4),
    0x56: lambda m: m.stack.append(m.line()),  # UNICODE
    0x85: lambda m: _tuple_of(m, 1), 0x86: lambda m: _tuple_of(m, 2),
    0x87: lambda m: _tuple_of(m, 3),
    0x74: lambda m: _marked(m, tuple), 0x6C: lambda m: _marked(m, list),
    0x64: lambda m: _marked(m, lambda items: _pairs(m, items)),
    0x73: lambda m: _set_items(m, _last_two(m)), 0x75: lambda m: _set_items(m, m.since_mark()),
    0x61: lambda m: _append(m, [m.pop()]), 0x65: lambda m: _append(m, m.since_mark()),
    0x90: _add,
    0x70: lambda m: _put(m, int(m.line())), 0x71: lambda m: _put(m, _number(m, 1)),
    0x72: lambda m: _put(m, _number(m, 4)), 0x94: lambda m: _put(m, len(m.memo)),
    0x67: lambda m: _get(m, int(m.line())), 0x68: lambda m: _get(m, _number(m, 1)),
    0x6A: lambda m: _get(m, _number(m, 4)),
    0x63: lambda m: _named(m, m.line(), m.line()),  # GLOBAL
    0x93: lambda m: _named(m, *_last_two(m)),  # STACK_GLOBAL
    0x52: _called,  # REDUCE
    0x62: _state,  # BUILD
    0x51: _persistent,  # BINPERSID
}  # fmt: skip
