"""A model on one screen: its tree with shapes and parameter counts.

Equal neighbours in a list are printed once, a tied parameter is counted once and says with whom it
is shared, and the tree is cut at the depth that fits the screen.
"""

from __future__ import annotations

from typing import Any

from descent.nn.module import Module

__all__ = ["Summary", "summary"]

_LINES = 40


class Summary(str):
    """Text that a notebook or prompt shows as it is."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def summary(module: Module, depth: int | None = None) -> Summary:
    """The tree of `module`, `depth` levels deep (None: as deep as fits on a screen)."""
    total = sum(p.array.size for p in module.parameters())
    frozen = sum(p.array.size for p in module.parameters() if not p.requires_grad)
    trees = [_tree(module, d) for d in ([depth] if depth is not None else range(1, 20))]
    rows = next((t for t in reversed(trees) if len(t) <= _LINES), trees[0])
    width = max(len(left) for left, _, _ in rows)
    numbers = max(len(n) for _, n, _ in rows)
    lines = [f"{left:<{width}}  {n:>{numbers}}  {shapes}".rstrip() for left, n, shapes in rows]
    note = f" ({frozen:,} frozen)" if frozen else ""
    return Summary("\n".join([*lines, f"{total:,} parameters{note}"]))


def _tree(root: Module, depth: int) -> list[tuple[str, str, str]]:
    """(tree and name, number of parameters, shapes) per line."""
    names: dict[int, str] = {}  # the first name of every parameter, for the tied ones
    rows: list[tuple[str, str, str]] = []

    def count(m: Module) -> int:
        return sum(p.array.size for p in m.parameters() if id(p) not in names)

    def visit(m: Any, label: str, lead: str, below: str, level: int, path: str) -> None:
        size = count(m)
        shapes = []
        for name, p in m._parameters.items():
            if p is not None:
                shared = names.get(id(p))
                tied = f" = {shared}" if shared else ""
                shapes.append(f"{name} {list(p.array.shape)}{tied}")
                names.setdefault(id(p), f"{path}.{name}" if path else name)
        each = " each" if "×" in label else ""
        rows.append((f"{lead}{label}{type(m).__name__}", f"{size:,}{each}", ", ".join(shapes)))
        groups = _groups(m) if level < depth else []
        for i, (first, last, child) in enumerate(groups):
            end = i == len(groups) - 1
            many = f"{first}-{last}: {int(last) - int(first) + 1} × " if first != last else ""
            visit(
                child,
                many or f"{first}: ",
                below + ("└─ " if end else "├─ "),
                below + ("   " if end else "│  "),
                level + 1,
                f"{path}.{first}" if path else first,
            )
        for name, p in m.named_parameters():
            names.setdefault(id(p), f"{path}.{name}" if path else name)

    visit(root, "", "", "", 0, "")
    return rows


def _groups(m: Module) -> list[tuple[str, str, Module]]:
    """(first name, last name, module) with equal numbered neighbours joined."""
    groups: list[tuple[str, str, Module]] = []
    last_text = None
    for name, child in m.named_children():
        text = _structure(child)
        if groups and name.isdigit() and groups[-1][1].isdigit() and text == last_text:
            groups[-1] = (groups[-1][0], name, groups[-1][2])
        else:
            groups.append((name, name, child))
        last_text = text
    return groups


def _structure(m: Module) -> str:
    """What makes two modules look the same: their repr and the shapes of their parameters."""
    return repr(m) + str([(n, p.array.shape) for n, p in m.named_parameters()])
