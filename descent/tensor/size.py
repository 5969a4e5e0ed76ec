"""`Size`, the shape of a tensor (a tuple that prints as PyTorch's), `device`, memory formats."""

from __future__ import annotations

from math import prod
from typing import Any

__all__ = [
    "Size", "channels_last", "channels_last_3d", "contiguous_format", "device", "layout",
    "memory_format", "preserve_format", "strided",
]  # fmt: skip


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


class _Name:
    """A constant that prints as PyTorch's."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"torch.{self.name}"


class memory_format(_Name):
    """An order of the axes in memory; a wish that is accepted and has no effect on the numbers."""


class layout(_Name):
    """How elements are stored; here always by strides."""


contiguous_format, preserve_format = (
    memory_format("contiguous_format"),
    memory_format("preserve_format"),
)
channels_last, channels_last_3d = memory_format("channels_last"), memory_format("channels_last_3d")
strided = layout("strided")
