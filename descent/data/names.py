"""Short items, one per line (names, words, towns), as windows and as padded rows.

Two encodings, both with 0 as start and end: the lecture's windows of the last K characters, and
makemore's rows of a fixed length with targets of -1 where there is nothing to predict.
References: karpathy/nn-zero-to-hero lectures 2–6; karpathy/makemore, CharDataset.
"""

import os
import random
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from descent.data.errors import DataError
from descent.data.text import read_text

__all__ = [
    "END", "IGNORED", "decode_item", "encode_items", "makemore_split", "read_items", "vocabulary",
    "windows",
]  # fmt: skip

END = "."  # the lecture's sign for start and end; id 0
IGNORED = -1  # makemore's target where the loss does not look


def read_items(path: str | os.PathLike) -> list[str]:
    """One item per line, stripped, empty lines dropped (makemore's rules)."""
    documents, _ = read_text(Path(path))
    lines = (line.strip() for _, text in documents for line in text.splitlines())
    return [line for line in lines if line]


def makemore_split(items: Sequence[str], seed: int = 42) -> tuple[list[str], list[str], list[str]]:
    """80 % train, 10 % dev, 10 % test after `random.seed(seed); random.shuffle(items)`.

    Python's own generator keeps this order fixed, so published losses can be compared.
    """
    if len(items) < 10:
        raise DataError(f"{len(items)} items cannot be split 80/10/10; at least 10 are needed")
    shuffled = list(items)
    random.Random(seed).shuffle(shuffled)
    first, second = int(0.8 * len(shuffled)), int(0.9 * len(shuffled))
    return shuffled[:first], shuffled[first:second], shuffled[second:]


def vocabulary(items: Iterable[str]) -> tuple[dict[str, int], dict[int, str]]:
    """(character → id, id → character): 0 is END, then the characters in sorted order from 1.

    END inside an item keeps its own id; only id → character shows 0 as END.
    """
    chars = sorted(set().union(*items))
    if not chars:
        raise DataError("no characters: the list of items is empty")
    stoi = {char: index for index, char in enumerate(chars, start=1)}
    stoi.setdefault(END, 0)
    itos = {index: char for char, index in stoi.items()}
    itos[0] = END
    return stoi, itos


def windows(
    items: Sequence[str], stoi: Mapping[str, int], block_size: int
) -> tuple[np.ndarray, np.ndarray]:
    """The lecture's examples: X[N, K] the last K characters before each, Y[N] the character.

    Each item ends with a 0 to predict and begins with K zeros; N = Σ (len(item) + 1), int64.
    """
    if block_size < 1:
        raise DataError(f"block_size={block_size}; a window needs at least one character")
    padded: list[int] = []
    predicted: list[int] = []  # where in `padded` each target stands
    for item in items:
        padded += [0] * block_size
        predicted += range(len(padded), len(padded) + len(item) + 1)
        padded += _ids(item, stoi)
        padded.append(0)
    ids = np.array(padded, dtype=np.int64)
    places = np.array(predicted, dtype=np.int64)
    x = ids[places[:, None] + np.arange(-block_size, 0)]  # (N, K)
    return x, ids[places]


def encode_items(
    items: Sequence[str], stoi: Mapping[str, int], max_length: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """makemore's rows: X[N, L+1] = 0, c1 … cn, 0 …; Y[N, L+1] = c1 … cn, 0, -1 …; int64.

    Args:
        max_length: L, the length of the longest item by default.
    """
    longest = max(map(len, items), default=0)
    length = longest if max_length is None else max_length
    if longest > length:
        raise DataError(f"an item has {longest} characters, more than max_length={length}")
    x = np.zeros((len(items), length + 1), dtype=np.int64)
    y = np.full((len(items), length + 1), IGNORED, dtype=np.int64)
    for row, item in enumerate(items):
        ids = _ids(item, stoi)
        x[row, 1 : 1 + len(ids)] = ids
        y[row, : len(ids)] = ids
        y[row, len(ids)] = 0
    return x, y


def decode_item(ids: Iterable[int], itos: Mapping[int, str]) -> str:
    """The item in `ids`, up to the first 0."""
    chars: list[str] = []
    for index in ids:
        if index == 0:
            break
        chars.append(itos[int(index)])
    return "".join(chars)


def _ids(item: str, stoi: Mapping[str, int]) -> list[int]:
    try:
        return [stoi[char] for char in item]
    except KeyError as error:
        raise DataError(
            f"{item!r} has the character {error.args[0]!r}, which is not in the vocabulary of "
            f"{len(stoi)} characters"
        ) from None
