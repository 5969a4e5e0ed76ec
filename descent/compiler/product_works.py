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


class _Terms:
    """One product of matrices, and the ways to write it as loops over calls of pack and product."""

    def __init__(self, node: Product, precision: str) -> None:
        self.node, self.y, self.a, self.c = node, node.y, node.a, node.c
        (self.b, self.m, self.k), self.n = node.a.shape, node.c.shape[2]
        self.panels = (self.n + WIDTH - 1) // WIDTH
        self.narrow = narrow = precision == "bf16" and self.k >= 32
        module = narrow_module() if narrow else "descent.ops.tiles"
        self.imports = {n + "_bf16" * narrow: (module, n) for n in ("pack", "product")}
        self.pack, self.product = self.imports
        self.scratch = "words" if narrow else "scratch"
        self.mode, self.bias = ("1", "bias") if node.bias is not None else ("0", "y")
        self.arguments = [v for v in (self.a, self.c, self.y, node.bias) if v is not None]
        self.names = ["a", "c", "y", "bias"][: len(self.arguments)]
        self.cost = 2 * self.b * self.m * self.n * self.k // 16
        self.a_row, self.a_col = self.a.strides[1:]
        if self.m == 1:
            self.a_row = 0
        self.title = f"{self.m}×{self.k} · {self.k}×{self.n}  {node.origin}"
        self.near = False  # whether a is packed too

    def turned(self) -> View:
        """aᵀ [1, k, m], as it is packed."""
        strides = (self.a.strides[0], self.a_col, self.a_row)
        return View(self.a.buffer, self.a.offset, (1, self.k, self.m), strides)

    def take_near(self, packed: View) -> None:
        """Read a from its panels: every unit would have to round all of it."""
        self.a = self.arguments[0] = packed
        self.near, name = True, "product_of_packed"
        self.imports = {self.pack: self.imports[self.pack], name: ("descent.ops.bf16", name)}

    def _multiply(self, p: str, terms: str, n: str, count: str, mode: str) -> str:
        """The call that multiplies a's columns from p on with panels in working memory."""
        to = f"y[left:], {self.y.strides[1]}"
        panels = f"{self.scratch}, {terms}, {n}"
        if self.near:
            at = f"{(self.k + 1) // 2}, {p} // 2"
            return (
                f"product_of_packed(a, {at}, {panels}, {to}, {self.m}, 0, {count}, {mode}, "
                f"{self._bias_from_left()})"
            )
        a = "a" if p == "0" else f"a[{p} * {self.a_col}:]"
        return (
            f"{self.product}({a}, {self.a_row}, {self.a_col}, {panels}, {to}, 0, {self.m}, "
            f"0, {count}, {mode}, {self._bias_from_left()})"
        )

    def _work(self, name: str, body: list[str], count: int, accesses: Any, scratch: int) -> Work:
        return Work(name, body, self.arguments, count, accesses, self.cost, self.title, self.names,
                    scratch=scratch, imports=self.imports)  # fmt: skip

    def _whole(self) -> list[Any]:
        return [access(v, 1, v is self.y, True) for v in self.arguments]

    def batched(self) -> Work:
        """Many products of the same sizes: whole ones are shared out."""
        y, a, c = self.y, self.a, self.c
        body = [
            "for b in range(lo, hi):",
            f"    cb, ab, yb = c[b * {c.strides[0]}:], a[b * {a.strides[0]}:], "
            f"y[b * {y.strides[0]}:]",
            f"    {self.pack}(cb, {c.strides[1]}, {c.strides[2]}, {self.k}, {self.n}, "
            f"{self.scratch}, 0, {self.panels})",
            f"    {self.product}(ab, {a.strides[1]}, {a.strides[2]}, {self.scratch}, {self.k}, "
            f"{self.n}, yb, {y.strides[1]}, 0, {self.m}, 0, {self.panels}, {self.mode}, "
            f"{self.bias}b)",
        ]
        accesses = [access(v, self.b, v is y) for v in (a, c, y)]
        size = panels_size(self.k, self.n)
        return self._work("batched_product", body, self.b, accesses, size)

    def by_rows(self, packed: View) -> Work:
        """Panels that are packed once; the rows are shared out."""
        body = [
            f"{self.product}(a, {self.a_row}, {self.a_col}, c, {self.k}, {self.n}, y, "
            f"{self.y.strides[1]}, lo, hi, 0, {self.panels}, {self.mode}, {self.bias})"
        ]
        rows = [restride(v, (self.m, v.shape[2])) or v for v in (self.a, self.y)]
        accesses = [
            access(rows[0], self.m, False),
            access(rows[1], self.m, True),
            access(packed, 1, False, True),
        ]
        if self.node.bias is not None:
            accesses.append(access(self.node.bias, 1, False, True))
        self.arguments[1] = packed
        return self._work("product", body, self.m, accesses, 0)

    def by_depth(self) -> Work:
        """Long sums: six panels at a time, so that a is rounded and read once for all of them."""
        c = self.c
        group = max(2, min(6, self.panels // (2 * n_threads())))
        depth = _even_cut(self.k, (CHUNK << self.narrow) // (group * WIDTH))
        body = [
            "for unit in range(lo, hi):",
            f"    left = unit * {group * WIDTH}",
            f"    n = min({self.n} - left, {group * WIDTH})",
            f"    count = (n + {WIDTH - 1}) // {WIDTH}",
            f"    for p in range(0, {self.k}, {depth}):",
            f"        terms, how = min({depth}, {self.k} - p), {self.mode} if p == 0 else 2",
            f"        {self.pack}(c[p * {c.strides[1]} + left * {c.strides[2]}:], {c.strides[1]}, "
            f"{c.strides[2]}, terms, n, {self.scratch}, 0, count)",
            f"        {self._multiply('p', 'terms', 'n', 'count', 'how')}",
        ]
        units, size = -(-self.panels // group), group * depth * WIDTH
        return self._work("product_by_depth", body, units, self._whole(), size)

    def by_columns(self, chunk: int) -> Work:
        """Panels are packed, a few at a time, by whoever multiplies with them."""
        c = self.c
        body = [
            f"for first in range(lo, hi, {chunk}):",
            f"    last = min(first + {chunk}, hi)",
            f"    left = first * {WIDTH}",
            f"    n = min({self.n} - left, (last - first) * {WIDTH})",
            f"    {self.pack}(c[left * {c.strides[2]}:], {c.strides[1]}, {c.strides[2]}, {self.k}, "
            f"n, {self.scratch}, 0, last - first)",
            f"    {self._multiply('0', str(self.k), 'n', 'last - first', self.mode)}",
        ]
        size = chunk * self.k * WIDTH
        return self._work("product_by_columns", body, self.panels, self._whole(), size)

    def _bias_from_left(self) -> str:
        return "y" if self.bias == "y" else "bias[left:]"


class ProductWorks:
    """The part of `Works` that multiplies matrices."""

    precision: str
    done: list[Work]
    packed: dict[tuple[Any, ...], View]
    temporary: Any

    def _product(self, node: Product) -> list[Work]:
        """The works of one product: by its shapes, one of the four ways below."""
        if node.y.dtype != np.float32:
            return self._plain_product(node)
        t = _Terms(node, self.precision)
        if t.b > 1:
            return [t.batched()]
        size = panels_size((t.k + 1) // 2 if t.narrow else t.k, t.n)
        large = t.m * t.n > FAR  # then y is better written row by row
        first: list[Work] = []
        if size <= SMALL_PANELS << large and t.m >= 4 * t.panels:
            kind = np.int32 if t.narrow else np.float32
            packed, first = self._packed(t.c, t.k, t.n, t.panels, t.imports, kind)
            return [*first, t.by_rows(packed)]
        if t.narrow and not usable():
            groups = (t.m + WIDTH - 1) // WIDTH
            packed, first = self._packed(t.turned(), t.k, t.m, groups, t.imports, np.int32)
            t.take_near(packed)
        chunk = max(1, min(t.panels, (CHUNK << t.narrow) // max(t.k * WIDTH, 1)))
        # Without panels of its own a is taken anew for each chunk, and that takes long.
        far = t.k * WIDTH > CHUNK << 1 if t.near else t.narrow or t.m * t.k > FAR
        if chunk < min(t.panels, 4) and far:
            return [*first, t.by_depth()]
        return [*first, t.by_columns(chunk)]

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
