"""Probability distributions: `Categorical`, `Bernoulli`, `Normal`, under `torch.distributions`.

    Categorical   log p(k) = logit_k − log Σ_j exp(logit_j)
    Bernoulli     log p(x) = x·l − log(1 + exp l),   l the logit
    Normal        log p(x) = −(x − μ)² / 2σ² − log σ − ½ log 2π

Left out: the other distributions, transforms, arguments' constraints beyond the obvious.
"""

from __future__ import annotations

import math
from typing import Any

import descent
from descent.nn import functional

__all__ = ["Bernoulli", "Categorical", "Distribution", "Normal"]


def _one_of(name: str, probs: Any, logits: Any) -> None:
    if (probs is None) == (logits is None):
        raise ValueError(f"Either `probs` or `logits` must be specified for {name}, but not both.")


class Distribution:
    """What distributions share: samples of a shape in front of the batch."""

    def log_prob(self, value: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no log_prob")

    def sample(self, sample_shape: Any = ()) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no sample")


class Categorical(Distribution):
    """One of K classes: probs or logits [..., K]."""

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: Any = None) -> None:
        _one_of("Categorical", probs, logits)
        if probs is not None:
            self.probs = probs / probs.sum(-1, keepdim=True)
            tiny = 1e-7 if self.probs.dtype == descent.float32 else 2.220446049250313e-16
            self.logits = self.probs.clamp(tiny, 1 - tiny).log()
        else:
            self.logits = logits - logits.logsumexp(-1, keepdim=True)
            self.probs = functional.softmax(self.logits, -1)

    def sample(self, sample_shape: Any = ()) -> Any:
        """Class numbers [*sample_shape, ...]."""
        shape = tuple(sample_shape)
        rows = self.probs.detach().reshape(-1, self.probs.shape[-1])
        drawn = descent.multinomial(rows, math.prod(shape), True).t()
        return drawn.reshape((*shape, *self.probs.shape[:-1]))

    def log_prob(self, value: Any) -> Any:
        """log p(value)."""
        index = value.long().unsqueeze(-1)
        shape = descent.broadcast_shapes(index.shape[:-1], self.logits.shape[:-1])
        logits = self.logits.expand(*shape, self.logits.shape[-1])
        return logits.gather(-1, index.expand(*shape, 1)).squeeze(-1)

    def entropy(self) -> Any:
        """− Σ p log p."""
        return -(self.probs * self.logits).sum(-1)


class Bernoulli(Distribution):
    """1 with probability p, else 0."""

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: Any = None) -> None:
        _one_of("Bernoulli", probs, logits)
        if probs is not None:
            self.probs = descent.as_tensor(probs)
            self.logits = self.probs.log() - (1 - self.probs).log()
        else:
            self.logits = descent.as_tensor(logits)
            self.probs = functional.sigmoid(self.logits)

    def sample(self, sample_shape: Any = ()) -> Any:
        """0s and 1s [*sample_shape, ...]."""
        p = self.probs.detach().expand(*sample_shape, *self.probs.shape)
        return descent.bernoulli(p)

    def log_prob(self, value: Any) -> Any:
        """log p(value)."""
        logits, value = descent.broadcast_tensors(self.logits, value)
        return -functional.binary_cross_entropy_with_logits(logits, value, reduction="none")

    def entropy(self) -> Any:
        """− p log p − (1−p) log (1−p)."""
        return functional.binary_cross_entropy_with_logits(
            self.logits, self.probs, reduction="none"
        )


class Normal(Distribution):
    """The bell curve with mean `loc` and standard deviation `scale`."""

    def __init__(self, loc: Any, scale: Any, validate_args: Any = None) -> None:
        self.loc, self.scale = descent.broadcast_tensors(
            descent.as_tensor(loc), descent.as_tensor(scale)
        )
        if not bool((self.scale > 0).all()):
            raise ValueError("Normal needs a positive scale everywhere")
        self.mean, self.stddev = self.loc, self.scale

    def sample(self, sample_shape: Any = ()) -> Any:
        """Numbers [*sample_shape, ...], without history."""
        shape = (*sample_shape, *self.loc.shape)
        with descent.no_grad():
            return descent.normal(self.loc.expand(shape), self.scale.expand(shape))

    def rsample(self, sample_shape: Any = ()) -> Any:
        """Numbers that carry gradients to loc and scale."""
        shape = (*sample_shape, *self.loc.shape)
        return self.loc + self.scale * descent.randn(shape, dtype=self.loc.dtype)

    def log_prob(self, value: Any) -> Any:
        """log p(value)."""
        z = (value - self.loc) ** 2 / (2 * self.scale**2)
        return -z - self.scale.log() - math.log(math.sqrt(2 * math.pi))

    def entropy(self) -> Any:
        """½ + ½ log 2π + log σ."""
        return 0.5 + 0.5 * math.log(2 * math.pi) + self.scale.log()
