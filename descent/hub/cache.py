"""Where pulled models lie: Hugging Face's own cache, so that nothing is kept twice.

    $HF_HUB_CACHE | $HF_HOME/hub | $XDG_CACHE_HOME/huggingface/hub | ~/.cache/huggingface/hub
      models--owner--name/blobs/<hash>               contents, by sha256 or git hash
                          refs/<revision>            the commit a branch or tag meant last
                          snapshots/<commit>/<file>  links to the contents

Beside it, in Descent's cache folder, one record per commit says what was fetched and verified.
Reference: huggingface_hub's documentation, "Understand caching". Left out: removing models (`hf
cache` does).
"""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from descent.caching import cache_folder
from descent.data.files import write_atomically
from descent.hub.naming import HubName

__all__ = ["ModelCache"]

_COMMIT = re.compile(r"[0-9a-f]{40}")


def _hub_folder() -> Path:
    """The folder huggingface_hub uses, by the same variables; read anew at every call."""
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if value := os.environ.get(name):
            return Path(os.path.expandvars(value)).expanduser()
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    home = Path(os.path.expandvars(os.environ.get("HF_HOME") or str(base / "huggingface")))
    return home.expanduser() / "hub"


@dataclass(frozen=True)
class ModelCache:
    """What of one repository is on this machine."""

    repo: str

    @property
    def folder(self) -> Path:
        return _hub_folder() / ("models--" + self.repo.replace("/", "--"))

    def commit(self, revision: str) -> str | None:
        """The commit `revision` meant when it was last fetched; None when it never was."""
        if _COMMIT.fullmatch(revision):
            return revision if (self.folder / "snapshots" / revision).is_dir() else None
        try:
            commit = (self.folder / "refs" / revision).read_text(encoding="utf-8").strip()
        except OSError:
            return None
        return commit if _COMMIT.fullmatch(commit) else None

    def snapshot(self, commit: str) -> Path:
        return self.folder / "snapshots" / commit

    def blob(self, etag: str) -> Path:
        return self.folder / "blobs" / etag

    def place(self, commit: str, path: str, etag: str) -> Path:
        """Give a fetched content its name in the snapshot: a link, or a copy where links fail."""
        target = self.snapshot(commit) / path
        target.parent.mkdir(parents=True, exist_ok=True)
        blob = self.blob(etag)
        if target.is_symlink() or target.exists():
            target.unlink()
        try:
            target.symlink_to(os.path.relpath(blob, target.parent))
        except OSError:  # Windows without the right to link
            shutil.copyfile(blob, target)
        return target

    def point(self, revision: str, commit: str) -> None:
        """Remember what `revision` means now."""
        if revision != commit:
            write_atomically(self.folder / "refs" / revision, commit)

    def record(self, commit: str) -> dict[str, Any] | None:
        """What was written about a pull; None where another program fetched the files."""
        try:
            record = json.loads(self._record_file(commit).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return record if isinstance(record, dict) else None

    def write_record(self, commit: str, record: dict[str, Any]) -> None:
        write_atomically(self._record_file(commit), json.dumps(record, indent=1) + "\n")

    def _record_file(self, commit: str) -> Path:
        return cache_folder("hub") / self.repo.replace("/", "--") / f"{commit}.json"

    def local(self, name: HubName) -> Path | None:
        """The model `name` as it lies here: a folder, or a GGUF file; None unless it is whole."""
        commit = self.commit(name.revision)
        if commit is None:
            return None
        folder = self.snapshot(commit)
        record = self.record(commit)
        listed = [] if record is None else record.get("pulls", {}).get(name.quant or "", [])
        if listed:
            whole = all((folder / path).is_file() for path in listed)
            return _model(folder, listed) if whole else None
        return _by_looking(folder, name.quant)


def _model(folder: Path, paths: list[str]) -> Path:
    gguf = sorted(path for path in paths if path.endswith(".gguf"))
    return folder / gguf[0] if gguf else folder


def _by_looking(folder: Path, quant: str | None) -> Path | None:
    """For a snapshot another program made: are weights and a config there?"""
    here = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    gguf = [p for p in here if p.endswith(".gguf") and (quant or "").lower() in p.lower()]
    if quant is not None or "config.json" not in here:
        return folder / sorted(gguf)[0] if gguf else None
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        try:
            needed = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        except (OSError, ValueError, KeyError, AttributeError):
            return None
        return folder if needed <= set(here) else None
    weights = {"model.safetensors", "pytorch_model.bin"} & set(here)
    return folder if weights else None
