"""A copy of a node's folder that a node can be started from, made while the node works.

    database (SQLite's online backup) → then the files it names → TARGET, whole or not at all

The database comes first: whatever it names was there before it. What a job's end removes meanwhile
is left out. Copied: token, environments, database, versions, results. Left out: logs; a database
or files elsewhere (PostgreSQL's and S3's own tools copy those).
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from descent.deploy.control.folders import Home
from descent.deploy.errors import DeployError

__all__ = ["Backup", "back_up"]

_SMALL = ("token", "environments.json")


@dataclass(frozen=True)
class Backup:
    """`left_out`: what is kept elsewhere, in words."""

    path: Path
    files: int
    size_bytes: int
    left_out: tuple[str, ...]


def back_up(home: Home, target: str | Path) -> Backup:
    """Copy `home` to the new folder `target`.

    Raises `DeployError` where `target` is there already, or nothing is at `home`.
    """
    target = Path(target).expanduser().absolute()
    if target.exists():
        raise DeployError(f"{target} is there already; a backup wants a name of its own")
    if not home.path.is_dir():
        raise DeployError(f"there is no node's folder at {home.path}")
    part = target.with_name(f"{target.name}.{secrets.token_hex(4)}.part")
    try:
        part.mkdir(mode=0o700, parents=True)
        left_out = tuple(_copied(home, part))
        files = [path for path in part.rglob("*") if path.is_file()]
        size = sum(path.stat().st_size for path in files)
        part.rename(target)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return Backup(target, len(files), size, left_out)


def _copied(home: Home, part: Path) -> Iterator[str]:
    """Copy; yields what is elsewhere."""
    from descent.deploy.jobs.store.database_sqlite import Sqlite

    if home.database_url.startswith("postgres"):
        yield "the database (pg_dump copies it)"
    else:
        engine = Sqlite.of(home.database_url)
        if engine.path.exists():
            engine.copy_to(part / "jobs.db")
    for name in _SMALL:
        if (home.path / name).exists():
            shutil.copy2(home.path / name, part / name)
    _tree(home.versions, part / "versions")
    if "://" in home.files_url and not home.files_url.startswith("file://"):
        yield f"results of jobs ({home.files_url})"
    else:
        _tree(Path(home.files_url.removeprefix("file://")).expanduser(), part / "results")


def _tree(source: Path, target: Path) -> None:
    """Files that go away meanwhile, or are being written, do not belong to the database's state."""
    for folder, _, names in os.walk(source):
        to = target / Path(folder).relative_to(source)
        to.mkdir(parents=True, exist_ok=True)
        for name in names:
            if not name.endswith(".part"):
                with contextlib.suppress(FileNotFoundError):
                    shutil.copy2(Path(folder, name), to / name, follow_symlinks=False)
