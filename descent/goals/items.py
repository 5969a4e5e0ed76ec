"""The data of a names run: items, one per line, split and encoded; kept in the run folder.

The items are saved (items.txt), so that a resumed run sees the same ones even when the user's file
has changed in the meantime. Token 0 stands for start and end.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from descent.data import BatchSampler, DataError, fetch
from descent.data.files import write_atomically
from descent.data.names import END, encode_items, makemore_split, read_items, vocabulary, windows
from descent.data.tokenizers.chars import CharTokenizer
from descent.data.tokenizers.loading import load_tokenizer
from descent.goals.folder import RunError, RunFolder

__all__ = ["ItemBatches", "Items", "LONGEST", "in_batches", "load_items", "make_items"]

LONGEST = 256  # characters; longer lines are prose, and `descent up complete` is made for it


@dataclass
class Items:
    """The three parts of the list, and the tokenizer of its characters."""

    tokenizer: Any
    train: list[str]
    dev: list[str]
    test: list[str]

    @property
    def longest(self) -> int:
        """Characters of the longest item."""
        return max(map(len, [*self.train, *self.dev, *self.test]))

    def rows(self, items: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """x[N, L+1] and y[N, L+1]: whole items, targets of -1 after the end."""
        return encode_items(items, self.tokenizer.ids)

    def windows(self, items: list[str], block_size: int) -> tuple[np.ndarray, np.ndarray]:
        """x[N, K] and y[N, 1]: every character with the K before it."""
        x, y = windows(items, self.tokenizer.ids, block_size)
        return x, y[:, None]

    def sequences(self, items: list[str]) -> list[np.ndarray]:
        """Every item with its end, for the count models."""
        ids = self.tokenizer.ids
        return [np.array([*(ids[c] for c in item), 0]) for item in items]


class ItemBatches:
    """Random examples, with replacement; columns where nothing is predicted are left out.

    Attributes:
        one_shape: leave them in where `may_pad`: a compiled step has one shape.
    """

    def __init__(
        self, x: np.ndarray, y: np.ndarray, batch_size: int, seed: int, *, may_pad: bool = True
    ) -> None:
        self.x, self.y, self.may_pad, self.one_shape = x, y, may_pad, False
        self.lengths = (y >= 0).sum(1) if x.shape == y.shape else None
        self.sampler = BatchSampler(len(x) + 1, 1, batch_size, seed)  # rows are windows of one

    def next(self) -> tuple[np.ndarray, np.ndarray]:
        """x [B, T] and y [B, t], int64."""
        rows = self.sampler.next()
        x, y = self.x[rows], self.y[rows]
        if self.lengths is None or (self.one_shape and self.may_pad):
            return x, y
        longest = self.lengths[rows].max()
        return x[:, :longest], y[:, :longest]

    def state(self) -> dict[str, Any]:
        return self.sampler.state()

    def load_state(self, state: dict[str, Any]) -> None:
        self.sampler.load_state(state)


def in_batches(
    x: np.ndarray, y: np.ndarray, size: int = 500
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """All examples in order, `size` rows at a time."""
    for first in range(0, len(x), size):
        yield x[first : first + size], y[first : first + size]


def make_items(run: RunFolder, data: str | None) -> Items:
    """Read the list (names.txt by verified download, or the file `data`) and keep it in the run.

    Raises:
        DataError: a missing, empty or unsuitable file, saying which and what would be right.
    """
    path = Path(data) if data is not None else fetch("names.txt")
    if path.is_dir():
        raise DataError(
            f"{path} is a folder; names are learned from one file with an item per line "
            "(for a folder of texts: descent up complete --data)"
        )
    items = read_items(path)
    if len(items) < 10:
        raise DataError(
            f"{path} has {len(items)} items (lines that are not empty); at least 10 are needed"
        )
    for number, item in enumerate(items, start=1):
        if len(item) > LONGEST:
            raise DataError(
                f"{path}: item {number} has {len(item)} characters, more than {LONGEST}; for prose "
                "or code use descent up complete --data"
            )
    chars = sorted(vocabulary(items)[0].keys() - {END})
    end, inside = END, any(END in item for item in items)
    if inside:  # the sign for the end must not occur in an item; a line break can't
        end, chars = "\n", sorted([*chars, END])
    tokenizer = CharTokenizer([end, *chars])
    tokenizer.save(run.tokenizer)
    write_atomically(run.path / "items.txt", "\n".join(items) + "\n")
    run.config["data"] = {"items": len(items), "prompt": ""}
    run.save_config()
    return Items(tokenizer, *makemore_split(items))


def load_items(run: RunFolder) -> Items:
    """The items of an existing run.

    Raises:
        RunError: when the run stopped before they were written, or they are damaged.
    """
    run.need("tokenizer.json", "items.txt")
    try:
        items = read_items(run.path / "items.txt")
        return Items(load_tokenizer(run.tokenizer), *makemore_split(items))
    except (DataError, OSError) as error:
        raise RunError(f"the data of {run.path} can't be read ({error}); start afresh") from None
