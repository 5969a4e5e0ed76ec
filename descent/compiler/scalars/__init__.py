"""Scalar graphs recorded once, replayed as compiled loops over a batch; see `replay`."""

from descent.compiler.scalars.calling import Replay, ReplayWarning, replay

__all__ = ["Replay", "ReplayWarning", "replay"]
