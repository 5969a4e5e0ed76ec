"""Known data files by name: found on this machine, or downloaded once and verified by sha256.

Order: the folder `DESCENT_DATA` names, the cache (see `descent.caching`), the network. A download
goes to `<file>.part`, continues where it was cut, and takes its name only when its hash is right.
Proxies are taken from the environment, as urllib does.
"""

import hashlib
import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from descent.caching import cache_folder
from descent.data.errors import DataError

__all__ = ["KNOWN_FILES", "KnownFile", "fetch", "fetch_file"]

_TRIES = 3
_TIMEOUT_S = 30
_BLOCK_BYTES = 1 << 16


@dataclass(frozen=True)
class KnownFile:
    """A public file: where it comes from and what its bytes must be.

    `path` is its place under the cache and under `DESCENT_DATA`.
    """

    path: str
    url: str
    sha256: str
    size_bytes: int
    licence: str


_GITHUB = "https://raw.githubusercontent.com/karpathy"
_OPENAI = "https://openaipublic.blob.core.windows.net"
KNOWN_FILES = {
    "names.txt": KnownFile(
        "names.txt",
        f"{_GITHUB}/makemore/988aa59e4d8fefa526d06f3b453ad116258398d4/names.txt",
        "0a30b5557f192f32ab962680889aac5f6fda0f4cecf40a6d0b5694f58ea8cc4d",
        228_145,
        "public domain (US SSA)",
    ),
    "tinyshakespeare.txt": KnownFile(
        "tinyshakespeare.txt",
        f"{_GITHUB}/ng-video-lecture/52201428ed7b46804849dea0b3ccf0de9df1a5c3/input.txt",
        "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
        1_115_394,
        "public domain",
    ),
    "gpt2-encoder.json": KnownFile(
        "gpt2/encoder.json",
        f"{_OPENAI}/gpt-2/encodings/main/encoder.json",
        "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783",
        1_042_301,
        "MIT",
    ),
    "gpt2-vocab.bpe": KnownFile(
        "gpt2/vocab.bpe",
        f"{_OPENAI}/gpt-2/encodings/main/vocab.bpe",
        "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5",
        456_318,
        "MIT",
    ),
    "cl100k_base.tiktoken": KnownFile(
        "tiktoken/cl100k_base.tiktoken",
        f"{_OPENAI}/encodings/cl100k_base.tiktoken",
        "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
        1_681_126,
        "MIT",
    ),
}


def fetch(name: str, *, on_bytes: Callable[[int, int], None] | None = None) -> Path:
    """The path of a known file, downloading it when this machine does not have it."""
    if name not in KNOWN_FILES:
        raise DataError(f"no known data file {name!r}; known are {', '.join(KNOWN_FILES)}")
    return fetch_file(KNOWN_FILES[name], on_bytes=on_bytes)


def fetch_file(known: KnownFile, *, on_bytes: Callable[[int, int], None] | None = None) -> Path:
    """As `fetch`, for any file whose address and hash are given.

    Args:
        on_bytes: called with (bytes so far, bytes in all) while downloading.
    """
    provided = os.environ.get("DESCENT_DATA")
    if provided and (local := Path(provided).expanduser() / known.path).is_file():
        if _sha256(local) != known.sha256:
            raise DataError(
                f"{local} is not the published file: its sha256 is not {known.sha256[:12]}…; "
                "replace it, unset DESCENT_DATA, or pass it as --data"
            )
        return local
    target = cache_folder("data") / known.path
    if target.is_file() and _sha256(target) == known.sha256:
        return target
    part = target.with_name(target.name + ".part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _download(known, part, on_bytes)
        os.replace(part, target)
    except OSError as error:
        raise DataError(f"{target} cannot be written: {error.strerror or error}") from None
    return target


def _download(known: KnownFile, part: Path, on_bytes) -> None:
    """Fill `part`; a cut connection is taken up again where it broke."""
    problem = "the connection was cut"
    for _ in range(_TRIES):
        have = part.stat().st_size if part.is_file() else 0
        if have < known.size_bytes:
            try:
                _receive(known, part, have, on_bytes)
            except urllib.error.HTTPError as error:
                error.close()
                if error.code != 416:  # 416: our part is past the end; checked below
                    raise DataError(_advice(known, f"HTTP {error.code} {error.reason}")) from None
            except (
                urllib.error.URLError,
                http.client.HTTPException,
                TimeoutError,
                ConnectionError,
            ) as error:
                problem = str(getattr(error, "reason", error))
        have = part.stat().st_size if part.is_file() else 0
        if have < known.size_bytes:
            continue
        found = _sha256(part)
        if have == known.size_bytes and found == known.sha256:
            return
        part.unlink()
        problem = (
            "the bytes received are not the published ones "
            f"(sha256 {found[:12]}…, expected {known.sha256[:12]}…)"
        )
    raise DataError(_advice(known, problem))


def _receive(known: KnownFile, part: Path, have: int, on_bytes) -> None:
    request = urllib.request.Request(known.url, headers={"User-Agent": "descent-ml"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    opener = urllib.request.build_opener()  # urlopen would keep the first call's proxies for ever
    with opener.open(request, timeout=_TIMEOUT_S) as response:
        resumed = have and response.status == 206
        have = have if resumed else 0
        with part.open("ab" if resumed else "wb") as file:
            # One block more than expected is enough to know that it is the wrong file.
            while have <= known.size_bytes and (block := response.read(_BLOCK_BYTES)):
                file.write(block)
                have += len(block)
                if on_bytes is not None:
                    on_bytes(have, known.size_bytes)
            file.flush()
            os.fsync(file.fileno())


def _advice(known: KnownFile, problem: str) -> str:
    return (
        f"{known.path} could not be downloaded from {known.url}: {problem}; try again later (what "
        "arrived is kept), or use a file of your own with --data PATH, which needs no network"
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
