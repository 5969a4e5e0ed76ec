"""Sums over products along named axes: Einstein's notation, tensordot, chains of matrices.

    einsum("bqd,bkd->bqk", q, k)_bqk = Σ_d q_bqd k_bkd

Everything here is made of diagonals, sums, permutations and one batched matrix product per pair of
operands, taken from left to right: no new gradient. Left out: choosing a better order of pairs.
"""

from __future__ import annotations

import string
from math import prod
from typing import Any

from descent.tensor.common import axis
from descent.tensor.products import matmul

__all__ = ["chain_matmul", "einsum", "kron", "linalg_multi_dot", "tensordot"]


def einsum(*args: Any) -> Any:
    """`einsum("ij,jk->ik", a, b)`, `einsum("...i->...", x)`, `einsum(a, [0, 1], b, [1], [0])`.

    Without an arrow the output has the letters that occur once, in alphabetical order. A letter
    repeated in one operand takes its diagonal.

    Raises:
        RuntimeError: for an equation that is malformed or does not fit the operands.
    """
    equation, tensors = _equation(args)
    left, arrow, right = equation.replace(" ", "").partition("->")
    inputs = left.split(",")
    if len(inputs) != len(tensors):
        raise RuntimeError(
            f"einsum(): the equation {equation!r} has {len(inputs)} operands, "
            f"but {len(tensors)} tensors were given"
        )
    dots = max(_dots(s, t) for s, t in zip(inputs, tensors))
    named = [list(_expanded(s, t, dots)) for s, t in zip(inputs, tensors)]
    output = _output(named, right if arrow else None, dots, equation)
    terms = [_without_repeats(t, labels) for t, labels in zip(tensors, named)]
    return _contract(terms, output, _sizes(terms, equation))


def _equation(args: tuple[Any, ...]) -> tuple[str, list[Any]]:
    """The equation as a string and the operands, from either calling form."""
    if not args:
        raise ValueError("einsum(): must specify the equation string and at least one operand")
    if isinstance(args[0], str):
        operands = args[1:]
        if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
            operands = operands[0]
        if not operands:
            raise ValueError("einsum(): must provide at least one operand")
        return args[0], list(operands)
    pairs = len(args) // 2
    text = ",".join(_sublist(args[2 * i + 1]) for i in range(pairs))
    if len(args) % 2:
        text += "->" + _sublist(args[-1])
    return text, [args[2 * i] for i in range(pairs)]


def _sublist(labels: Any) -> str:
    return "".join("..." if n is Ellipsis else string.ascii_letters[n] for n in labels)


def _dots(labels: str, t: Any) -> int:
    """How many axes `...` stands for in this operand."""
    n = t.array.ndim - len(labels.replace("...", ""))
    if n < 0 or (n > 0 and "..." not in labels):
        raise RuntimeError(
            f"einsum(): the labels {labels!r} do not fit an operand with {t.array.ndim} axes, "
            f"shape {list(t.array.shape)}"
        )
    return n if "..." in labels else 0


def _expanded(labels: str, t: Any, most: int) -> list[Any]:
    """One label per axis; the axes of `...` are the negative numbers −n … −1."""
    head, dots, tail = labels.partition("...")
    for letter in head + tail:
        if letter not in string.ascii_letters:
            raise RuntimeError(f"einsum(): {letter!r} in {labels!r} is not a letter [a-zA-Z]")
    return [*head, *(range(-_dots(labels, t), 0) if dots else ()), *tail]


def _output(named: list[list[Any]], right: str | None, dots: int, equation: str) -> list[Any]:
    every = [label for labels in named for label in labels]
    if right is None:
        letters = sorted(k for k in set(every) if isinstance(k, str) and every.count(k) == 1)
        return [*range(-dots, 0), *letters]
    head, found, tail = right.partition("...")
    output = [*head, *(range(-dots, 0) if found else ()), *tail]
    for label in output:
        if isinstance(label, str) and label not in every:
            raise RuntimeError(f"einsum(): output label {label!r} of {equation!r} is in no operand")
        if output.count(label) > 1:
            raise RuntimeError(f"einsum(): output label {label!r} appears twice in {equation!r}")
    return output


def _without_repeats(t: Any, labels: list[Any]) -> tuple[Any, list[Any]]:
    """Diagonals instead of repeated labels."""
    labels = list(labels)
    for label in dict.fromkeys(labels):
        while labels.count(label) > 1:
            i = labels.index(label)
            j = labels.index(label, i + 1)
            a, b = t.array.shape[i], t.array.shape[j]
            if a != b:
                raise RuntimeError(f"einsum(): label {label!r} is repeated with sizes {a} and {b}")
            t = t.diagonal(0, i, j)
            labels = [k for n, k in enumerate(labels) if n not in (i, j)] + [label]
    return t, labels


def _sizes(terms: list[tuple[Any, list[Any]]], equation: str) -> dict[Any, int]:
    sizes: dict[Any, int] = {}
    for t, labels in terms:
        for label, n in zip(labels, t.array.shape):
            known = sizes.get(label, 1)
            if known != 1 and n not in (1, known):
                shapes = ", ".join(str(tuple(x.array.shape)) for x, _ in terms)
                name = "'...'" if isinstance(label, int) else repr(label)
                raise RuntimeError(
                    f"einsum(): label {name} of {equation!r} has size {known} in one operand and "
                    f"{n} in another, which does not broadcast; got shapes {shapes}"
                )
            sizes[label] = n if known == 1 else known
    return sizes


def _contract(terms: list[tuple[Any, list[Any]]], output: list[Any], sizes: dict[Any, int]) -> Any:
    t, labels = terms[0]
    for i, (other, theirs) in enumerate(terms[1:], start=1):
        later = {*output, *(k for _, ls in terms[i + 1 :] for k in ls)}
        t, labels = _sum_out(t, labels, later | set(theirs))
        other, theirs = _sum_out(other, theirs, later | set(labels))
        t, labels = _multiply((t, labels), (other, theirs), later, sizes)
    t, labels = _sum_out(t, labels, set(output))
    missing = [k for k in output if k not in labels]  # '...' that no operand needed
    if missing:
        t = t.reshape([1 for _ in missing] + list(t.array.shape))
    labels = missing + labels
    return t.permute([labels.index(k) for k in output]) if output != labels else t


def _sum_out(t: Any, labels: list[Any], keep: set[Any]) -> tuple[Any, list[Any]]:
    gone = [i for i, k in enumerate(labels) if k not in keep]
    if not gone:
        return t, labels
    return t.sum(gone), [k for k in labels if k in keep]


def _multiply(
    a: tuple[Any, list[Any]], b: tuple[Any, list[Any]], later: set[Any], sizes: dict[Any, int]
) -> tuple[Any, list[Any]]:
    """The product of two operands, summed over the labels that nobody needs later."""
    (x, mine), (y, theirs) = a, b
    both = [k for k in mine if k in theirs]
    batch = [k for k in both if k in later]
    summed = [k for k in both if k not in later]
    rows = [k for k in mine if k not in both]
    columns = [k for k in theirs if k not in both]
    x = _arranged(x, mine, (batch, rows, summed), both, sizes)
    y = _arranged(y, theirs, (batch, summed, columns), both, sizes)
    labels = batch + rows + columns
    if batch:
        z = matmul(x, y)
    else:
        z = matmul(x.reshape(x.array.shape[1:]), y.reshape(y.array.shape[1:]))
    return z.reshape([sizes[k] for k in batch] + _shape(a, rows) + _shape(b, columns)), labels


def _shape(term: tuple[Any, list[Any]], labels: list[Any]) -> list[int]:
    t, mine = term
    return [t.array.shape[mine.index(k)] for k in labels]


def _arranged(
    t: Any, labels: list[Any], groups: tuple[list[Any], ...], both: list[Any], sizes: dict[Any, int]
) -> Any:
    """The operand with its axes in three groups, each made one axis."""
    order = [labels.index(k) for group in groups for k in group]
    if order != list(range(len(order))):
        t = t.permute(order)
    at = [k for group in groups for k in group]
    full = [sizes[k] if k in both else n for k, n in zip(at, t.array.shape)]
    if full != list(t.array.shape):
        t = t.expand(*full)
    known = dict(zip(at, full))
    return t.reshape([prod(known[k] for k in group) for group in groups])


def tensordot(a: Any, b: Any, dims: Any = 2) -> Any:
    """Σ over the last `dims` axes of a with the first of b, or over two lists of axes."""
    if hasattr(dims, "array"):
        dims = dims.tolist()
    if isinstance(dims, int):
        if dims < 0:
            raise RuntimeError(f"tensordot expects dims >= 0, but got dims={dims}")
        if dims > min(a.array.ndim, b.array.ndim):
            raise RuntimeError(
                f"tensordot expects dims < ndim_a or ndim_b, but got dims={dims} for "
                f"{a.array.ndim} and {b.array.ndim} axes"
            )
        mine = list(range(a.array.ndim - dims, a.array.ndim))
        theirs = list(range(dims))
    else:
        mine, theirs = (
            [
                axis(d, t.array.ndim)
                for d in (given if isinstance(given, (list, tuple)) else [given])
            ]
            for given, t in zip(dims, (a, b))
        )
    shapes = [[t.array.shape[d] for d in ds] for t, ds in ((a, mine), (b, theirs))]
    if len(mine) != len(theirs) or any(m != n and 1 not in (m, n) for m, n in zip(*shapes)):
        raise RuntimeError(f"contracted dimensions need to match, but got sizes {shapes}")
    labels = list(range(a.array.ndim))
    others = [len(labels) + i for i in range(b.array.ndim)]
    for m, n in zip(mine, theirs):
        others[n] = labels[m]
    free = [k for k in labels if k not in {labels[m] for m in mine}]
    free += [k for i, k in enumerate(others) if i not in theirs]
    return einsum(a, labels, b, others, free)


def kron(input: Any, other: Any) -> Any:
    """Kronecker product: every element of input times the whole of other."""
    n = max(input.array.ndim, other.array.ndim)
    a, b = ([1] * (n - t.array.ndim) + list(t.array.shape) for t in (input, other))
    pairs = input.reshape([k for m in a for k in (m, 1)]) * other.reshape(
        [k for m in b for k in (1, m)]
    )
    return pairs.reshape([m * k for m, k in zip(a, b)])


def linalg_multi_dot(tensors: Any) -> Any:
    """The product of a chain of matrices (the ends may be vectors) in the cheapest order.

    The order minimises multiplications: Cormen et al., "Introduction to Algorithms", 15.2.
    """
    chain = list(tensors)
    if len(chain) < 2:
        raise RuntimeError(f"multi_dot(): expected at least 2 tensors but got {len(chain)}")
    first, last = chain[0].array.ndim == 1, chain[-1].array.ndim == 1
    if first:
        chain[0] = chain[0].reshape(1, -1)
    if last:
        chain[-1] = chain[-1].reshape(-1, 1)
    for i, t in enumerate(chain):
        if t.array.ndim != 2:
            raise RuntimeError(
                f"multi_dot(): tensor {i} must be 2D but got {t.array.ndim}D "
                "(the first and the last may be 1D)"
            )
    y = _in_order(chain, _splits(chain), 0, len(chain) - 1)
    shape = y.array.shape
    return y.reshape((() if first else shape[:1]) + (() if last else shape[1:]))


def _splits(chain: list[Any]) -> dict[tuple[int, int], int]:
    """Where to split chain[i..j] so that the multiplications are fewest."""
    sizes = [chain[0].array.shape[0], *(t.array.shape[1] for t in chain)]
    cost = {(i, i): 0 for i in range(len(chain))}
    best: dict[tuple[int, int], int] = {}
    for length in range(2, len(chain) + 1):
        for i in range(len(chain) - length + 1):
            j = i + length - 1
            costs = {
                k: cost[i, k] + cost[k + 1, j] + sizes[i] * sizes[k + 1] * sizes[j + 1]
                for k in range(i, j)
            }
            best[i, j] = min(costs, key=costs.__getitem__)
            cost[i, j] = costs[best[i, j]]
    return best


def _in_order(chain: list[Any], best: dict[tuple[int, int], int], i: int, j: int) -> Any:
    if i == j:
        return chain[i]
    k = best[i, j]
    return matmul(_in_order(chain, best, i, k), _in_order(chain, best, k + 1, j))


def chain_matmul(*matrices: Any) -> Any:
    """`linalg.multi_dot` of matrices given one by one."""
    return matrices[0] if len(matrices) == 1 else linalg_multi_dot(matrices)
