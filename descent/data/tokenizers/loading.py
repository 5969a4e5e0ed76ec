"""Read a saved tokenizer of any kind back from its JSON file."""

import json
import os
from pathlib import Path

from descent.data.errors import DataError
from descent.data.tokenizers.base import FORMAT, Tokenizer
from descent.data.tokenizers.bpe import ByteBPE
from descent.data.tokenizers.chars import CharTokenizer

__all__ = ["load_tokenizer"]

_KINDS: dict[str, type[Tokenizer]] = {"bpe": ByteBPE, "chars": CharTokenizer}
_LARGEST_BYTES = 64 << 20


def load_tokenizer(path: str | os.PathLike) -> Tokenizer:
    """The tokenizer that `save` wrote to `path` (a folder: its tokenizer.json)."""
    path = Path(path)
    path = path / "tokenizer.json" if path.is_dir() else path
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            raise DataError(f"{path} is larger than any tokenizer file ({_LARGEST_BYTES} bytes)")
        value = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise DataError(f"no tokenizer at {path}; a run folder holds a tokenizer.json") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise DataError(f"{path} is damaged or not a tokenizer file: {error}") from None
    if not isinstance(value, dict) or value.get("version") != FORMAT:
        found = value.get("version") if isinstance(value, dict) else None
        raise DataError(
            f'{path} is not a tokenizer of ours: "version" is {found!r}, not "{FORMAT}"'
        )
    kind = _KINDS.get(str(value.get("kind")))
    if kind is None:
        raise DataError(f'{path}: "kind" is {value.get("kind")!r}; known are {sorted(_KINDS)}')
    specials = value.get("special_tokens")
    if not isinstance(specials, dict):
        raise DataError(f'{path}: "special_tokens" must map names to ids')
    try:
        return kind.from_dict(value)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
