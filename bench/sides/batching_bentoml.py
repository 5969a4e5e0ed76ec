"""The model of `batching_model.py` on BentoML, whose batched APIs take and give lists:

bentoml serve bench.sides.batching_bentoml:Model      POST {"xs": [1]} → [2.0]
"""

from __future__ import annotations

import bentoml

from bench.sides.batching_model import compute

__all__ = ["Model"]


@bentoml.service(workers=1, traffic={"timeout": 60})
class Model:
    @bentoml.api(batchable=True, max_batch_size=32, max_latency_ms=60_000)
    def model(self, xs: list[float]) -> list[float]:
        return compute(xs)
