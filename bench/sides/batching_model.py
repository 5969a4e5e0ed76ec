"""A model that answers in batches: 5 ms and 0.1 ms an input, as a small network on a CPU takes.
Ours; the peers' are beside it (`batching_litserve.py`, `batching_bentoml.py`).

POST {"x": 1} → {"y": 2.0}
"""

from __future__ import annotations

import time

from pydantic import BaseModel

__all__ = ["In", "Model", "Out", "compute"]

FIXED_S, EACH_S = 0.005, 0.0001


class In(BaseModel):
    x: float


class Out(BaseModel):
    y: float


def compute(xs: list[float]) -> list[float]:
    """The model; asleep rather than at work, so that servers are compared and not schedulers."""
    time.sleep(FIXED_S + EACH_S * len(xs))
    return [x + 1 for x in xs]


class Model:
    def predict(self, values: list[In]) -> list[Out]:
        return [Out(y=y) for y in compute([value.x for value in values])]
