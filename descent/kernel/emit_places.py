"""`places`, compiled: an array structure over an address read from the table."""

from __future__ import annotations

from llvmlite import ir
from numba.core import types
from numba.np.arrayobj import make_array, populate_array

from descent.kernel import places
from descent.kernel.emit import compiles_to, flat, integers

__all__ = ["register"]

_KINDS = {
    places.float32: types.float32, places.float64: types.float64, places.int64: types.int64,
    places.int32: types.int32, places.uint8: types.uint8, places.boolean: types.boolean,
}  # fmt: skip


def register() -> None:
    """Make Numba know the functions of `places` (called once)."""
    for function, dtype in _KINDS.items():
        compiles_to(function)(_array_of(dtype))


def _array_of(dtype):
    kind = types.Array(dtype, 1, "C")

    def define(_, table, slot):
        def emit(e, table, slot):
            b = e.builder
            first = b.mul(e.index(1, slot), ir.Constant(ir.IntType(64), 2))
            address = b.load(e.element(0, table, first))
            size = b.load(e.element(0, table, b.add(first, ir.Constant(ir.IntType(64), 1))))
            array = make_array(kind)(e.context, b)
            data = b.inttoptr(address, e.context.get_data_type(dtype).as_pointer())
            itemsize = e.context.get_abi_sizeof(e.context.get_data_type(dtype))
            step = ir.Constant(ir.IntType(64), itemsize)
            populate_array(
                array, data=data, shape=[size], strides=[step], itemsize=step, meminfo=None
            )
            return array._getvalue()

        ours = flat(table, types.int64) and integers(slot)
        return (kind(table, slot), emit) if ours else None

    return define
