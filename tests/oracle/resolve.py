"""Find an OpInfo's op in a namespace: function, else method, else one of a few explicit adapters.

An adapter exists only where PyTorch's own OpInfo calls the op through a lambda (other argument
order, a copy before an in-place method, a property); each says what the OpInfo's lambda says.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["find"]

Op = Callable[..., Any]


def _inplace(method: str) -> Callable[[Any], Op]:
    return lambda ns: lambda x, *a, **k: getattr(x, method)(*a, **k)


def _on_copy(method: str) -> Callable[[Any], Op]:
    return lambda ns: lambda x, *a: getattr(x.clone(), method)(*a)


def _attribute(name: str) -> Callable[[Any], Op]:
    return lambda ns: lambda x: getattr(x, name)


def _index_first(name: str) -> Callable[[Any], Op]:
    return lambda ns: lambda w, i, **k: getattr(ns.nn.functional, name)(i, w, **k)


def _order_first(ns_of: Callable[[Any], Any]) -> Callable[[Any], Op]:
    return lambda ns: lambda x, n, **k: ns_of(ns).polygamma(n, x, **k)


ADAPTERS: dict[str, tuple[str, Callable[[Any], Op]]] = {
    # OpInfo name (or name.variant): (dotted name that must exist, adapter)
    **{
        name: (f"Tensor.{method}", _inplace(method))
        for name, method in {
            "cauchy": "cauchy_",
            "exponential": "exponential_",
            "geometric": "geometric_",
            "log_normal": "log_normal_",
            "normal.in_place": "normal_",
            "uniform": "uniform_",
        }.items()
    },
    **{name: (f"Tensor.{name}", _on_copy(name)) for name in ("resize_", "resize_as_", "zero_")},
    **{name: (f"Tensor.{name}", _attribute(name)) for name in ("T", "H", "mT", "mH")},
    "einsum": ("einsum", lambda ns: lambda operands, equation: ns.einsum(equation, operands)),
    "where": ("where", lambda ns: lambda x, mask, other: ns.where(mask, x, other)),
    "normal.number_mean": ("normal", lambda ns: lambda s, m, *a, **k: ns.normal(m, s, *a, **k)),
    "nn.functional.embedding": ("nn.functional.embedding", _index_first("embedding")),
    "nn.functional.embedding_bag": ("nn.functional.embedding_bag", _index_first("embedding_bag")),
    "polygamma": ("polygamma", _order_first(lambda ns: ns)),
    "special.polygamma": ("special.polygamma", _order_first(lambda ns: ns.special)),
    **{
        name: (name, lambda ns, name=name: lambda a, b, **k: getattr(ns, name)(a @ b.mT, **k))
        for name in ("svd_lowrank", "pca_lowrank")
    },
    "linalg.pinv.singular": ("linalg.pinv", lambda ns: lambda a, b: ns.linalg.pinv(a @ b.mT)),
    "linalg.lstsq.grad_oriented": (
        "linalg.lstsq",
        lambda ns: lambda a, b, driver: ns.linalg.lstsq(a, b, driver=driver)[:2],
    ),
}


def find(ns: Any, name: str, variant: str = "") -> Op | None:
    """The op called `name` in `ns`; None when `ns` has no such thing."""
    adapter = ADAPTERS.get(f"{name}.{variant}") or ADAPTERS.get(name)
    if adapter:
        return adapter[1](ns) if _lookup(ns, adapter[0]) is not None else None
    for path in (name, f"Tensor.{name}"):
        found = _lookup(ns, path)
        if callable(found):  # `bool`, `float`, … are number types first, methods second
            return found
    return None


def _lookup(ns: Any, dotted: str) -> Any:
    for part in dotted.split("."):
        ns = getattr(ns, part, None)
        if ns is None:
            return None
    return ns
