"""All APIs of a node: what may be deployed beside what, restored at the start, ended at the end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from descent.deploy.control.apis import Api
from descent.deploy.control.fronts import Front, endpoint_of
from descent.deploy.control.records import Records, Version, as_dict, changes
from descent.deploy.control.starting import Starter, backend_of
from descent.deploy.errors import DeployError
from descent.deploy.gateway import Gateway
from descent.deploy.jobs.store.versions import Versions
from descent.deploy.spec import Spec, make_spec

__all__ = ["Controller", "Deployed", "NoSuchApi"]


class NoSuchApi(DeployError):
    """There is no API of that name."""


@dataclass(frozen=True)
class Deployed:
    """What became of one spec; `error` says why it did not become live."""

    api: str
    kind: str
    version: int | None
    changed: bool
    endpoint: str
    error: str | None = None
    notes: str = ""


class Controller:
    """The one place where APIs are changed.

    `make_front(spec)` makes what stands before an API of the spec's kind (`fronts.Front`).
    """

    def __init__(
        self,
        versions_folder: Path,
        gateway: Gateway,
        versions: Versions,
        starter: Starter,
        make_front: Callable[[Spec], Front],
        *,
        drain_s: float = 60.0,
        grace_s: float = 20.0,
    ) -> None:
        self.folder = versions_folder
        self.gateway = gateway
        self.versions = versions
        self.starter = starter
        self.make_front = make_front
        self.drain_s = drain_s
        self.grace_s = grace_s
        self.apis: dict[str, Api] = {}

    async def prepare(self) -> None:
        """After a restart, before the first request: every API has its address again."""
        found = await self.versions.apis()
        for known in found:
            self.apis[known.name] = self._made(known.name, known.kind)
        await asyncio.gather(*(self.apis[known.name].reserve(known.active) for known in found))

    async def start(self) -> None:
        """Load what was live, in parallel; the node is ready after it."""
        await asyncio.gather(*(api.restore() for api in list(self.apis.values())))

    async def close(self) -> None:
        """End every version; what was deployed stays deployed."""
        closing = (api.close(self.grace_s) for api in self.apis.values())
        await asyncio.gather(*closing, return_exceptions=True)

    def api(self, name: str) -> Api:
        """An API by name. Raises `NoSuchApi`."""
        found = self.apis.get(name)
        if found is None:
            have = ", ".join(sorted(self.apis)) or "none"
            raise NoSuchApi(f"there is no API '{name}'; deployed: {have}")
        return found

    async def deploy(
        self, specs: Sequence[Spec], by: str, base: Path | None = None, *, force: bool = False
    ) -> list[Deployed]:
        """Deploy specs: all are checked before any is applied; then each stands for itself, the
        splitters after those they share traffic among.

        Raises `DeployError` when a spec does not fit with what is there; nothing was done then.
        """
        self.check(specs)
        first = [spec for spec in specs if spec.kind != "TrafficSplitter"]
        then = [spec for spec in specs if spec.kind == "TrafficSplitter"]
        results: dict[str, Deployed] = {}
        for group in (first, then):
            answers = [self._deploy(spec, by, base, force) for spec in group]
            for done in await asyncio.gather(*answers):
                results[done.api] = done
        return [results[spec.name] for spec in specs]

    async def _deploy(self, spec: Spec, by: str, base: Path | None, force: bool) -> Deployed:
        api = self.apis.get(spec.name)
        if api is None or api.deleted:
            api = self.apis[spec.name] = self._made(spec.name, spec.kind)
        endpoint = endpoint_of(spec)
        try:
            version, new = await api.deploy(spec, by, base, force=force)
        except DeployError as error:
            if not await api.records.list():  # nothing was ever kept under this name
                self.apis.pop(spec.name, None)
            return Deployed(spec.name, spec.kind, None, False, endpoint, str(error))
        return Deployed(
            spec.name, spec.kind, version.number, new, endpoint, notes="; ".join(api.notes)
        )

    def check(self, specs: Sequence[Spec]) -> None:
        """Whether these fit with each other and with what is there. Raises `DeployError`."""
        coming = {spec.name: spec for spec in specs}
        for spec in specs:
            old = self.apis.get(spec.name)
            if old is not None and old.kind != spec.kind:
                raise DeployError(
                    f"'{spec.name}' is a {old.kind} and cannot become a {spec.kind}: "
                    f"`descent delete {spec.name}` first, or choose another name"
                )
            owner = self.gateway.routes.by_endpoint.get(endpoint_of(spec))
            if owner is not None and owner.name != spec.name and owner.name not in coming:
                raise DeployError(
                    f"networking.endpoint of '{spec.name}' is {owner.endpoint!r}, "
                    f"which '{owner.name}' has"
                )
            backend = backend_of(spec, self.starter.default)
            if spec.kind != "TrafficSplitter" and backend not in self.starter.backends:
                have = ", ".join(self.starter.backends)
                raise DeployError(f"backend of '{spec.name}' is {backend!r}; this node has {have}")
            for split in spec.apis:
                kind = coming[split.name].kind if split.name in coming else None
                if kind is None and split.name in self.apis:
                    kind = self.apis[split.name].kind
                if kind != "RealtimeAPI":
                    what = "is not deployed" if kind is None else f"is a {kind}"
                    raise DeployError(
                        f"apis of '{spec.name}' names '{split.name}', which {what}; "
                        "a TrafficSplitter shares traffic among RealtimeAPIs"
                    )

    async def delete(self, name: str, *, keep_jobs: bool = False, force: bool = False) -> None:
        """End an API and forget it. Raises `DeployError` while a splitter sends traffic to it."""
        api = self.api(name)
        users = [
            other.name
            for other in self.apis.values()
            if other.live and any(split.name == name for split in other.live.spec.apis)
        ]
        if users and not force:
            raise DeployError(
                f"'{users[0]}' sends traffic to '{name}': delete or change it first, or use --force"
            )
        await api.delete(keep_jobs=keep_jobs)
        if self.apis.get(name) is api:
            del self.apis[name]

    async def change(
        self,
        name: str,
        by: str,
        change: Callable[[Spec], dict[str, Any]],
        *,
        reason: str = "",
    ) -> Version:
        """Deploy a live spec again with some fields changed (weights of a splitter); `reason` is
        remembered with the version."""
        live = self.api(name).live
        if live is None:
            raise DeployError(f"'{name}' has no live version")
        written = live.spec.model_dump(mode="json", exclude_unset=True)
        spec = make_spec({**written, **change(live.spec)})
        version, _ = await self.api(name).deploy(spec, by, None, reason=reason)
        return version

    async def history(self, name: str, limit: int = 100) -> list[dict[str, Any]]:
        """Versions with what each changed against the one before, the latest first."""
        versions = list(await self.api(name).records.list(limit + 1))
        out = []
        for version, before in zip(versions, [*versions[1:], None]):
            lines = [] if before is None else changes(before.spec, version.spec)
            if before is not None and before.folder != version.folder:
                lines.append("what was sent: changed")
            out.append({**as_dict(version), "changes": lines})
        return out[:limit]

    def _made(self, name: str, kind: str) -> Api:
        return Api(
            self.folder / name, Records(self.versions, name, kind), self.starter, self.make_front,
            check=self.check, drain_s=self.drain_s, grace_s=self.grace_s,
        )  # fmt: skip
