"""`registers`, compiled: a block is an LLVM array of R·V vectors, which LLVM keeps in registers."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.core.datamodel import models
from numba.core.extending import register_model

from descent.kernel import registers
from descent.kernel.emit import Emitter, compiles_to, flat, integers
from descent.kernel.emit_lanes import FLOATS, N, first_lanes, splatted, vector_of

__all__ = ["Block", "register"]


class ShapeType(types.Opaque):
    """Numba's name for a block's size: nothing at run time."""

    def __init__(self, rows: int, vectors: int) -> None:
        self.rows, self.vectors = rows, vectors
        super().__init__(name=f"Shape({rows}, {vectors})")


class Block(types.Type):
    """Numba's name for rows × vectors sums in registers."""

    def __init__(self, shape: ShapeType, dtype: Any) -> None:
        self.shape, self.dtype = shape, dtype
        super().__init__(name=f"Block({shape.rows}, {shape.vectors}, {dtype})")


@register_model(ShapeType)
class _ShapeModel(models.OpaqueModel):
    pass


@register_model(Block)
class _BlockModel(models.PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: Block) -> None:
        count = fe_type.shape.rows * fe_type.shape.vectors
        super().__init__(dmm, fe_type, ir.ArrayType(vector_of(fe_type.dtype), count))


def register() -> None:
    """Make Numba know the functions of `registers` (called once)."""
    compiles_to(registers.shape, literal=True)(_shape)
    compiles_to(registers.zeros)(_zeros)
    compiles_to(registers.outer)(_outer)
    compiles_to(registers.add)(_add)
    compiles_to(registers.add_row)(_add_row)
    compiles_to(registers.write)(_write)


def _shape(_, rows, vectors):
    if not (isinstance(rows, types.IntegerLiteral) and isinstance(vectors, types.IntegerLiteral)):
        return None
    kind = ShapeType(rows.literal_value, vectors.literal_value)
    return kind(rows, vectors), lambda e, rows, vectors: e.context.get_dummy_value()


def _zeros(_, of):
    if not isinstance(of, ShapeType):
        return None
    kind = Block(of, types.float32)
    return kind(of), lambda e, of: ir.Constant(e.context.get_value_type(kind), None)


def _each(e: Emitter, block: Any, change: Any) -> Any:
    """The block with vector v of row r replaced by change(r, v, it)."""
    shape = e.signature.args[0].shape
    for r in range(shape.rows):
        for v in range(shape.vectors):
            at = r * shape.vectors + v
            new = change(r, v, e.builder.extract_value(block, at))
            block = e.builder.insert_value(block, new, at)
    return block


def _steps(e: Emitter, start: Any, step: Any, count: int) -> list[Any]:
    """start, start + step, …"""
    found = [start]
    while len(found) < count:
        found.append(e.builder.add(found[-1], step))
    return found


def _outer(_, block, a, i, row, rows, b, j):
    def emit(e, block, a, i, row, rows, b, j):
        kind = vector_of(types.float32)
        i, row, rows, j = (e.index(n, v) for n, v in ((2, i), (3, row), (4, rows), (6, j)))
        last = e.builder.sub(rows, ir.IntType(64)(1))
        places = [i]
        for r in range(1, block_type.shape.rows):
            r = ir.IntType(64)(r)
            r = e.builder.select(e.builder.icmp_signed("<", r, last), r, last)
            places.append(e.builder.add(i, e.builder.mul(r, row)))
        starts = _steps(e, j, ir.IntType(64)(N), block_type.shape.vectors)
        right = [e.builder.load(e.element(5, b, at, kind), align=4) for at in starts]
        left = [splatted(e, e.builder.load(e.element(1, a, at), align=4)) for at in places]

        def change(r, v, total):
            return e.intrinsic("llvm.fmuladd.v16f32", kind, left[r], right[v], total)

        return _each(e, block, change)

    block_type = block
    ours = isinstance(block, Block) and flat(a, types.float32) and flat(b, types.float32)
    return (
        (block(block, a, i, row, rows, b, j), emit) if ours and integers(i, row, rows, j) else None
    )


def _masks(e: Emitter, n: Any, vectors: int) -> list[Any]:
    """For each vector of a row, which of its lanes are among the row's first n."""
    starts = _steps(e, n, ir.IntType(64)(-N), vectors)
    return [first_lanes(e, at) for at in starts]


def _row_masks(e: Emitter, rows: Any, masks: list[Any], count: int) -> list[list[Any]]:
    """The same for each row of a block; rows from `rows` on have no lanes at all."""
    found = []
    for r in range(count):
        here = e.builder.icmp_signed("<", ir.IntType(64)(r), rows)
        none = ir.Constant(masks[0].type, None)
        found.append([e.builder.select(here, mask, none) for mask in masks])
    return found


def _read(e: Emitter, place: Any, mask: Any) -> Any:
    kind = vector_of(types.float32)
    align, nothing = ir.IntType(32)(4), ir.Constant(kind, None)
    return e.intrinsic("llvm.masked.load.v16f32.p0", kind, place, align, mask, nothing)


def _add(_, block, y, i, row, rows, n):
    def emit(e, block, y, i, row, rows, n):
        shape = block_type.shape
        masks = _masks(e, e.index(5, n), shape.vectors)
        masks = _row_masks(e, e.index(4, rows), masks, shape.rows)
        starts = _steps(e, e.index(2, i), e.index(3, row), shape.rows)

        def change(r, v, total):
            at = e.builder.add(starts[r], ir.IntType(64)(v * N))
            return e.builder.fadd(total, _read(e, e.element(1, y, at, total.type), masks[r][v]))

        return _each(e, block, change)

    block_type = block
    ours = isinstance(block, Block) and flat(y, types.float32) and integers(i, row, rows, n)
    return (block(block, y, i, row, rows, n), emit) if ours else None


def _add_row(_, block, x, i, n):
    def emit(e, block, x, i, n):
        masks = _masks(e, e.index(3, n), block_type.shape.vectors)
        starts = _steps(e, e.index(2, i), ir.IntType(64)(N), block_type.shape.vectors)
        kind = FLOATS_VECTOR
        added = [_read(e, e.element(1, x, at, kind), mask) for at, mask in zip(starts, masks)]
        return _each(e, block, lambda r, v, total: e.builder.fadd(total, added[v]))

    block_type = block
    ours = isinstance(block, Block) and flat(x, types.float32) and integers(i, n)
    return (block(block, x, i, n), emit) if ours else None


def _write(_, block, y, i, row, rows, n):
    def emit(e, block, y, i, row, rows, n):
        shape = block_type.shape
        masks = _masks(e, e.index(5, n), shape.vectors)
        masks = _row_masks(e, e.index(4, rows), masks, shape.rows)
        starts = _steps(e, e.index(2, i), e.index(3, row), shape.rows)

        def change(r, v, total):
            at = e.builder.add(starts[r], ir.IntType(64)(v * N))
            place, align = e.element(1, y, at, total.type), ir.IntType(32)(4)
            name = "llvm.masked.store.v16f32.p0"
            e.intrinsic(name, ir.VoidType(), total, place, align, masks[r][v])
            return total

        _each(e, block, change)

    block_type = block
    ours = isinstance(block, Block) and flat(y, types.float32) and integers(i, row, rows, n)
    return (types.void(block, y, i, row, rows, n), emit) if ours else None


FLOATS_VECTOR = vector_of(FLOATS.dtype)
