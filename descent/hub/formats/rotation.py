"""Two layouts of a head's rotary pairs, and the order of rows that leads from one to the other.

    interleaved   (0, 1), (2, 3), …        llama2.c, Meta's own files, GGUF's "llama"
    half-split    (0, D/2), (1, D/2 + 1), …  Hugging Face's files, and ours

The rows of the q and k matrices (and their biases) of every head change places.
"""

from __future__ import annotations

import numpy as np

__all__ = ["half_split", "interleaved"]


def half_split(heads: int, head_dim: int) -> np.ndarray:
    """Which row of an interleaved matrix stands at each place of the half-split one."""
    one = np.arange(head_dim).reshape(head_dim // 2, 2).T.reshape(-1)  # 0 2 4 … 1 3 5 …
    return (np.arange(heads)[:, None] * head_dim + one).reshape(-1)


def interleaved(heads: int, head_dim: int) -> np.ndarray:
    """The inverse of `half_split`."""
    one = np.arange(head_dim).reshape(2, head_dim // 2).T.reshape(-1)
    return (np.arange(heads)[:, None] * head_dim + one).reshape(-1)
