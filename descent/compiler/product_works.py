"""Products as works: divided by rows over panels packed once, or by panels packed on the way."""

from __future__ import annotations

from typing import Any

import numpy as np

from descent.compiler.fuse import restride
from descent.compiler.graph import Product, View
from descent.compiler.work import Work, access
from descent.ops.amx_trial import usable
from descent.ops.tiles import WIDTH, panels_size
from descent.threads import n_threads

__all__ = ["ProductWorks"]

SMALL_PANELS = 1 << 16  # floats of a packed operand that is packed once and shared by all threads
FAR = 1 << 22  # floats that do not stay in the caches
CHUNK = 1 << 17  # floats of panels that one thread packs at a time: half the second cache


def narrow_module() -> str:
    """Where the products of bf16 are that this processor is fastest at."""
    return "descent.ops.amx" if usable() else "descent.ops.bf16"


def _even_cut(k: int, most: int) -> int:
    """Terms of a part when k are cut into equal parts of at most `most` (multiples of 64)."""
    parts = -(-k // max(most // 64 * 64, 64))
    return -(-k // (64 * parts)) * 64


class ProductWorks:
    """The part of `Works` that multiplies matrices."""

    precision: str
    done: list[Work]
    packed: dict[tuple[Any, ...], View]
    temporary: Any

    def _product(self, node: Product) -> list[Work]:
        y, a, c = node.y, node.a, node.c
        if y.dtype != np.float32:
            return self._plain_product(node)
        (b, m, k), n = a.shape, c.shape[2]
        panels = (n + WIDTH - 1) // WIDTH
        narrow = self.precision == "bf16" and k >= 32
        module = narrow_module() if narrow else "descent.ops.tiles"
        imports = {n + "_bf16" * narrow: (module, n) for n in ("pack", "product")}
        pack, product = imports
        scratch = "words" if narrow else "scratch"
        mode, bias = ("1", "bias") if node.bias is not None else ("0", "y")
        arguments = [a, c, y, *([node.bias] if node.bias is not None else [])]
        names = "a, c, y, bias".split(", ")[: len(arguments)]
        cost = 2 * b * m * n * k // 16
        if b > 1:
            body = [
                "for b in range(lo, hi):",
                f"    cb, ab, yb = c[b * {c.strides[0]}:], a[b * {a.strides[0]}:], "
                f"y[b * {y.strides[0]}:]",
                f"    {pack}(cb, {c.strides[1]}, {c.strides[2]}, {k}, {n}, {scratch}, 0, {panels})",
                f"    {product}(ab, {a.strides[1]}, {a.strides[2]}, {scratch}, {k}, {n}, yb, "
                f"{y.strides[1]}, 0, {m}, 0, {panels}, {mode}, {bias}b)",
            ]
            accesses = [access(v, b, v is y) for v in (a, c, y)]
            return [Work("batched_product", body, arguments, b, accesses, cost, parameters=names,
                         scratch=panels_size(k, n), imports=imports)]  # fmt: skip
        a_row, a_col = a.strides[1:]
        if m == 1:
            a_row = 0
        by_rows = panels_size(k, n) <= SMALL_PANELS and m >= 4 * panels
        if by_rows:
            packed, first = self._packed(
                c, k, n, panels, imports, np.int32 if narrow else np.float32
            )
            body = [
                f"{product}(a, {a_row}, {a_col}, c, {k}, {n}, y, {y.strides[1]}, lo, hi, 0, "
                f"{panels}, {mode}, {bias})"
            ]
            rows = [restride(v, (m, v.shape[2])) or v for v in (a, y)]
            accesses = [
                access(rows[0], m, False),
                access(rows[1], m, True),
                access(packed, 1, False, True),
            ]
            if node.bias is not None:
                accesses.append(access(node.bias, 1, False, True))
            arguments[1] = packed
            work = Work("product", body, arguments, m, accesses, cost, parameters=names,
                        imports=imports)  # fmt: skip
            work.title = f"{m}×{k} · {k}×{n}  {node.origin}"
            return [*first, work]
        accesses = [access(v, 1, v is y, True) for v in arguments]
        title = f"{m}×{k} · {k}×{n}  {node.origin}"
        chunk = max(1, min(panels, (CHUNK << narrow) // max(k * WIDTH, 1)))
        far = narrow or m * k > FAR
        if chunk < min(panels, 4) and far:  # a is taken anew for each chunk, and that takes long
            group = max(2, min(6, panels // (2 * n_threads())))
            depth = _even_cut(k, (CHUNK << narrow) // (group * WIDTH))
            body = [
                "for unit in range(lo, hi):",
                f"    left = unit * {group * WIDTH}",
                f"    n = min({n} - left, {group * WIDTH})",
                f"    count = (n + {WIDTH - 1}) // {WIDTH}",
                f"    for p in range(0, {k}, {depth}):",
                f"        terms, how = min({depth}, {k} - p), {mode} if p == 0 else 2",
                f"        {pack}(c[p * {c.strides[1]} + left * {c.strides[2]}:], {c.strides[1]}, "
                f"{c.strides[2]}, terms, n, {scratch}, 0, count)",
                f"        {product}(a[p * {a_col}:], {a_row}, {a_col}, {scratch}, terms, n, "
                f"y[left:], {y.strides[1]}, 0, {m}, 0, count, how, "
                f"{bias if bias == 'y' else 'bias[left:]'})",
            ]
            work = Work("product_by_depth", body, arguments, -(-panels // group), accesses, cost,
                        title, names, scratch=group * depth * WIDTH, imports=imports)  # fmt: skip
            return [work]
        body = [
            f"for first in range(lo, hi, {chunk}):",
            f"    last = min(first + {chunk}, hi)",
            f"    left = first * {WIDTH}",
            f"    n = min({n} - left, (last - first) * {WIDTH})",
            f"    {pack}(c[left * {c.strides[2]}:], {c.strides[1]}, {c.strides[2]}, {k}, n, "
            f"{scratch}, 0, last - first)",
            f"    {product}(a, {a_row}, {a_col}, {scratch}, {k}, n, y[left:], {y.strides[1]}, 0, "
            f"{m}, 0, last - first, {mode}, {bias if bias == 'y' else 'bias[left:]'})",
        ]
        work = Work("product_by_columns", body, arguments, panels, accesses, cost, parameters=names,
                    scratch=chunk * k * WIDTH, imports=imports)  # fmt: skip
        work.title = title
        return [work]

    def _packed(self, c: View, k: int, n: int, panels: int, imports: Any, kind: Any) -> Any:
        """The panels of c, and the work that packs them (nothing when they are there already)."""
        key = (id(c.buffer), c.offset, c.shape, c.strides)
        pack = next(iter(imports))
        if key in self.packed and self._unchanged(key, c):
            return self.packed[key], []
        packed = self.temporary(panels_size(k if kind == np.float32 else (k + 1) // 2, n), kind)
        self.packed[key] = packed
        body = [f"{pack}(c, {c.strides[1]}, {c.strides[2]}, {k}, {n}, y, lo, hi)"]
        accesses = [access(c, 1, False, True), access(packed, panels, True)]
        work = Work("pack", body, [c, packed], panels, accesses, k * n // 4, imports=imports,
                    parameters=["c", "y"])  # fmt: skip
        work.hoistable = True
        return packed, [work]

    def _unchanged(self, key: Any, c: View) -> bool:
        """Whether nothing wrote to c since it was packed."""
        packed = self.packed[key]
        at = max(
            i
            for i, w in enumerate(self.done)
            if any(x.buffer is packed.buffer and x.writes for x in w.accesses)
        )
        low, high = c.span()
        return not any(
            x.writes and x.buffer is c.buffer and x.low < high and low < x.high
            for w in self.done[at + 1 :]
            for x in w.accesses
        )

    def _plain_product(self, node: Product) -> list[Work]:
        """float64 and others: three loops."""
        y, a, c = node.y, node.a, node.c
        (b, m, k), n = a.shape, c.shape[2]
        start = f"bias[j * {node.bias.strides[0]}]" if node.bias is not None else "zero"
        at = lambda v, i, j: f"b * {v.strides[0]} + {i} * {v.strides[1]} + {j} * {v.strides[2]}"  # noqa: E731
        kind = f"np.{y.dtype.name}"
        body = [
            f"zero = {kind}(0)",
            "for unit in range(lo, hi):",
            f"    b, i = unit // {m}, unit % {m}",
            f"    for j in range({n}):",
            f"        total = {start}",
            f"        for p in range({k}):",
            f"            total += a[{at(a, 'i', 'p')}] * c[{at(c, 'p', 'j')}]",
            f"        y[{at(y, 'i', 'j')}] = total",
        ]
        arguments = [a, c, y, *([node.bias] if node.bias is not None else [])]
        accesses = [access(v, 1, v is y, True) for v in arguments]
        return [Work("plain_product", body, arguments, b * m, accesses, 2 * b * m * n * k,
                     parameters=["a", "c", "y", "bias"][: len(arguments)],
                     reorder=True)]  # fmt: skip
