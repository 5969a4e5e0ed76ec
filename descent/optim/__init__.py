"""Optimisers and learning-rate schedules, under PyTorch's names."""

from descent.optim import lr_scheduler, schedule
from descent.optim.adagrad import Adagrad
from descent.optim.adam import Adam, AdamW
from descent.optim.optimizer import Optimizer
from descent.optim.rmsprop import RMSprop
from descent.optim.schedule import cosine_with_warmup, warmup_stable_decay
from descent.optim.sgd import SGD

__all__ = [
    "lr_scheduler", "schedule",
    "Optimizer",
    "Adagrad", "Adam", "AdamW", "RMSprop", "SGD",
    "cosine_with_warmup", "warmup_stable_decay",
]  # fmt: skip
