"""The generation engine: continuous batching over a paged cache."""

from descent.generate.engine.engine import Engine
from descent.generate.engine.handle import Handle
from descent.generate.engine.reports import Completion, Stats

__all__ = ["Completion", "Engine", "Handle", "Stats"]
