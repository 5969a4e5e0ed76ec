"""The public files some tests read: from a local folder, else by the verified download.

Found in the folder DESCENT_DATA names, in ../shared/data beside the repository, in the cache, or on
the network. A machine with none of these cannot run the tests of those very files: they are skipped
with the reason, and the summary of the run says so.
"""

import functools
import keyword
import os
import sys
from pathlib import Path

import pytest

from descent.data.errors import DataError
from descent.data.fetch import KNOWN_FILES, fetch

BESIDE = Path(__file__).resolve().parents[3] / "shared" / "data"


@functools.cache
def _find(name: str) -> Path | str:
    beside = BESIDE / KNOWN_FILES[name].path
    if beside.is_file() and "DESCENT_DATA" not in os.environ:
        return beside
    try:
        return fetch(name)
    except DataError as error:
        return str(error)


def known(name: str) -> Path:
    """The file; the test is skipped where it is not to be had."""
    found = _find(name)
    if isinstance(found, str):
        pytest.skip(f"{name} is not on this machine and can't be downloaded: {found}")
    return found


def some_names() -> list[str]:
    """Names to learn from: the public ones, else those of this Python's modules and keywords."""
    found = _find("names.txt")
    if isinstance(found, Path):
        return found.read_text().split()
    words = {w.strip("_").lower() for w in (*sys.stdlib_module_names, *keyword.kwlist, *dir(str))}
    return sorted(w for w in words if w.isalpha() and w.isascii() and len(w) > 1)
