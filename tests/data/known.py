"""The public files the data tests read: from a local folder, else by the verified download."""

import os
from pathlib import Path

from descent.data.fetch import KNOWN_FILES, fetch

BESIDE = Path(__file__).resolve().parents[3] / "shared" / "data"


def known(name: str) -> Path:
    beside = BESIDE / KNOWN_FILES[name].path
    return beside if beside.is_file() and "DESCENT_DATA" not in os.environ else fetch(name)
