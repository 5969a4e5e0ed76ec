"""A GPT or Llama with another context or vocabulary, the rest of its weights kept.

    crop_block_size(model, 256)      fewer positions: less memory, attention over a shorter past
    resize_vocab(model, 50304)       more tokens (new special ones, or a round number), or fewer

New rows of the embedding, and of the head where it is not tied, are the mean of the old ones: to
the untrained eye of the model a new token is the average word, and the logits of the others stay
as they were (Hewitt 2021, "Initializing New Word Embeddings for Pretrained Language Models").
Optimisers made before hold the old parameters: make them anew.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from descent import Tensor, from_numpy
from descent.nn.parameter import Parameter

__all__ = ["crop_block_size", "resize_vocab"]


def crop_block_size(model: Any, block_size: int) -> None:
    """Make the longest context `block_size` tokens, no more than it is.

    Raises:
        ValueError: for a longer one: positions that were never trained.
    """
    c = model.config
    if not 1 <= block_size <= c.block_size:
        raise ValueError(f"block_size can be 1 … {c.block_size}: got {block_size}")
    scaling = getattr(c, "rope_scaling", None)
    if scaling and scaling["rope_type"] == "dynamic":  # it begins beyond the context trained on
        trained = scaling.get("original_max_position_embeddings") or c.block_size
        scaling = {**scaling, "original_max_position_embeddings": trained}
        c = replace(c, rope_scaling=scaling)
    model.config = replace(c, block_size=block_size)
    if hasattr(model, "wpe"):
        model.wpe.weight = _as_parameter(model.wpe.weight.array[:block_size])
        model.wpe.num_embeddings = block_size


def resize_vocab(model: Any, vocab_size: int) -> None:
    """Make embedding and head `vocab_size` rows; a tied head stays tied.

    Raises:
        ValueError: for less than one token.
    """
    if vocab_size < 1:
        raise ValueError(f"vocab_size must be at least 1: got {vocab_size}")
    embedding = model.wte if hasattr(model, "wte") else model.embed
    head = model.lm_head
    embedding.weight = _with_rows(embedding.weight, vocab_size)
    head.weight = embedding.weight if model.config.tie else _with_rows(head.weight, vocab_size)
    if head.bias is not None:
        head.bias = _with_rows(head.bias, vocab_size)
    embedding.num_embeddings = head.out_features = vocab_size
    model.config = replace(model.config, vocab_size=vocab_size)


def _with_rows(weight: Any, rows: int) -> Parameter:
    old = weight.array
    if rows <= len(old):
        return _as_parameter(old[:rows])
    mean = old.mean(0, keepdims=True, dtype=np.float64).astype(old.dtype)
    return _as_parameter(np.concatenate([old, np.repeat(mean, rows - len(old), 0)]))


def _as_parameter(array: np.ndarray) -> Parameter:
    tensor: Tensor = from_numpy(array.copy())
    return Parameter(tensor)
