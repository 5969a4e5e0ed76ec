"""The Python client: what the command line does, as methods.

    from descent.deploy import client
    node = client()                         # this machine's node; client("gpu") an environment's
    node.deploy("sorter.py:Sorter")         # or a run folder, a YAML file, a spec, a class
    node.predict("sorter", [3, 1, 2])       # → [1, 2, 3]

Names are Cortex' (deploy, deploy_from_file, get_api, list_apis, get_job, refresh, delete, stop_job)
and those it lacked (predict, stream, submit, wait). 429 and 503 are tried again after what
Retry-After says; other failures are `RequestError`s. Reference: the control API in
docs/deploy/control.md.
"""

from __future__ import annotations

import getpass
import json
import os
import secrets
import socket
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from descent.deploy import wire
from descent.deploy.control.environments import Environments
from descent.deploy.control.folders import Home
from descent.deploy.errors import DeployError
from descent.deploy.wire import RequestError

__all__ = ["Client", "RequestError", "client", "env_delete", "env_list", "new_client"]

_PATIENCE_S = 60.0


def client(
    env: str | None = None,
    token: str | None = None,
    *,
    url: str | None = None,
    home: str | Path | None = None,
) -> Client:
    """A client of this machine's node, of an environment by name, or of an address, which gets
    `token` or $DESCENT_TOKEN: the token of this machine's node is shown to no other.

    Raises `DeployError` where no node runs.
    """
    if env is not None and "://" in env:
        env, url = None, env
    place = Home(home)
    running = place.running()
    if url is not None:
        if running is None or url.rstrip("/") != running.url:
            return Client(url, token or os.environ.get("DESCENT_TOKEN"))
    elif (found := Environments(place).find(env)) is not None:
        return Client(found.url, token or found.token)
    if running is None:
        raise DeployError("no node runs here; `descent deploy` or `descent node` starts one")
    return Client(
        running.url, token or place.token, local=True, certificate=running.certificate or None
    )


def new_client(name: str, url: str, token: str | None = None) -> Client:
    """Name a node (an environment) and return a client of it."""
    Environments(Home()).configure(name, url, token)
    return client(name)


def env_list() -> list[dict[str, str]]:
    """The environments: name, url ("" for this machine's node)."""
    known = Environments(Home()).known.values()
    return [{"name": "local", "url": ""}, *({"name": e.name, "url": e.url} for e in known)]


def env_delete(name: str) -> None:
    """Forget an environment."""
    Environments(Home()).delete(name)


class Client:
    """Talks to one node. `local`: it is on this machine, so folders need not be uploaded.

    `token` opens the control API and is sent to nothing else; `key` is sent to services (they may
    ask for one; $DESCENT_API_KEY). `patience_s`: how long a refused request (429, 503, connection
    refused) is tried again. `certificate`: the file of the one certificate to trust; None: those
    that the system's authorities ($SSL_CERT_FILE) vouch for.
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        local: bool = False,
        patience_s: float = _PATIENCE_S,
        timeout_s: float | None = None,
        key: str | None = None,
        certificate: str | Path | None = None,
        transport: Any = None,
    ) -> None:
        try:
            import httpx
        except ModuleNotFoundError as error:
            raise ImportError("the client needs httpx: pip install 'descent-ml[serve]'") from error
        self.url = url.rstrip("/")
        self.local = local
        self.patience_s = patience_s
        self._token = token
        self._key = key or os.environ.get("DESCENT_API_KEY")
        verify: Any = True
        if certificate is not None:
            from descent.deploy.control.certificates import pinned

            verify = pinned(certificate)
        self._http = httpx.Client(
            base_url=self.url, timeout=timeout_s, transport=transport, verify=verify
        )
        self._unreachable: tuple[type[Exception], ...] = (httpx.ConnectError,)
        self._broken: tuple[type[Exception], ...] = (httpx.TransportError,)

    def __repr__(self) -> str:
        return f"Client({self.url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connections."""
        self._http.close()

    # deploying

    def deploy(
        self,
        spec: Any,
        *,
        force: bool = False,
        wait: bool = True,
        by: str | None = None,
        folder: str | Path | None = None,
        **overrides: Any,
    ) -> list[dict[str, Any]]:
        """Deploy a spec (dict or list), a YAML file, a run folder, "file.py:Class" or a class.

        Returns one result per API: api, version, state, endpoint, url, error. Raises `DeployError`
        if the specs are wrong (nothing is applied then) or a version could not be loaded (the last
        good one goes on). `wait` is there for Cortex' sake: deploying always waits.
        """
        del wait
        from descent.deploy.control.sending import order

        sent = order(spec, folder=folder, overrides=overrides, local=self.local)
        query = {"by": by or _whoami(), **({"force": "true"} if force else {})}
        answer = self._control("POST", "/deploy", params=query, **sent)
        failed = [each for each in answer["results"] if each.get("error")]
        if failed:
            raise RequestError("; ".join(e["error"] for e in failed), 422, "load_failed", answer)
        return answer["results"]

    def deploy_from_file(
        self, path: str | Path, force: bool = False, wait: bool = True
    ) -> list[dict[str, Any]]:
        """Deploy every spec of a YAML file."""
        return self.deploy(str(path), force=force, wait=wait)

    def list_apis(self) -> list[dict[str, Any]]:
        """Every API with its state and figures."""
        return self._control("GET", "/apis")["apis"]

    def get_api(self, name: str) -> dict[str, Any]:
        """One API: its spec, replicas, versions, figures."""
        return self._control("GET", f"/apis/{name}")

    describe = get_api

    def versions(self, name: str) -> list[dict[str, Any]]:
        """Every version, the latest first: number, state, reason, by, when, spec, changes."""
        return self._control("GET", f"/apis/{name}/versions")["versions"]

    def refresh(self, name: str, force: bool = False) -> dict[str, Any]:
        """Load the active version anew and switch to it."""
        return self._control("POST", f"/apis/{name}/refresh", params={"force": force})

    def rollback(self, name: str, version: int | None = None) -> dict[str, Any]:
        """Go back to a version; None: to the good one before."""
        return self._control("POST", f"/apis/{name}/rollback", json={"version": version})

    def promote(self, splitter: str, api: str) -> dict[str, Any]:
        """Give all of a splitter's traffic to one of its APIs."""
        query = {"by": _whoami()}
        return self._control("POST", f"/apis/{splitter}/promote", json={"api": api}, params=query)

    def set_weights(self, splitter: str, weights: Mapping[str, int]) -> dict[str, Any]:
        """Divide a splitter's traffic otherwise."""
        sent: dict[str, Any] = {"json": {"weights": dict(weights)}, "params": {"by": _whoami()}}
        return self._control("PUT", f"/apis/{splitter}/weights", **sent)

    def delete(self, name: str, keep_cache: bool = False, force: bool = False) -> dict[str, Any]:
        """End an API; `keep_cache` keeps its jobs and their results."""
        query = {"keep_jobs": keep_cache, "force": force}
        return self._control("DELETE", f"/apis/{name}", params=query)

    def logs(
        self,
        name: str,
        *,
        lines: int = 100,
        follow: bool = False,
        version: int | None = None,
        job: str | None = None,
    ) -> Iterator[dict[str, Any]]:
        """Log lines as objects; with `follow` they go on coming."""
        query = {"lines": lines, "follow": follow, "version": version, "job": job}
        params = {key: value for key, value in query.items() if value is not None}
        with self._http.stream(
            "GET", f"/-/apis/{name}/logs", params=params, headers=wire.bearer(self._token)
        ) as answer:
            if answer.status_code >= 400:
                answer.read()
                raise wire.failure(answer)
            for line in answer.iter_lines():
                if line:
                    yield json.loads(line)

    def errors(self, name: str) -> list[dict[str, Any]]:
        """Failed requests of the last while, the latest first."""
        return self._control("GET", f"/apis/{name}/errors")["errors"]

    def info(self) -> dict[str, Any]:
        """The node: version, settings, state."""
        return self._control("GET", "/info")

    def keys(self) -> list[dict[str, Any]]:
        """The node's API keys, without their secrets."""
        return self._control("GET", "/keys")["keys"]

    def create_key(
        self,
        name: str,
        scopes: list[str],
        *,
        per_s: float | None = None,
        burst: int | None = None,
        expires_s: float | None = None,
    ) -> dict[str, Any]:
        """A new API key; its `secret` is said this once (`descent.deploy.keys.scopes`)."""
        body = {"name": name, "scopes": scopes, "per_s": per_s, "burst": burst,
                "expires_s": expires_s}  # fmt: skip
        return self._control("POST", "/keys", json={k: v for k, v in body.items() if v is not None})

    def revoke_key(self, id: str) -> dict[str, Any]:
        """End an API key, from now on."""
        return self._control("DELETE", f"/keys/{id}")

    # asking

    def predict(
        self,
        name: str,
        value: Any = None,
        *,
        path: str = "",
        method: str = "POST",
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """Ask a RealtimeAPI; bytes are sent as they are, anything else as JSON."""
        answer = self._request(method, self._path(name, path), **wire.body(value, headers))
        return wire.result(answer)

    def stream(
        self,
        name: str,
        value: Any = None,
        *,
        path: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> Iterator[Any]:
        """Ask and yield what comes: values of a text/event-stream, else pieces of bytes."""
        sent = wire.body(value, {"accept": "text/event-stream, */*", **(headers or {})})
        sent["headers"] = {**wire.bearer(self._key), **sent["headers"]}
        with self._http.stream("POST", self._path(name, path), **sent) as answer:
            if answer.status_code >= 400:
                answer.read()
                raise wire.failure(answer)
            if answer.headers.get("content-type", "").startswith("text/event-stream"):
                yield from wire.events(answer.iter_lines())
            else:
                yield from answer.iter_bytes()

    def submit(
        self,
        name: str,
        value: Any = None,
        *,
        idempotency_key: str | None = None,
        headers: Mapping[str, str] | None = None,
        dry_run: bool = False,
    ) -> Any:
        """Give work to an AsyncAPI, BatchAPI or TaskAPI; the answer has its id ("id", "job_id").

        A key is made up where none is given, so trying again never submits twice.
        """
        extra = {**(headers or {}), "idempotency-key": idempotency_key or secrets.token_hex(16)}
        query = {"params": {"dryRun": "true"}} if dry_run else {}
        return wire.result(
            self._request("POST", self._path(name, ""), **wire.body(value, extra), **query)
        )

    def get_job(self, name: str, job: str) -> dict[str, Any]:
        """A job's state."""
        return self._control("GET", f"/apis/{name}/jobs/{job}")

    def jobs(self, name: str, **query: Any) -> list[dict[str, Any]]:
        """An API's jobs, the latest first."""
        return self._control("GET", f"/apis/{name}/jobs", params=query)["jobs"]

    def stop_job(self, name: str, job: str, keep_cache: bool = False) -> dict[str, Any]:
        """Stop a job; what is done stays done."""
        del keep_cache
        return self._control("DELETE", f"/apis/{name}/jobs/{job}")

    def wait(
        self, name: str, job: str, *, timeout_s: float | None = None, every_s: float = 0.25
    ) -> dict[str, Any]:
        """Until a job has ended; raises `DeployError` when `timeout_s` is over."""
        until = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            state = self.get_job(name, job)
            if state["ended"]:
                return state
            if until is not None and time.monotonic() > until:
                raise DeployError(f"job {job} is still {state['status']} after {timeout_s:g} s")
            time.sleep(every_s)

    # the wire

    def _path(self, name: str, path: str) -> str:
        endpoint = name if name.startswith("/") else f"/{name}"
        return endpoint + (f"/{path.lstrip('/')}" if path else "")

    def _control(self, method: str, path: str, **sent: Any) -> Any:
        return self._request(method, f"/-{path}", **sent).json()

    def _request(self, method: str, path: str, **sent: Any) -> Any:
        """Send; refused (429, 503), unreachable, or broken and safe to do twice: again, as long as
        patience lasts."""
        until = time.monotonic() + self.patience_s
        delay_s = 0.1
        safe = method != "POST" or "idempotency-key" in sent.get("headers", {})
        bearer = wire.bearer(self._token if path.startswith("/-/") else self._key)
        sent["headers"] = {**bearer, **sent.get("headers", {})}
        while True:
            try:
                answer = self._http.request(method, path, **sent)
            except self._unreachable as error:
                if time.monotonic() + delay_s > until:
                    raise DeployError(f"no node answers at {self.url} ({error})") from error
                time.sleep(delay_s)
                delay_s = min(2.0, delay_s * 2)
                continue
            except self._broken as error:
                if not safe or time.monotonic() + delay_s > until:
                    said = f"the connection to {self.url} broke ({error})"
                    raise DeployError(f"{said}; it may have been done") from error
                time.sleep(delay_s)
                continue
            if answer.status_code < 400:
                return answer
            if answer.status_code not in (429, 503):
                raise wire.failure(answer)
            delay_s = wire.retry_after_s(answer) or min(2.0, delay_s * 2)
            if time.monotonic() + delay_s > until:
                raise wire.failure(answer)
            time.sleep(delay_s)


def _whoami() -> str:
    """Who deploys, as versions remember it."""
    return f"{getpass.getuser()}@{socket.gethostname()}"
