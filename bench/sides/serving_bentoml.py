"""The service on BentoML, which finds it by its module's name."""

from __future__ import annotations

import bentoml

from bench.sides.serving_peers import Out

__all__ = ["Noop"]


@bentoml.service(workers=1)
class Noop:
    @bentoml.api
    def noop(self, x: float) -> Out:
        return Out(y=x + 1)
