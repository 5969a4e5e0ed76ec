"""Reading a tokenizer's file: bounded in size, and every failure in a sentence."""

import json
from pathlib import Path
from typing import Any

from descent.data.errors import DataError

__all__ = ["read_tokenizer_file", "read_tokenizer_json"]

_LARGEST_BYTES = 64 << 20


def read_tokenizer_file(path: Path) -> bytes:
    """The bytes of `path`."""
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            raise DataError(f"{path} is larger than any tokenizer file ({_LARGEST_BYTES} bytes)")
        return path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"no tokenizer at {path}; a run folder holds a tokenizer.json") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None


def read_tokenizer_json(path: Path) -> Any:
    """The JSON value in `path`."""
    try:
        return json.loads(read_tokenizer_file(path))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise DataError(f"{path} is damaged or not a tokenizer file: {error}") from None
