"""Fetch a model from a hub: what is needed, from one commit, verified, once.

    name → commit and list of files (one request) → plan, shown with its size → files → record

The hub is `HF_ENDPOINT` (huggingface.co). A private model needs a token: `--token`, `HF_TOKEN`, or
that of `hf auth login`; it is sent to the hub alone and written nowhere. Left out: uploading.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from descent.hub.cache import ModelCache
from descent.hub.choosing import HubFile, choose
from descent.hub.downloading import disk_error, download, http_error, is_content, retrying
from descent.hub.finding import missing
from descent.hub.naming import HubError, HubName

__all__ = ["Pull", "is_offline", "plan_pull", "pull"]

_TRUE = {"1", "true", "yes", "on"}


@dataclass(frozen=True)
class Pull:
    """What fetching `name` means: nothing has been fetched yet."""

    name: HubName
    commit: str
    licence: str
    files: list[HubFile]
    endpoint: str
    _headers: dict[str, str] = field(repr=False)  # holds the token

    @property
    def total_bytes(self) -> int:
        return sum(file.size for file in self.files)

    @property
    def cache(self) -> ModelCache:
        return ModelCache(self.name.repo)

    @property
    def wanted(self) -> list[HubFile]:
        """The files whose content is not here yet (by size; contents are checked in `run`)."""
        return [file for file in self.files if not self._here(file)]

    def _here(self, file: HubFile) -> bool:
        blob = self.cache.blob(file.etag)
        return blob.is_file() and blob.stat().st_size == file.size

    def run(self, on_bytes: Callable[[int], None] = lambda n: None) -> Path:
        """Fetch what is missing and return the model: a folder, or a GGUF file.

        `on_bytes` hears of every block that arrives (negative: bytes that had to be thrown away).

        Raises:
            HubError: the hub refuses or is out of reach, wrong bytes, a full disk.
        """
        try:
            self._need_room()
            verified = set((self.cache.record(self.commit) or {}).get("verified", []))
            for file in self.files:
                self._fetch(file, verified, on_bytes)
                self.cache.place(self.commit, file.path, file.etag)
            self._finish()
        except OSError as error:
            raise (disk_error(error, self.cache.folder) or _told(error, self.name)) from error
        except Exception as error:
            raise _told(error, self.name) from error
        path = self.cache.local(HubName(self.name.repo, self.commit, self.name.quant))
        assert path is not None
        return path

    def _need_room(self) -> None:
        at = self.cache.folder
        while not at.exists():
            at = at.parent
        need, free = sum(file.size for file in self.wanted), shutil.disk_usage(at).free
        if need > free:
            raise HubError(
                f"{self.name} needs {need / 1e9:.1f} GB more, and the disk at {at} has "
                f"{free / 1e9:.1f} GB free: make room, or set HF_HOME to a folder on another disk"
            )

    def _fetch(self, file: HubFile, verified: set[str], on_bytes: Callable[[int], None]) -> None:
        from huggingface_hub import get_session, hf_hub_url
        from huggingface_hub.utils import WeakFileLock

        blob = self.cache.blob(file.etag)
        locks = self.cache.folder.parent / ".locks" / self.cache.folder.name
        locks.mkdir(parents=True, exist_ok=True)
        with WeakFileLock(locks / f"{file.etag}.lock"):
            if self._here(file):
                if file.etag in verified or is_content(blob, file):
                    return
                blob.unlink()  # another program's, damaged since
            url = hf_hub_url(
                self.name.repo, file.path, revision=self.commit, endpoint=self.endpoint
            )
            download(get_session(), url, self._headers, file, blob, on_bytes)

    def _finish(self) -> None:
        """Remember the commit, and what was fetched and verified under it."""
        cache = self.cache
        cache.point(self.name.revision, self.commit)
        before = cache.record(self.commit) or {}
        pulls = before.get("pulls", {})
        pulls[self.name.quant or ""] = [file.path for file in self.files]
        record = {
            "repo": self.name.repo,
            "revision": self.name.revision,
            "commit": self.commit,
            "endpoint": self.endpoint,
            "licence": self.licence,
            "pulls": pulls,
            "verified": sorted({*before.get("verified", []), *(f.etag for f in self.files)}),
            "sha256": {
                **before.get("sha256", {}),
                **{file.path: file.sha256 for file in self.files if file.sha256},
            },
        }
        cache.write_record(self.commit, record)


def is_offline(asked: bool | None = None) -> bool:
    """Whether the network must not be used: as asked, else as HF_HUB_OFFLINE says."""
    if asked is not None:
        return asked
    values = (os.environ.get(name, "") for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"))
    return any(value.lower() in _TRUE for value in values)


def plan_pull(
    name: str,
    *,
    revision: str | None = None,
    quant: str | None = None,
    token: str | None = None,
    endpoint: str | None = None,
) -> Pull:
    """Ask the hub what `name` consists of.

    Args:
        name: owner/name, hf://owner/name@revision:QUANT, or a short name (`descent models`).
        quant: which GGUF file, e.g. "Q8_0"; None: safetensors where there are any.

    Raises:
        HubError: no such model or revision, no permission, nothing usable in it, no network.
        ImportError: naming the extra, when huggingface_hub is not installed.
    """
    wanted = HubName.parse(name, revision=revision, quant=quant)
    try:
        from huggingface_hub import HfApi
        from huggingface_hub.utils import build_hf_headers
    except ImportError:
        raise ImportError(
            "fetching models needs huggingface_hub, which is not installed: "
            "pip install 'descent-ml[hub]'"
        ) from None
    address = (endpoint or os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")
    headers = build_hf_headers(token=token, library_name="descent-ml")
    api = HfApi(endpoint=address, token=token, library_name="descent-ml")
    try:
        info = retrying(
            lambda: api.model_info(
                wanted.repo, revision=wanted.revision, files_metadata=True, timeout=30
            )
        )
    except Exception as error:
        raise _told(error, wanted) from error
    files = choose(_files(info, wanted), wanted.quant, wanted.repo)
    return Pull(wanted, info.sha, _licence(info), files, address, headers)


def pull(
    name: str,
    *,
    revision: str | None = None,
    quant: str | None = None,
    token: str | None = None,
    offline: bool | None = None,
    endpoint: str | None = None,
    on_bytes: Callable[[int], None] = lambda n: None,
) -> Path:
    """The model `name` on this machine, fetched when it is not here; see `plan_pull`, `Pull.run`.

    `offline` (None: as HF_HUB_OFFLINE says) uses what is here and asks nobody.
    """
    if is_offline(offline):
        wanted = HubName.parse(name, revision=revision, quant=quant)
        path = ModelCache(wanted.repo).local(wanted)
        if path is None:
            raise HubError(f"{missing(wanted)} (offline: nothing is fetched)")
        return path
    plan = plan_pull(name, revision=revision, quant=quant, token=token, endpoint=endpoint)
    return plan.run(on_bytes)


def _files(info: Any, name: HubName) -> list[HubFile]:
    """What the hub lists, checked: a name must stay inside the folder it will be written to."""
    files = []
    for sibling in info.siblings or []:
        path = PurePosixPath(sibling.rfilename)
        unsafe = path.is_absolute() or ".." in path.parts or "\\" in sibling.rfilename
        if unsafe or ":" in sibling.rfilename:
            raise HubError(f"{name} lists the file {sibling.rfilename!r}, which is no safe name")
        sha256 = None if sibling.lfs is None else sibling.lfs.sha256
        size = sibling.size if sibling.lfs is None else sibling.lfs.size
        hashes = [h for h in (sha256, sibling.blob_id) if h is not None]
        if not hashes or not all(h.isalnum() for h in hashes) or size is None or size < 0:
            raise HubError(f"{name}: the hub gives no size and hash for {sibling.rfilename}")
        files.append(HubFile(str(path), size, sha256, sibling.blob_id))
    return files


def _licence(info: Any) -> str:
    card = getattr(info, "card_data", None)
    said = getattr(card, "license", None)
    if said in (None, "other"):
        said = getattr(card, "license_name", None) or said
    tags = [tag[8:] for tag in info.tags or [] if tag.startswith("license:")]
    return str(said or (tags[0] if tags else "not stated"))


def _told(error: BaseException, name: HubName) -> HubError:
    """What went wrong on the way to the hub, and what to do; never the request (it has the
    token)."""
    from huggingface_hub import errors

    if isinstance(error, HubError):
        return error
    if isinstance(error, errors.GatedRepoError):
        return HubError(
            f"{name.repo} is gated: accept its licence on its page at the hub, then give a token "
            "of your account (--token, HF_TOKEN, or `hf auth login`)"
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return HubError(f"{name.repo} has no revision {name.revision!r}")
    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, errors.RepositoryNotFoundError) or status == 401:
        return HubError(
            f"there is no model {name.repo} on the hub, or it is private: check the name, or give "
            "a token that may read it (--token, HF_TOKEN, or `hf auth login`)"
        )
    if status == 403:
        return HubError(
            f"your token may not read {name.repo}: give it the right to, or use another (--token)"
        )
    if status is not None:
        return HubError(f"the hub answers {status} for {name.repo}: try again later")
    if isinstance(error, errors.OfflineModeIsEnabled):
        return HubError(f"{missing(name)} (HF_HUB_OFFLINE is set: nothing is fetched)")
    if isinstance(error, (http_error(), ConnectionError, TimeoutError)):
        why = str(error).strip() or type(error).__name__
        return HubError(
            f"the hub can't be reached for {name.repo} ({why}): what has arrived is kept; try "
            "again later, or use --offline for a model that is here"
        )
    return HubError(f"{name} can't be fetched: {type(error).__name__}: {error}")
