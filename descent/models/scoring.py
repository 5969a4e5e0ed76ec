"""The loss every model here is trained with.   −1/N Σ_n log softmax(logits_n)[target_n]"""

from __future__ import annotations

from descent import Tensor
from descent.nn import functional as F

__all__ = ["token_loss"]


def token_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy in nats per predicted token; targets of -1 are not predicted.

    Args:
        logits: [B, T, V].
        targets: int64 [B, T].
    """
    B, T, V = logits.shape
    return F.cross_entropy(logits.reshape(B * T, V), targets.reshape(B * T), ignore_index=-1)
