"""The service that every side serves: a JSON object in, checked; one out. Ours.

POST {"x": 1} → {"y": 2.0}        Tokens: POST {"x": n} → n server-sent events {"y": i}
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from pydantic import BaseModel

__all__ = ["In", "Noop", "NoopBatched", "NoopDef", "Out", "Tokens"]


class In(BaseModel):
    x: float


class Out(BaseModel):
    y: float


class Noop:
    async def predict(self, value: In) -> Out:
        return Out(y=value.x + 1)


class NoopDef:
    def predict(self, value: In) -> Out:
        return Out(y=value.x + 1)


class NoopBatched:
    async def predict(self, values: list[In]) -> list[Out]:
        return [Out(y=value.x + 1) for value in values]


class Tokens:
    async def predict(self, value: In) -> AsyncIterator[Out]:
        for i in range(int(value.x)):
            yield Out(y=i)
