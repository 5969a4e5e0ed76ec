"""`places`, compiled: an array structure over an address; a call through one."""

from __future__ import annotations

from llvmlite import ir
from numba.core import types
from numba.np.arrayobj import make_array, populate_array

from descent.kernel import places
from descent.kernel.emit import compiles_to, flat, integers

__all__ = ["register"]

I64 = ir.IntType(64)
PAIR = 16  # bytes of an (address, size) pair
UNKNOWN = 1 << 40  # the size of an array that came as an address alone
_KINDS = {
    places.float32: types.float32, places.float64: types.float64, places.int64: types.int64,
    places.int32: types.int32, places.uint8: types.uint8, places.boolean: types.boolean,
    places.uint16: types.uint16,
}  # fmt: skip


def register() -> None:
    """Make Numba know the functions of `places` (called once)."""
    for function, dtype in _KINDS.items():
        compiles_to(function)(_slot_of(dtype))
    compiles_to(places.floats)(_at_address(types.float32))
    compiles_to(places.words)(_at_address(types.int32))
    compiles_to(places.octets)(_at_address(types.uint8))
    compiles_to(places.invoke)(_invoke)


def _array_at(e, kind, address, size):
    """The LLVM value of a flat array over an address."""
    data_type = e.context.get_data_type(kind.dtype)
    array = make_array(kind)(e.context, e.builder)
    step = I64(e.context.get_abi_sizeof(data_type))
    data = e.builder.inttoptr(address, data_type.as_pointer())
    populate_array(array, data=data, shape=[size], strides=[step], itemsize=step, meminfo=None)
    return array._getvalue()


def _slot_of(dtype):
    kind = types.Array(dtype, 1, "C")

    def define(_, table, slot):
        def emit(e, table, slot):
            b = e.builder
            pairs = b.inttoptr(e.index(0, table), I64.as_pointer())
            first = b.mul(e.index(1, slot), I64(2))
            address = b.load(b.gep(pairs, [first]))
            size = b.load(b.gep(pairs, [b.add(first, I64(1))]))
            return _array_at(e, kind, address, size)

        return (kind(table, slot), emit) if integers(table, slot) else None

    return define


def _at_address(dtype):
    kind = types.Array(dtype, 1, "C")

    def define(_, address):
        def emit(e, address):
            return _array_at(e, kind, e.index(0, address), I64(UNKNOWN))

        return (kind(address), emit) if integers(address) else None

    return define


def _invoke(_, functions, k, lo, hi, frames, at, me):
    def emit(e, functions, k, lo, hi, frames, at, me):
        b = e.builder
        address = b.load(e.element(0, functions, e.index(1, k)))
        kind = ir.FunctionType(ir.VoidType(), [I64] * 4)
        target = b.inttoptr(address, kind.as_pointer())
        start = b.ptrtoint(e.element(4, frames, b.mul(e.index(5, at), I64(2))), I64)
        b.call(target, [e.index(2, lo), e.index(3, hi), start, e.index(6, me)])

    ours = (
        flat(functions, types.int64) and flat(frames, types.int64) and integers(k, lo, hi, at, me)
    )
    return (types.void(functions, k, lo, hi, frames, at, me), emit) if ours else None
