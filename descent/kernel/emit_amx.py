"""`amx`, compiled: LLVM's intrinsics for the matrix unit, each one instruction.

Intel 64 manual, vol. 2: LDTILECFG, TILELOADD, TDPBF16PS, TDPBUSD, TILESTORED, TILERELEASE. The
forms that name their tiles are used, so LLVM gives out no tiles itself; all may read or write any
memory in its eyes, so they stay in order.
"""

from __future__ import annotations

import struct
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types

from descent.kernel import amx
from descent.kernel.emit import Emitter, compiles_to, flat, integers

__all__ = ["register"]

_BYTE, _WORD, _NOTHING = ir.IntType(8), ir.IntType(64), ir.VoidType()
PREFIX = "llvm.x86."  # tests put a simulation in their place
_PRODUCTS = {types.float32: "tdpbf16ps", types.int32: "tdpbusd"}


def register() -> None:
    """Make Numba know the functions of `amx` (called once)."""
    for function, define in (
        (amx.start, _start), (amx.stop, _stop), (amx.zero, _zero), (amx.load, _load),
        (amx.store, _store), (amx.add_product, _add_product),
    ):  # fmt: skip
        compiles_to(function, literal=True)(define)


def _shapes() -> bytes:
    """The 64 bytes that say what the tiles are: palette 1; bytes of a row (16 bits) from byte 16,
    rows from byte 48, for each tile."""
    row, rows = struct.pack("<8H", *[4 * amx.SIDE] * 8), bytes([amx.SIDE] * 8)
    return (bytes([1]).ljust(16, b"\0") + row).ljust(48, b"\0") + rows.ljust(16, b"\0")


def _start(_):
    def emit(e):
        shapes = cgutils.global_constant(e.builder, "amx_shapes", cgutils.make_bytearray(_shapes()))
        e.intrinsic(PREFIX + "ldtilecfg", _NOTHING, _address(e, shapes))

    return types.void(), emit


def _stop(_):
    return types.void(), lambda e: e.intrinsic(PREFIX + "tilerelease", _NOTHING)


def _tile(kind: Any) -> bool:
    return isinstance(kind, types.IntegerLiteral) and 0 <= kind.literal_value < 8


def _number(e: Emitter, k: int) -> Any:
    """Argument k, a tile, as part of the instruction."""
    return _BYTE(e.signature.args[k].literal_value)


def _address(e: Emitter, place: Any) -> Any:
    return e.builder.bitcast(place, _BYTE.as_pointer())


def _zero(_, tile):
    def emit(e, tile):
        e.intrinsic(PREFIX + "tilezero", _NOTHING, _number(e, 0))

    return (types.void(tile), emit) if _tile(tile) else None


def _mover(name: str) -> Any:
    def define(_, tile, x, i, row):
        def emit(e, tile, x, i, row):
            place = e.element(1, x, e.index(2, i), _BYTE)
            step = e.builder.mul(e.index(3, row), _WORD(4))  # bytes
            e.intrinsic(PREFIX + name, _NOTHING, _number(e, 0), place, step)

        ours = _tile(tile) and flat(x, types.float32, types.int32) and integers(i, row)
        return (types.void(tile, x, i, row), emit) if ours else None

    return define


_load, _store = _mover("tileloadd64"), _mover("tilestored64")


def _add_product(_, c, a, b, y):
    def emit(e, c, a, b, y):
        tiles = [_number(e, k) for k in range(3)]
        e.intrinsic(PREFIX + _PRODUCTS[e.signature.args[3].dtype], _NOTHING, *tiles)

    ours = _tile(c) and _tile(a) and _tile(b) and flat(y, types.float32, types.int32)
    return (types.void(c, a, b, y), emit) if ours else None
