"""What the store remembers of versions, the words for their states, and how two differ.

loading → live → retired          loading → failed          loading → interrupted
                  (was live)                                (the node stopped meanwhile)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from descent.deploy.errors import DeployError
from descent.deploy.jobs.store.versions import Version, Versions

__all__ = ["Records", "Version", "as_dict", "changes", "previous_good"]


class Records:
    """One API's versions in the store. A version's `spec` is what its author wrote, with `service`
    relative to `folder`: what was kept, named by its hash, so versions may share it."""

    def __init__(self, versions: Versions, api: str, kind: str) -> None:
        self.versions = versions
        self.name = api
        self.kind = kind

    async def add(self, spec: dict[str, Any], by: str, folder: str) -> Version:
        """A new version, being loaded."""
        return await self.versions.add(
            self.name, self.kind, spec, by=by, folder=folder, state="loading"
        )

    async def failed(self, number: int, reason: str) -> None:
        """It could not be loaded."""
        await self.versions.set_state(self.name, number, "failed", reason)

    async def activate(self, number: int, reason: str = "") -> None:
        """From now on this one is brought back after a restart. That is one write; the states
        follow, and `settle` repairs them should the node die in between."""
        before = await self.active()
        await self.versions.activate(self.name, number)
        await self.versions.set_state(self.name, number, "live", reason)
        if before is not None and before != number:
            said = (await self.get(before)).reason
            await self.versions.set_state(self.name, before, "retired", said)

    async def settle(self, active: int | None) -> None:
        """After a restart: states as they must be."""
        for version in await self.list():
            if version.number == active:
                if version.state != "live":
                    await self.versions.set_state(self.name, version.number, "live")
            elif version.state == "live":
                await self.versions.set_state(self.name, version.number, "retired")
            elif version.state == "loading":
                said = "the node stopped while it was being loaded"
                await self.versions.set_state(self.name, version.number, "interrupted", said)

    async def list(self, limit: int = 1000) -> Sequence[Version]:
        """The latest first."""
        return await self.versions.list(self.name, limit)

    async def get(self, number: int) -> Version:
        """One version. Raises `DeployError`."""
        found = await self.versions.get(self.name, number)
        if found is None:
            have = ", ".join(str(version.number) for version in await self.list()) or "none"
            raise DeployError(f"'{self.name}' has no version {number}; it has {have}")
        return found

    async def active(self) -> int | None:
        """The number of the one that is brought back after a restart."""
        found = await self.versions.api(self.name)
        return found.active if found is not None else None

    async def forget(self) -> None:
        """The API is no longer deployed."""
        await self.versions.delete(self.name)


def as_dict(version: Version) -> dict[str, Any]:
    """Everything, JSON-able."""
    return asdict(version)


def previous_good(versions: Sequence[Version], active: int | None) -> Version | None:
    """Where a rollback goes: the version that was live last, apart from the active one."""
    good = [v for v in versions if v.state == "retired" and v.number != active]
    return max(good, key=lambda v: v.since, default=None)


def changes(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """How two specs differ, a line a field: "pod.max_concurrency: 1 → 8"."""
    before, after = dict(_flat(old)), dict(_flat(new))
    lines = []
    for name in [*before, *(n for n in after if n not in before)]:
        if before.get(name) != after.get(name):
            was = repr(before[name]) if name in before else "unset"
            lines.append(f"{name}: {was} → {repr(after[name]) if name in after else 'unset'}")
    return lines


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for i, inner in enumerate(value):
            yield from _flat(inner, f"{name}[{i}]")
    else:
        yield name, value
