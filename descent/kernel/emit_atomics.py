"""`atomics`, compiled: one LLVM instruction each."""

from __future__ import annotations

from llvmlite import binding, ir
from numba.core import cgutils, types

from descent.kernel import atomics
from descent.kernel.emit import compiles_to, flat, integers

__all__ = ["register"]


def register() -> None:
    """Make Numba know the functions of `atomics` (called once)."""
    compiles_to(atomics.load)(_load)
    compiles_to(atomics.store)(_store)
    compiles_to(atomics.add)(_add)
    compiles_to(atomics.swap_if)(_swap_if)
    compiles_to(atomics.pause)(_pause)
    compiles_to(atomics.give_way)(_give_way)


def _load(_, x, i):
    def emit(e, x, i):
        return e.builder.load_atomic(e.element(0, x, e.index(1, i)), "acquire", 8)

    return (types.int64(x, i), emit) if flat(x, types.int64) and integers(i) else None


def _store(_, x, i, v):
    def emit(e, x, i, v):
        e.builder.store_atomic(v, e.element(0, x, e.index(1, i)), "release", 8)

    ours = flat(x, types.int64) and integers(i, v)
    return (types.void(x, i, types.int64), emit) if ours else None


def _add(_, x, i, v):
    def emit(e, x, i, v):
        return e.builder.atomic_rmw("add", e.element(0, x, e.index(1, i)), v, "acq_rel")

    ours = flat(x, types.int64) and integers(i, v)
    return (types.int64(x, i, types.int64), emit) if ours else None


def _swap_if(_, x, i, expected, new):
    def emit(e, x, i, expected, new):
        place = e.element(0, x, e.index(1, i))
        found = e.builder.cmpxchg(place, expected, new, "acq_rel", "acquire")
        return e.builder.extract_value(found, 1)

    ours = flat(x, types.int64) and integers(i, expected, new)
    return (types.boolean(x, i, types.int64, types.int64), emit) if ours else None


def _pause(_):
    def emit(e):
        machine = binding.get_process_triple().split("-")[0]
        if machine in ("x86_64", "i386", "i686"):
            e.intrinsic("llvm.x86.sse2.pause", ir.VoidType())
        elif machine in ("aarch64", "arm64"):
            e.intrinsic("llvm.aarch64.hint", ir.VoidType(), ir.IntType(32)(1))  # yield

    return types.void(), emit


def _give_way(_):
    def emit(e):
        name = "SwitchToThread" if "windows" in binding.get_process_triple() else "sched_yield"
        kind = ir.FunctionType(ir.IntType(32), [])
        e.builder.call(cgutils.get_or_insert_function(e.module, kind, name), [])

    return types.void(), emit
