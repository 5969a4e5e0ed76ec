"""What is computed again instead of kept, when memory is large.

An activation that the backward pass reads is kept through the whole forward pass. When it is cheap
(elementwise, or a norm) and what it was made from is kept anyway, it is forgotten after the forward
pass and made again just before the backward pass reads it: time of one more elementwise pass, and
a layer's widest arrays need not be kept. Chen et al. 2016, arXiv:1604.06174, with the choice of
what to recompute made by kind.
"""

from __future__ import annotations

import copy
import itertools
from typing import Any

from descent.compiler.graph import Buffer, Loops, Map, Node, View, redirect
from descent.ops import normalization, rowwise

__all__ = ["recomputed"]

WORTH_BYTES = 256 << 20  # temporaries of a step below which nothing is recomputed
LARGE = 1 << 15  # elements from which an array is worth it
FAR = 24  # nodes between two uses from which an array counts as kept for later

_CHEAP = (normalization.layer_norm_rows, rowwise.rms_norm)


def recomputed(nodes: list[Any], results: list[View], new_buffer: Any) -> list[Any]:
    """The nodes, with cheap ones repeated before a far later use of their result."""
    buffers = {id(v.buffer): v.buffer for n in nodes for v in n.writes()}
    if sum(b.array.nbytes for b in buffers.values() if b.kind == "temporary") < WORTH_BYTES:
        return nodes
    wanted = {id(v.buffer) for v in results}
    uses, writers = _uses(nodes), _writers(nodes)
    out: list[Any] = []
    moved: dict[int, Buffer] = {}
    late: dict[int, list[tuple[int, Node]]] = {}  # node number → what to make again before it
    for i, node in enumerate(nodes):
        target = _cheap_target(node)
        if target is None or id(target.buffer) in wanted or target.size < LARGE:
            continue
        at = uses[id(target.buffer)]
        if at[0] != i or not target.whole:
            continue
        later = [b for a, b in itertools.pairwise(at) if b - a > FAR]
        if not later or writers[id(target.buffer)] != [i]:  # changed in place since
            continue
        if not _unchanged(node, i, later[0], writers) or not _kept_anyway(node, later[0], uses):
            continue
        late.setdefault(later[0], []).append((id(target.buffer), node))
    for i, node in enumerate(nodes):
        for old, maker in late.get(i, ()):
            again = _twin(maker, new_buffer)
            moved[old] = next(v for v in again.writes()).buffer
            out.append(again)
        redirect(node, moved)
        out.append(node)
    return out


def _uses(nodes: list[Any]) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for i, node in enumerate(nodes):
        for v in {id(v.buffer): v for v in (*node.reads(), *node.writes())}.values():
            found.setdefault(id(v.buffer), []).append(i)
    return found


def _writers(nodes: list[Any]) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for i, node in enumerate(nodes):
        for number in {id(v.buffer) for v in node.writes()}:
            found.setdefault(number, []).append(i)
    return found


def _unchanged(node: Any, i: int, at: int, writers: dict[int, list[int]]) -> bool:
    """Whether nothing writes to what it reads between its place and node `at`."""
    return not any(i < w < at for v in node.reads() for w in writers.get(id(v.buffer), ()))


def _cheap_target(node: Any) -> View | None:
    if isinstance(node, Map) and node.target.buffer.kind == "temporary":
        return node.target
    if isinstance(node, Loops) and any(node.fn is k for k in _CHEAP):
        return node.outputs[0]
    return None


def _kept_anyway(node: Any, at: int, uses: dict[int, list[int]]) -> bool:
    """Whether all it reads is unchanged, and read again at or after node `at`."""
    for v in node.reads():
        if v.buffer.kind in ("constant", "argument"):
            continue
        last = uses[id(v.buffer)][-1]
        if v.buffer.kind == "temporary" and last < at:
            return False
        if v.buffer.kind == "kept" and last > at:
            continue  # a parameter, updated only after its gradient is known
    return True


def _twin(node: Any, new_buffer: Any) -> Any:
    """The same node writing to memory of its own."""
    twin = copy.copy(node)
    fresh: dict[int, View] = {}
    for v in node.writes():
        buffer = new_buffer(v.buffer.size, v.buffer.dtype)
        fresh[id(v.buffer)] = View(buffer, v.offset, v.shape, v.strides)
    if isinstance(twin, Map):
        twin.target = fresh[id(node.target.buffer)]
    else:
        twin.outputs = [fresh[id(v.buffer)] for v in node.outputs]
    return twin
