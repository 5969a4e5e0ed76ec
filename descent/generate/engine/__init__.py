"""The generation engine: continuous batching over a paged cache."""

from descent.generate.engine.engine import Completion, Engine, Stats
from descent.generate.engine.handle import Handle

__all__ = ["Completion", "Engine", "Handle", "Stats"]
