"""Bodies of text: the standard library of the running Python; the split into train and held out.

The held-out part is made of whole files, so that validation text has never been trained on, not
even its neighbouring lines.
"""

import hashlib
import os
import sysconfig
from collections.abc import Sequence
from pathlib import Path

from descent.data.discovery import SKIPPED_FOLDERS, find_files
from descent.data.errors import DataError
from descent.data.text import MAX_BYTES, Document, ReadReport, read_files

__all__ = ["NOT_LEARNED", "split_documents", "standard_library"]

# Not code to learn from: tests, bundled or generated sources, character tables and help texts.
NOT_LEARNED = SKIPPED_FOLDERS | {
    "test", "tests", "idlelib", "idle_test", "lib2to3", "ensurepip", "turtledemo", "encodings",
    "pydoc_data",
}  # fmt: skip
_FEW_FILES = 5


def standard_library(
    *, max_bytes: int = MAX_BYTES, root: str | os.PathLike | None = None
) -> tuple[list[Document], ReadReport]:
    """The .py sources of the Python that is running (or under `root`), without its tests.

    With a small `max_bytes`, files are chosen by a hash of their names: a fair sample, and the
    same one every time.
    """
    folder = Path(root or sysconfig.get_paths()["stdlib"])
    files = []
    if folder.is_dir():
        files = find_files(folder, pattern="*.py", skip_folders=NOT_LEARNED)
    if not files:
        raise DataError(
            f"this Python has no readable standard library in {folder}; pass --data PATH with a "
            "folder of source code"
        )
    documents, report = read_files(
        sorted(files, key=lambda file: _hash(file[0])), max_bytes=max_bytes
    )
    if not documents:
        raise DataError(f"nothing to read in {folder}: {report}; pass --data PATH")
    return sorted(documents), report


def split_documents(
    documents: Sequence[Document], val_fraction: float = 0.1, seed: int = 0
) -> tuple[list[Document], list[Document]]:
    """Train and validation documents, about `val_fraction` of the characters held out.

    With five files or more, whole files are held out, chosen by a hash of seed and name. With
    fewer, the end of each is: text[int(n·(1 - fraction)):], as in the lectures.
    """
    if not 0 < val_fraction < 1:
        raise DataError(f"val_fraction={val_fraction}; it must lie between 0 and 1")
    if not sum(len(text) for _, text in documents):
        raise DataError("the corpus is empty: there is nothing to split")
    held = _held_out(documents, val_fraction, seed) if len(documents) >= _FEW_FILES else set()
    if held:
        train = [each for index, each in enumerate(documents) if index not in held]
        return train, [documents[index] for index in sorted(held)]
    cuts = [int(len(text) * (1 - val_fraction)) for _, text in documents]
    train = [(name, text[:cut]) for (name, text), cut in zip(documents, cuts) if cut]
    val = [(name, text[cut:]) for (name, text), cut in zip(documents, cuts) if text[cut:]]
    return train, val


def _held_out(documents: Sequence[Document], fraction: float, seed: int) -> set[int]:
    """Files in the order of their hashes until the share is reached; one that alone would take
    more than twice the share stays in training. Empty when no choice comes near the share."""
    target = fraction * sum(len(text) for _, text in documents)
    order = sorted(range(len(documents)), key=lambda i: (_hash(f"{seed}:{documents[i][0]}"), i))
    held: set[int] = set()
    size = 0
    for index in order:
        length = len(documents[index][1])
        if size < target and size + length <= 2 * target:
            held.add(index)
            size += length
    return held if size >= target / 2 and len(held) < len(documents) else set()


def _hash(name: str) -> bytes:
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()
