"""From a submission to batches: bytes of JSON lists, in order, each smaller than 256 KiB.

    items → [i₀, i₁], [i₂, i₃] …      files → ["s3://b/1.png", …]      NDJSON → [{…}, {…}]
Paths are local (plain or file://, inside the allowed roots only) or of a store fsspec reaches
(s3://, gs://, az:// …, when its package is installed). A path is a file, a folder (all files below)
or, as in S3, the beginning of names. Left out: archives (`zip://…::…` is refused).
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from descent.deploy.errors import HttpError
from descent.deploy.jobs.documents import DocumentError, values
from descent.deploy.jobs.globs import Patterns
from descent.deploy.jobs.submissions import (
    BATCH_BYTES,
    BatchSubmission,
    DelimitedFiles,
    ItemList,
    Lister,
)

__all__ = ["Inputs"]

REMOTE = {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "hf", "memory"}


class Inputs:
    """Reads what submissions name; blocks. `roots`: the folders local paths may lie in."""

    def __init__(self, roots: Iterable[str | Path] | None = None):
        if roots is None:
            told = os.environ.get("DESCENT_INPUT_ROOTS")
            roots = told.split(os.pathsep) if told else [Path.cwd()]
        self.roots = [Path(root).expanduser().resolve() for root in roots]

    def files(self, lister: Lister) -> Iterator[str]:
        """The chosen files, in the order of `paths` and by name within each.

        Raises `HttpError` 400 for a path that is not allowed or cannot be read.
        """
        patterns = Patterns(lister.includes, lister.excludes)
        for path in lister.paths:
            yield from filter(patterns.choose, self._below(path))

    def batches(self, submission: BatchSubmission) -> Iterator[tuple[bytes, int]]:
        """(JSON list, number of items) of each batch.

        Raises `HttpError` 400 for an item or batch that is too large and for what cannot be read.
        """
        source = submission.source
        if isinstance(source, ItemList):
            items: Iterator[bytes] = (_json(item) for item in source.items)
        elif isinstance(source, DelimitedFiles):
            items = self._documents(source)
        else:
            items = (_json(path) for path in self.files(source))
        yield from _grouped(items, source.batch_size)

    def check(self, submission: BatchSubmission) -> None:
        """Refuse before acceptance what can be known then: no file, an item that is too large."""
        source = submission.source
        if isinstance(source, ItemList):
            for _ in self.batches(submission):
                pass
        elif next(self.files(source), None) is None:
            raise _refused("no files are chosen: see paths, includes and excludes", "paths")

    def _documents(self, source: DelimitedFiles) -> Iterator[bytes]:
        for path in self.files(source):
            with self._open(path) as file:
                try:
                    yield from values(file.read, path, BATCH_BYTES)
                except DocumentError as error:
                    raise _refused(str(error), "delimited_files") from None
                except (OSError, EOFError) as error:
                    raise _refused(f"{path} cannot be read: {error}", "paths") from None

    @contextmanager
    def _open(self, path: str) -> Iterator[IO[bytes]]:
        try:
            system, inside = self._reach(path)
            raw = open(inside, "rb") if system is None else system.open(inside, "rb")
        except OSError as error:
            raise _refused(f"{path} cannot be read: {error.strerror or error}", "paths") from None
        with raw:
            if not path.endswith(".gz"):
                yield raw
                return
            with gzip.open(raw, "rb") as unpacked:
                yield unpacked  # type: ignore[misc]

    def _below(self, path: str) -> Iterator[str]:
        """All files that `path` names: itself, those below it, or those whose name it begins."""
        system, inside = self._reach(path)
        if system is None:
            prefix = "file://" if path.startswith("file://") else ""
            yield from (prefix + str(file) for file in self._local(Path(inside), path))
            return
        protocol = path.split("://", 1)[0]
        try:
            folder = inside if path.endswith("/") else inside.rpartition("/")[0]
            found = sorted(system.find(folder))
        except Exception as error:  # each store has its own exceptions
            raise _refused(f"{path} cannot be listed: {error}", "paths") from None
        wanted = inside.rstrip("/") + "/" if path.endswith("/") else inside
        yield from (f"{protocol}://{_plain(f)}" for f in found if f.startswith(wanted))

    def _local(self, path: Path, said: str) -> Iterator[Path]:
        if path.is_file():
            yield path
            return
        folder, begins = (path, "") if path.is_dir() else (path.parent, path.name)
        if not folder.is_dir():
            raise _refused(f"there is no {said}", "paths")
        for base, folders, names in os.walk(folder):
            if Path(base) == folder:
                folders[:] = [name for name in folders if name.startswith(begins)]
                names = [name for name in names if name.startswith(begins)]
            folders.sort()
            for name in sorted(names):
                file = Path(base) / name
                # A link below an allowed folder may lead out of it.
                if file.is_file() and (not file.is_symlink() or self._allowed(file.resolve())):
                    yield file

    def _reach(self, path: str) -> tuple[Any, str]:
        """(fsspec's file system, the path there); (None, the path here) for local files."""
        scheme, separator, rest = path.partition("://")
        if not separator or scheme == "file":
            local = Path(rest if separator else path).expanduser()
            if not self._allowed(local.resolve()):
                raise _refused(
                    f"{path} is outside the folders this node reads from "
                    f"({', '.join(map(str, self.roots))}; set by DESCENT_INPUT_ROOTS)",
                    "paths",
                )
            return None, str(local.absolute())
        if scheme not in REMOTE or "::" in path:
            raise _refused(f"{path}: paths are local, or {', '.join(sorted(REMOTE))}", "paths")
        try:
            import fsspec

            system, inside = fsspec.core.url_to_fs(path)
        except ImportError as error:
            raise _refused(f"{path}: {error}", "paths") from None
        return system, inside

    def _allowed(self, resolved: Path) -> bool:
        return any(resolved.is_relative_to(root) for root in self.roots)


def _plain(path: str) -> str:
    return path.lstrip("/")


def _json(value: Any) -> bytes:
    try:
        return json.dumps(
            value, ensure_ascii=False, allow_nan=False, separators=(",", ":")
        ).encode()
    except UnicodeEncodeError:  # half of a surrogate pair: JSON may hold it, UTF-8 may not
        return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()
    except ValueError:
        raise _refused("an item holds a number beyond 1.8e308", "items") from None


def _grouped(items: Iterator[bytes], size: int) -> Iterator[tuple[bytes, int]]:
    group: list[bytes] = []
    total = 2
    for index, item in enumerate(items):
        if len(item) + 2 >= BATCH_BYTES:
            raise _refused(
                f"item {index} has {len(item)} bytes; a batch must be smaller than {BATCH_BYTES}",
                "items",
            )
        group.append(item)
        total += len(item) + 1
        if total >= BATCH_BYTES:
            raise _refused(
                f"the batch ending with item {index} has {total} bytes; it must be smaller than "
                f"{BATCH_BYTES}: lower batch_size",
                "batch_size",
            )
        if len(group) == size:
            yield b"[" + b",".join(group) + b"]", len(group)
            group, total = [], 2
    if group:
        yield b"[" + b",".join(group) + b"]", len(group)


def _refused(message: str, field: str) -> HttpError:
    return HttpError(400, "invalid_submission", message, field=field)
