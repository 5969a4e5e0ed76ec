"""Ops: what an op is. Families of ops, declared with these, live in `descent.ops`."""

from descent.op.declared import Context, Ladder, Lowering, Op, Rows, Rung, op
from descent.op.elementwise import Elementwise, elementwise, sum_to
from descent.op.views import Movement, movement

AnyOp = Op | Elementwise | Movement

__all__ = [
    "AnyOp", "Op", "op", "Ladder", "Rung", "Lowering", "Rows", "Context",
    "Elementwise", "elementwise", "Movement", "movement", "sum_to",
]  # fmt: skip
