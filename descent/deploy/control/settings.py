"""A node's settings: one dataclass, filled from flags, then DESCENT_* variables, then defaults.

    --port 9000  >  DESCENT_PORT=9000  >  8080

A node listens on this machine alone unless it is told otherwise, and then it wants keys and
encryption, or `insecure`.
"""

from __future__ import annotations

import ipaddress
import os
import re
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from descent.deploy.errors import DeployError

__all__ = ["NodeSettings", "read_bytes"]

_UNITS = {"": 1, "k": 1000, "m": 10**6, "g": 10**9, "ki": 2**10, "mi": 2**20, "gi": 2**30}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmg]i?)?b?", re.IGNORECASE)


@dataclass(frozen=True)
class NodeSettings:
    """What a node is started with.

    `memory_limit_bytes`: models beyond it are unloaded by least use; None: no limit.
    `allowed_hosts`: names that requests may ask for beside this machine's own; "*": any. It keeps a
    page elsewhere from reaching a loopback node by a name that it made resolve to this machine.
    `backend`: where services run that do not say: "local", "command" or "ray".
    `grace_s`: how long requests in flight may take when the node, or a version, ends.
    `drain_s`: how long an old version may finish its requests after an update.
    `load_s`: how long a version may take to load; None: as long as it takes.
    `traces`: where OpenTelemetry's traces are sent (OTLP over HTTP); None: what OTEL_… say.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    home: Path | None = None
    database_url: str | None = None
    files_url: str | None = None
    memory_limit_bytes: int | None = None
    backend: str = "local"
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    cors_origins: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    require_keys: bool = False
    insecure: bool = False
    grace_s: float = 20.0
    drain_s: float = 60.0
    load_s: float | None = None
    traces: str | None = None

    def __post_init__(self) -> None:
        self._check()

    def _check(self) -> None:
        if not 0 <= self.port <= 65535:
            raise DeployError(f"the port is {self.port}; 0 (a free one) to 65535 are possible")
        if self.backend not in ("local", "command", "ray"):
            raise DeployError(f"the backend is {self.backend!r}; there are local, command and ray")
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise DeployError("TLS needs both a certificate and its key (--tls-cert, --tls-key)")
        for file in (self.tls_certificate, self.tls_key):
            if file is not None and not file.is_file():
                raise DeployError(f"there is no file {file} for TLS")
        if not self.loopback and not self.insecure and not (self.require_keys and self.encrypted):
            raise DeployError(
                f"{self.host} can be reached from other machines: a node there wants API keys "
                "(--require-keys) and TLS (--tls-cert, --tls-key); --insecure goes on without"
            )

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the node."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def hosts(self) -> set[str] | None:
        """The Host headers that are answered; None: any."""
        if not self.loopback or "*" in self.allowed_hosts:
            return None
        return {"localhost", "127.0.0.1", "[::1]", self.host, *self.allowed_hosts}

    @property
    def encrypted(self) -> bool:
        return self.tls_certificate is not None

    @classmethod
    def gather(
        cls, given: Mapping[str, Any] | None = None, env: Mapping[str, str] | None = None
    ) -> NodeSettings:
        """Flags (`given`; None means not given) over DESCENT_* variables over the defaults.

        Raises `DeployError` naming the variable that cannot be read.
        """
        given, env = given or {}, os.environ if env is None else env
        values: dict[str, Any] = {}
        kinds = typing.get_type_hints(cls)
        for field in fields(cls):
            variable = f"DESCENT_{field.name.upper().removesuffix('_BYTES')}"
            if given.get(field.name) is not None:
                values[field.name] = given[field.name]
            elif env.get(variable):
                values[field.name] = _read(field.name, kinds[field.name], variable, env[variable])
        return cls(**values)

    def variables(self) -> dict[str, str]:
        """The same settings as DESCENT_* variables, for a process that is started with them."""
        out = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if value is None or value is False or value == ():
                continue
            if isinstance(value, Path):
                value = value.absolute()  # the node's process may stand elsewhere
            text = ",".join(value) if isinstance(value, tuple) else str(value)
            out[f"DESCENT_{field.name.upper().removesuffix('_BYTES')}"] = text
        return out


def _read(name: str, kind: Any, variable: str, text: str) -> Any:
    try:
        if name.endswith("_bytes"):
            return read_bytes(text)
        if isinstance(kind, types.UnionType):
            kind = typing.get_args(kind)[0]
        if kind is bool:
            return {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}[
                text.lower()
            ]
        if typing.get_origin(kind) is tuple:
            return tuple(part.strip() for part in text.split(",") if part.strip())
        return kind(text)
    except (ValueError, KeyError, DeployError) as error:
        wanted = {bool: "true or false", int: "a whole number", float: "a number"}
        shape = "a size (2G, 512Mi)" if name.endswith("_bytes") else wanted.get(kind, "a text")
        raise DeployError(f"{variable} is {text!r}; it should be {shape}") from error


def read_bytes(text: str) -> int:
    """ "2G" → 2·10⁹, "512Mi" → 512·2²⁰, "1000" → 1000."""
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise DeployError(f"{text!r} is not a size; 2G, 512Mi or a number of bytes are")
    return int(float(found[1]) * _UNITS[(found[2] or "").lower()])
