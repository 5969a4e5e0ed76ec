"""Training: settings, the loop, checkpoints, metrics."""

from descent.train.checkpoint import CheckpointError
from descent.train.loop import Training
from descent.train.nonfinite import NonFiniteError
from descent.train.settings import TrainSettings

__all__ = ["CheckpointError", "NonFiniteError", "TrainSettings", "Training"]
