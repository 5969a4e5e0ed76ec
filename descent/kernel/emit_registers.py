"""`registers`, compiled: a block is an LLVM array of R·V vectors, which LLVM keeps in registers."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.core.datamodel import models
from numba.core.extending import register_model

from descent.kernel import registers
from descent.kernel.emit import Emitter, compiles_to, flat, integers
from descent.kernel.emit_lanes import N, first_lanes, splatted, suffix, vector_of
from descent.kernel.emit_terms import product_of_floats, product_of_pairs, product_of_quads

__all__ = ["Block", "register"]

I64 = ir.IntType(64)
WORD = vector_of(types.int32)


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
    compiles_to(registers.expect)(_expect)
    compiles_to(registers.fill)(_fill)
    compiles_to(registers.outer_bytes)(_outer_words(nibbles=False))
    compiles_to(registers.outer_nibbles)(_outer_words(nibbles=True))
    compiles_to(registers.add_scaled)(_add_scaled)


def _shape(_, rows, vectors):
    if not (isinstance(rows, types.IntegerLiteral) and isinstance(vectors, types.IntegerLiteral)):
        return None
    kind = ShapeType(rows.literal_value, vectors.literal_value)
    return kind(rows, vectors), lambda e, rows, vectors: e.context.get_dummy_value()


def _zeros(_, of, y):
    if not (isinstance(of, ShapeType) and _numbers(y)):
        return None
    kind = Block(of, y.dtype)
    return kind(of, y), lambda e, of, y: ir.Constant(e.context.get_value_type(kind), None)


def _numbers(x: Any) -> bool:
    return flat(x, types.float32, types.int32)


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


def _apart(e: Emitter, start: Any, step: Any, count: int) -> list[Any]:
    """The same, no place made from the one before it: a chain of `count` additions would take as
    long as the block's products. Four by four: one sum each, and 0 to 3 steps as an index."""
    steps = [_hidden(e, e.builder.mul(step, ir.IntType(64)(r))) for r in range(1, min(count, 4))]
    found = []
    for r in range(0, count, 4):
        first = _hidden(e, e.builder.add(start, e.builder.mul(step, ir.IntType(64)(r))))
        found += [first, *(e.builder.add(first, s) for s in steps)]
    return found[:count]


def _hidden(e: Emitter, n: Any) -> Any:
    """n, made by code that LLVM can move but not look into."""
    nothing = ir.InlineAsm(ir.FunctionType(n.type, [n.type]), "", "=r,0")
    return e.builder.call(nothing, [n], attrs=("nounwind", "readnone"))


def _in_order(e: Emitter) -> None:
    """No read from memory may move across this place: LLVM would read all of a column first, and
    has no registers left for that."""
    order = ir.InlineAsm(ir.FunctionType(ir.VoidType(), []), "", "~{memory}", side_effect=True)
    e.builder.call(order, [])


def _outer(_, block, a, i, row, b, j):
    def emit(e, block, a, i, row, b, j):
        places = _apart(e, e.index(2, i), e.index(3, row), block_type.shape.rows)
        starts = _steps(e, e.index(5, j), ir.IntType(64)(N), block_type.shape.vectors)
        kind = vector_of(b_type.dtype)
        right = [e.builder.load(e.element(4, b, at, kind), align=4) for at in starts]
        left = {}

        def change(r, v, total):
            if r not in left:
                left[r] = splatted(e, e.builder.load(e.element(1, a, places[r]), align=4))
                _in_order(e)
            return term(e, left[r], right[v], total)

        return _each(e, block, change)

    if not (isinstance(block, Block) and _numbers(a) and a.dtype == b.dtype):
        return None
    block_type, b_type = block, b
    term = {
        (types.float32, types.float32): product_of_floats,
        (types.float32, types.int32): product_of_pairs,
        (types.int32, types.int32): product_of_quads,
    }[block.dtype, a.dtype]
    return (block(block, a, i, row, b, j), emit) if integers(i, row, j) else None


def _masks(e: Emitter, n: Any, vectors: int) -> list[Any]:
    """For each vector of a row, which of its lanes are among the row's first n."""
    starts = _steps(e, n, ir.IntType(64)(-N), vectors)
    return [first_lanes(e, at) for at in starts]


def _row_masks(e: Emitter, skip: Any, masks: list[Any], count: int) -> list[list[Any]]:
    """The same for each row of a block; rows before `skip` have no lanes at all."""
    found = []
    for r in range(count):
        here = e.builder.icmp_signed(">=", ir.IntType(64)(r), skip)
        none = ir.Constant(masks[0].type, None)
        found.append([e.builder.select(here, mask, none) for mask in masks])
    return found


def _read(e: Emitter, place: Any, mask: Any, dtype: Any) -> Any:
    kind = vector_of(dtype)
    align, nothing = ir.IntType(32)(4), ir.Constant(kind, None)
    return e.intrinsic(f"llvm.masked.load.{suffix(dtype)}.p0", kind, place, align, mask, nothing)


def _sum(e: Emitter, a: Any, b: Any, dtype: Any) -> Any:
    return e.builder.fadd(a, b) if dtype == types.float32 else e.builder.add(a, b)


def _add(_, block, y, i, row, skip, n):
    def emit(e, block, y, i, row, skip, n):
        shape = block_type.shape
        masks = _masks(e, e.index(5, n), shape.vectors)
        masks = _row_masks(e, e.index(4, skip), masks, shape.rows)
        starts = _steps(e, e.index(2, i), e.index(3, row), shape.rows)

        def change(r, v, total):
            at = e.builder.add(starts[r], ir.IntType(64)(v * N))
            here = e.element(1, y, at, total.type)
            return _sum(e, total, _read(e, here, masks[r][v], dtype), dtype)

        return _each(e, block, change)

    block_type, dtype = block, y.dtype
    ours = isinstance(block, Block) and flat(y, block.dtype) and integers(i, row, skip, n)
    return (block(block, y, i, row, skip, n), emit) if ours else None


def _add_row(_, block, x, i, n):
    def emit(e, block, x, i, n):
        masks = _masks(e, e.index(3, n), block_type.shape.vectors)
        starts = _steps(e, e.index(2, i), ir.IntType(64)(N), block_type.shape.vectors)
        places = [e.element(1, x, at, vector_of(dtype)) for at in starts]
        added = [_read(e, at, mask, dtype) for at, mask in zip(places, masks)]
        return _each(e, block, lambda r, v, total: _sum(e, total, added[v], dtype))

    block_type, dtype = block, x.dtype
    ours = isinstance(block, Block) and flat(x, block.dtype) and integers(i, n)
    return (block(block, x, i, n), emit) if ours else None


def _write(_, block, y, i, row, skip, n):
    def emit(e, block, y, i, row, skip, n):
        shape = block_type.shape
        masks = _masks(e, e.index(5, n), shape.vectors)
        masks = _row_masks(e, e.index(4, skip), masks, shape.rows)
        starts = _steps(e, e.index(2, i), e.index(3, row), shape.rows)

        def change(r, v, total):
            at = e.builder.add(starts[r], ir.IntType(64)(v * N))
            place, align = e.element(1, y, at, total.type), ir.IntType(32)(4)
            name = f"llvm.masked.store.{suffix(dtype)}.p0"
            e.intrinsic(name, ir.VoidType(), total, place, align, masks[r][v])
            return total

        _each(e, block, change)

    block_type, dtype = block, y.dtype
    ours = isinstance(block, Block) and flat(y, block.dtype) and integers(i, row, skip, n)
    return (types.void(block, y, i, row, skip, n), emit) if ours else None


def _expect(_, of, y, i, row):
    def emit(e, of, y, i, row):
        word = ir.IntType(32)
        for start in _steps(e, e.index(2, i), e.index(3, row), shape.rows):
            for v in range(shape.vectors):
                at = e.builder.add(start, ir.IntType(64)(v * N))
                place = e.element(1, y, at, ir.IntType(8))
                flags = (word(1), word(3), word(1))  # to be written, keep near, data
                e.intrinsic("llvm.prefetch.p0", ir.VoidType(), place, *flags)

    shape = of
    ours = isinstance(of, ShapeType) and _numbers(y) and integers(i, row)
    return (types.void(of, y, i, row), emit) if ours else None


def _fill(_, of, x, i, row):
    def emit(e, of, x, i, row):
        block = ir.Constant(e.context.get_value_type(kind), None)
        for r, at in enumerate(_steps(e, e.index(2, i), e.index(3, row), shape.rows)):
            v = splatted(e, e.builder.load(e.element(1, x, at), align=4))
            for c in range(shape.vectors):
                block = e.builder.insert_value(block, v, r * shape.vectors + c)
        return block

    if not (isinstance(of, ShapeType) and _numbers(x) and integers(i, row)):
        return None
    shape, kind = of, Block(of, x.dtype)
    return kind(of, x, i, row), emit


WORDS = 8  # of four bytes: 32 terms


def _outer_words(nibbles: bool):
    """Of `outer_bytes` or `outer_nibbles`."""

    def define(_, block, a, i, row, b, j):
        def emit(e, block, a, i, row, b, j):
            shape, add = block_type.shape, e.builder.add
            places = _apart(e, e.index(2, i), e.index(3, row), shape.rows)
            start, lines = e.index(5, j), []
            for w in range(WORDS):
                if not nibbles or w % 2 == 0:
                    line = w // 2 if nibbles else w
                    first = line * shape.vectors * N
                    starts = [add(start, I64(first + v * N)) for v in range(shape.vectors)]
                    lines = [e.builder.load(e.element(4, b, s, WORD), align=4) for s in starts]
                right = [_nibble(e, v, w % 2) for v in lines] if nibbles else lines
                block = one_word(e, block, a, [add(at, I64(w)) for at in places], right)
            return block

        def one_word(e, block, a, places, right):
            left = {}

            def change(r, v, total):
                if r not in left:
                    left[r] = splatted(e, e.builder.load(e.element(1, a, places[r]), align=4))
                    if len(places) > 1:
                        _in_order(e)
                return product_of_quads(e, right[v], left[r], total)

            return _each(e, block, change)

        block_type = block
        ours = isinstance(block, Block) and all(flat(x, types.int32) for x in (a, b))
        return (block(block, a, i, row, b, j), emit) if ours and integers(i, row, j) else None

    return define


def _nibble(e: Emitter, words: Any, high: int) -> Any:
    """The low or the high half of every byte."""
    if high:
        words = e.builder.lshr(words, ir.Constant(WORD, [4] * N))
    return e.builder.and_(words, ir.Constant(WORD, [0x0F0F0F0F] * N))


def _add_scaled(_, total, block, s, i, row, t, j):
    def emit(e, total, block, s, i, row, t, j):
        shape, floats = total_type.shape, vector_of(types.float32)
        places = _steps(e, e.index(3, i), e.index(4, row), shape.rows)
        rows = [splatted(e, e.builder.load(e.element(2, s, at), align=4)) for at in places]
        halves, columns = ir.VectorType(ir.HalfType(), N), []
        for v in range(shape.vectors):
            at = e.builder.add(e.index(6, j), I64(v * N // 2))
            half = e.builder.load(e.element(5, t, at, halves), align=4)
            columns.append(e.builder.fpext(half, floats))

        def change(r, v, total):
            number = e.builder.extract_value(block, r * shape.vectors + v)
            unit = e.builder.fmul(rows[r], columns[v])
            return product_of_floats(e, e.builder.sitofp(number, floats), unit, total)

        return _each(e, total, change)

    if not (isinstance(total, Block) and isinstance(block, Block)):
        return None
    total_type = total
    ours = flat(s, types.float32) and flat(t, types.int32) and integers(i, row, j)
    same = total.shape == block.shape and block.dtype == types.int32
    return (total(total, block, s, i, row, t, j), emit) if ours and same else None
