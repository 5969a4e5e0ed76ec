"""A text's vector: the last norm's output for each of its tokens, of a model that has a head.

    h = norm(blocks(ids))  [T, C];   mean over T, or the last token's row;   v / |v|

Mean pooling: Reimers and Gurevych 2019, arXiv:1908.10084. A model trained to predict tokens alone
gives usable, not strong, vectors. Left out: models trained for embedding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np

from descent import from_numpy, no_grad

__all__ = ["embedder", "pooled"]


class _Headless:
    """A view of a model whose head lets the last norm's output through; the model is untouched."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def lm_head(self, x: Any) -> Any:
        return x


def embedder(model: Any) -> Callable[[Sequence[int]], np.ndarray] | None:
    """A function from ids (at most the model's context) to float32 [T, C]; None for a model that
    has no `lm_head` to leave out."""
    if not hasattr(model, "lm_head") or not hasattr(model, "new_cache"):
        return None
    headless = _Headless(model)

    def embed(ids: Sequence[int]) -> np.ndarray:
        with no_grad():
            x, _ = type(model).forward(headless, from_numpy(np.asarray(ids, np.int64)[None, :]))  # type: ignore[arg-type]
        return np.asarray(x.array[0], np.float32)

    return embed


def pooled(
    hidden: np.ndarray,
    *,
    how: Literal["mean", "last"] = "mean",
    dimensions: int | None = None,
    normalise: bool = True,
) -> np.ndarray:
    """float32 [C] (or its first `dimensions`) from float32 [T, C]."""
    vector = hidden[-1] if how == "last" else hidden.mean(axis=0, dtype=np.float64)
    vector = vector[:dimensions]
    length = float(np.linalg.norm(vector))
    if normalise and length > 0:
        vector = vector / length
    return vector.astype(np.float32)
