"""`Size`, the shape of a tensor (a tuple that prints and slices as PyTorch's), and `device`."""

from __future__ import annotations

from math import prod
from typing import Any

__all__ = ["Size", "device"]


class Size(tuple):
    """A tuple of axis sizes."""

    def numel(self) -> int:
        """The number of elements."""
        return prod(self)

    def __getitem__(self, key: Any) -> Any:
        got = tuple.__getitem__(self, key)
        return Size(got) if isinstance(key, slice) else got

    def __add__(self, other: Any) -> Size:
        return Size(tuple.__add__(self, tuple(other)))

    def __repr__(self) -> str:
        return f"torch.Size({list(self)})"


class device:
    """A place for tensors; here always the CPU.

    Raises:
        RuntimeError: for any other device.
    """

    def __init__(self, name: Any = "cpu", index: int | None = None) -> None:
        if isinstance(name, device):
            name = name.type
        if str(name).split(":")[0] != "cpu":
            raise RuntimeError(f"Descent computes on the CPU; device {name!r} is not available")
        self.type = "cpu"
        self.index = index

    def __eq__(self, other: object) -> bool:
        return isinstance(other, device) or other == "cpu"

    def __hash__(self) -> int:
        return hash("cpu")

    def __str__(self) -> str:
        return "cpu"

    def __repr__(self) -> str:
        return "device(type='cpu')"
