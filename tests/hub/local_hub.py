"""A hub on this machine: the routes of huggingface.co that fetching a model uses, and its faults.

/api/models/{repo}/revision/{rev} lists files with sizes and hashes; /{repo}/resolve/{rev}/{file} sends
a small file, or redirects a large one (LFS) to a second address, as to a CDN.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections import defaultdict, deque
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

COMMIT = "a" * 40


@dataclass
class Repo:
    files: dict[str, bytes]
    lfs: frozenset[str] = frozenset()
    commit: str = COMMIT
    refs: tuple[str, ...] = ("main",)
    token: str | None = None
    gated: bool = False
    licence: str = "mit"

    def listing(self, repo: str) -> dict:
        siblings = []
        for name, content in self.files.items():
            entry = {"rfilename": name, "size": len(content), "blobId": git_hash(content)}
            if name in self.lfs:
                sha = hashlib.sha256(content).hexdigest()
                entry["lfs"] = {"size": len(content), "sha256": sha, "pointerSize": 134}
            siblings.append(entry)
        return {
            "id": repo,
            "modelId": repo,
            "sha": self.commit,
            "private": self.token is not None,
            "gated": "manual" if self.gated else False,
            "tags": [f"license:{self.licence}"],
            "cardData": {"license": self.licence},
            "siblings": siblings,
        }


def git_hash(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@dataclass
class Hub:
    """What the server knows and has seen. `faults[file]`: what its next answers do instead."""

    repos: dict[str, Repo] = field(default_factory=dict)
    faults: dict[str, deque] = field(default_factory=lambda: defaultdict(deque))
    ranges: bool = True
    stalled: threading.Event = field(default_factory=threading.Event)
    seen: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    url: str = ""
    port: int = 0

    def requests(self, part: str) -> list[dict[str, str]]:
        """The headers of every request whose path holds `part`."""
        return [headers for _, path, headers in self.seen if part in path]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *args) -> None: ...

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        headers = {key.lower(): value for key, value in self.headers.items()}
        self.hub.seen.append((self.command, path, headers))
        parts = path.strip("/").split("/")
        if parts[0] == "cdn":
            name, file = "/".join(parts[1:3]), "/".join(parts[3:])
            return self._content(self.hub.repos[name].files[file], file)
        if parts[:2] == ["api", "models"]:
            name, revision = "/".join(parts[2:4]), parts[5] if len(parts) > 5 else "main"
            if self._fault("api"):
                return None
            repo = self._repo(name, revision, listing=True)
            return repo and self._send(200, json.dumps(repo.listing(name)).encode())
        if len(parts) > 4 and parts[2] == "resolve":
            name, revision, file = "/".join(parts[:2]), parts[3], "/".join(parts[4:])
            repo = self._repo(name, revision)
            if repo is None:
                return None
            if file not in repo.files:
                return self._send(404, b"", {"X-Error-Code": "EntryNotFound"})
            about = {"X-Repo-Commit": repo.commit}
            if file in repo.lfs:
                sha = hashlib.sha256(repo.files[file]).hexdigest()
                size = str(len(repo.files[file]))
                # Another host, as a CDN is: what is meant for the hub alone must not reach it.
                place = f"http://localhost:{self.hub.port}/cdn/{name}/{file}"
                about |= {"X-Linked-Size": size, "X-Linked-Etag": f'"{sha}"', "Location": place}
                return self._send(302, b"", about)
            return self._content(repo.files[file], file, about)
        return self._send(404, b"")

    def _repo(self, name: str, revision: str, listing: bool = False) -> Repo | None:
        repo = self.hub.repos.get(name)
        # What a gated model consists of is public; its files are not.
        allowed = repo is None or repo.token is None or (repo.gated and listing)
        if repo is not None and not allowed:
            allowed = self.headers.get("Authorization") == f"Bearer {repo.token}"
        if repo is None or (not allowed and not repo.gated):
            # The real hub does not tell a private model from one that is not there.
            self._send(401, b"", {"X-Error-Code": "RepoNotFound"})
        elif not allowed:
            self._send(401, b"", {"X-Error-Code": "GatedRepo"})
        elif revision not in (*repo.refs, repo.commit):
            self._send(404, b"", {"X-Error-Code": "RevisionNotFound"})
        else:
            return repo
        return None

    def _content(self, content: bytes, file: str, about: dict | None = None) -> None:
        if self._fault(file):
            return
        etag = {"ETag": f'"{git_hash(content)}"', "Accept-Ranges": "bytes"}
        about = {**etag, **(about or {})}
        asked = self.headers.get("Range", "")
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.hub.ranges else 0
        if start:
            about["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        queue = self.hub.faults[file]
        fault = queue.popleft() if queue else None
        body = content[start:]
        if fault and fault[0] == "wrong":
            body = bytes(byte ^ 1 for byte in body)
        if fault and fault[0] == "stall":
            self._send(206 if start else 200, body, about, stop_after=fault[1])
            self.hub.stalled.wait(5)
            self.close_connection = True
            return
        if fault and fault[0] == "cut":
            self._send(206 if start else 200, body, about, stop_after=fault[1])
            self.close_connection = True
            return
        self._send(206 if start else 200, body, about)

    def _fault(self, file: str) -> bool:
        queue = self.hub.faults[file]
        if not queue or queue[0][0] != "status":
            return False
        _, status, headers = queue.popleft()
        self._send(status, b"", headers)
        return True

    def _send(
        self, status: int, body: bytes, headers: dict | None = None, stop_after: int | None = None
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[:stop_after])
            self.wfile.flush()


@contextmanager
def local_hub(**repos: Repo):
    """A running hub; keyword names are owner__name."""
    hub = Hub({name.replace("__", "/"): repo for name, repo in repos.items()})
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    hub.port = server.server_address[1]
    hub.url = f"http://127.0.0.1:{hub.port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
