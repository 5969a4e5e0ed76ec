"""What a batch of n costs: seconds ≈ each · n + fixed, by least squares over the latest batches.

    each = cov(n, t) / (var(n) + λ · mean(n)²)        fixed = mean(t) − each · mean(n)

Each batch weighs `_KEEP` times what the next one weighs. Batches of much the same size say little
about how their time divides: λ then leaves it to `fixed`, rather than to chance. Reference:
BentoML's dispatcher fits the same line, Crankshaw et al. 2017 (Clipper) §4.3 why it is one.
"""

from __future__ import annotations

__all__ = ["Line"]

_KEEP = 0.95
_RIDGE = 0.01


class Line:
    """The line through what has been noted; `known` once there is anything."""

    def __init__(self) -> None:
        self._w = self._n = self._t = self._nn = self._nt = 0.0

    @property
    def known(self) -> bool:
        return self._w > 0

    def note(self, n: int, seconds: float) -> None:
        """A batch of `n` took so long."""
        self._w = self._w * _KEEP + 1
        self._n = self._n * _KEEP + n
        self._t = self._t * _KEEP + seconds
        self._nn = self._nn * _KEEP + n * n
        self._nt = self._nt * _KEEP + n * seconds

    def fit(self) -> tuple[float, float]:
        """(seconds for each item, fixed seconds), neither below 0."""
        if not self.known:
            return 0.0, 0.0
        mean_n, mean_t = self._n / self._w, self._t / self._w
        spread = self._nn / self._w - mean_n * mean_n
        each = (self._nt / self._w - mean_n * mean_t) / (spread + _RIDGE * mean_n * mean_n)
        each = max(0.0, each)
        return (each, mean_t - each * mean_n) if each * mean_n <= mean_t else (mean_t / mean_n, 0.0)

    def seconds(self, n: int) -> float:
        """What a batch of `n` should take."""
        each, fixed = self.fit()
        return each * n + fixed
