"""Embedding: a table of vectors, looked up by number.   y = W[ids]"""

from __future__ import annotations

from typing import Any

import numpy as np

from descent.nn import functional as F
from descent.nn import init
from descent.nn.linear import empty_parameter
from descent.nn.module import Module
from descent.nn.parameter import Parameter

__all__ = ["Embedding"]


class Embedding(Module):
    """ids: [...] integers in [0, V) → [..., C]; weight: [V, C], standard normal at first.

    Row `padding_idx` starts at zero and gets no gradient. `max_norm` shrinks longer rows in place
    before a lookup.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Any = None,
        _freeze: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if padding_idx is not None:
            if not -num_embeddings <= padding_idx < num_embeddings:
                raise AssertionError(
                    f"Padding_idx must be within num_embeddings={num_embeddings}, got {padding_idx}"
                )
            padding_idx %= num_embeddings
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.padding_idx, self.max_norm, self.norm_type = padding_idx, max_norm, norm_type
        self.scale_grad_by_freq, self.sparse = scale_grad_by_freq, sparse
        if _weight is None:
            self.weight = empty_parameter(
                num_embeddings, embedding_dim, dtype=dtype, device=device
            ).requires_grad_(not _freeze)
            self.reset_parameters()
        else:
            if list(_weight.array.shape) != [num_embeddings, embedding_dim]:
                raise AssertionError(
                    f"Shape of weight {tuple(_weight.array.shape)} does not match num_embeddings "
                    f"{num_embeddings} and embedding_dim {embedding_dim}"
                )
            self.weight = Parameter(_weight, requires_grad=not _freeze)

    @classmethod
    def from_pretrained(
        cls, embeddings: Any, freeze: bool = True, padding_idx: int | None = None, **kwargs: Any
    ) -> Embedding:
        """A layer around a given table [V, C]; not learned further when `freeze`."""
        if embeddings.array.ndim != 2:
            raise AssertionError("Embeddings parameter is expected to be 2-dimensional")
        rows, cols = embeddings.array.shape
        return cls(rows, cols, padding_idx, _weight=embeddings, _freeze=freeze, **kwargs)

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            self.weight.array[self.padding_idx] = 0

    def forward(self, ids: Any) -> Any:
        if self.max_norm is not None:
            self._shorten(np.unique(ids.array))
        return F.embedding(
            ids,
            self.weight,
            self.padding_idx,
            scale_grad_by_freq=self.scale_grad_by_freq,
            sparse=self.sparse,
        )

    def _shorten(self, rows: np.ndarray) -> None:
        """Scale the rows that are longer than `max_norm` down to it."""
        vectors = self.weight.array[rows]
        norms = np.linalg.norm(vectors, self.norm_type, axis=1, keepdims=True)
        scale = np.where(norms > self.max_norm, self.max_norm / (norms + 1e-7), 1)
        self.weight.array[rows] = vectors * scale
        self.weight.version[0] += 1

    def extra_repr(self) -> str:
        text = f"{self.num_embeddings}, {self.embedding_dim}"
        if self.padding_idx is not None:
            text += f", padding_idx={self.padding_idx}"
        if self.max_norm is not None:
            text += f", max_norm={self.max_norm}"
        if self.norm_type != 2:
            text += f", norm_type={self.norm_type}"
        if self.scale_grad_by_freq:
            text += f", scale_grad_by_freq={self.scale_grad_by_freq}"
        return text + (", sparse=True" if self.sparse else "")
