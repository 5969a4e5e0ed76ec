"""A no-op service whose versions differ by their config; one with `breaks` cannot be loaded."""

from __future__ import annotations

from pydantic import BaseModel

__all__ = ["Noop"]


class Item(BaseModel):
    x: int


class Noop:
    def __init__(self, config: dict) -> None:
        self.config = config

    def load(self) -> None:
        if self.config.get("breaks"):
            raise RuntimeError("this version is broken on purpose")

    async def predict(self, item: Item) -> Item:
        return item
