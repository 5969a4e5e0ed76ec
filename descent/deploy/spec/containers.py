"""A container of a spec: what to run, how to ask whether it is ready, how to stop it.

Names, defaults and limits are Cortex' (docs/workloads/*/configuration.md there), which are
Kubernetes'. Ours: `image` may be left out when there is a `command`, which then runs as a process.
"""

from __future__ import annotations

import re
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from descent.deploy.spec.units import Between, Bytes, Processors, Whole, wrong

__all__ = [
    "Compute",
    "Container",
    "Exec",
    "HttpGet",
    "Part",
    "Port",
    "PreStop",
    "Probe",
    "TcpSocket",
]

RESERVED_PORTS = (8888, 15000)
RESERVED_NAMES = ("dequeuer", "proxy")
RESERVED_PREFIXES = ("CORTEX_", "KUBEXIT_")


class Part(BaseModel):
    """A section of a spec: unknown fields are refused, and nothing changes afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _port(value: int) -> int:
    if value in RESERVED_PORTS:
        raise wrong("8888 and 15000 are reserved, as in Cortex")
    return value


def _dns_label(value: str) -> str:
    if not re.fullmatch(r"[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?", value):
        raise wrong(
            "a name is lower-case letters, digits and '-', begins with a letter, ends with a "
            "letter or digit and has at most 63 characters"
        )
    if value in RESERVED_NAMES:
        raise wrong("'dequeuer' and 'proxy' are reserved, as in Cortex")
    return value


def _text(value: object) -> object:
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise wrong(f'text is needed: write "{value}" in quotes')
    if isinstance(value, bool):
        raise wrong('text is needed: write "true" or "false" in quotes')
    if isinstance(value, str) and "\0" in value:
        raise wrong("a text without NUL is needed")
    return value


def _path(value: str) -> str:
    if not re.fullmatch(r"[a-zA-Z0-9_\-./]*", value) or "//" in value:
        raise wrong("a path is letters, digits, '-', '_', '.' and single '/'")
    return "/" + value.strip("/")


def _image(value: str) -> str:
    if not re.fullmatch(r"[a-zA-Z0-9][\w.\-:/@]{0,499}", value):
        raise wrong("a Docker image is needed, like 'registry.example.com/team/sorter:1.2'")
    return value


def _command(value: list[str]) -> list[str]:
    if not value or not value[0]:
        raise wrong("a list of at least one word is needed")
    return value


Port = Annotated[Whole, Between(1, 65535), AfterValidator(_port)]
Text = Annotated[str, BeforeValidator(_text)]
Seconds = Annotated[Whole, Between(0, 86400, unit="seconds")]
Count = Annotated[Whole, Between(0, 1000)]


class HttpGet(Part):
    """A GET that must answer 200 to 399, as Kubernetes counts it."""

    port: Port
    path: Annotated[str, AfterValidator(_path)] = "/"


class TcpSocket(Part):
    """A port that must accept a connection."""

    port: Port


class Exec(Part):
    """A command, run without a shell, that must end with code 0."""

    command: Annotated[list[Text], AfterValidator(_command)]


class Probe(Part):
    """A question asked every `period_seconds`; exactly one of the three ways.

    As in Kubernetes, 0 for a period, timeout or threshold is its default.
    """

    http_get: HttpGet | None = None
    tcp_socket: TcpSocket | None = None
    exec: Exec | None = None
    initial_delay_seconds: Seconds = 0
    timeout_seconds: Seconds = 1
    period_seconds: Seconds = 10
    success_threshold: Count = 1
    failure_threshold: Count = 3

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if sum(way is not None for way in (self.http_get, self.tcp_socket, self.exec)) != 1:
            raise wrong("exactly one of http_get, tcp_socket and exec is needed")
        return self


class PreStop(Part):
    """What is done before a container is told to end; exactly one of the two ways."""

    http_get: HttpGet | None = None
    exec: Exec | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.http_get is None) == (self.exec is None):
            raise wrong("exactly one of http_get and exec is needed")
        return self


class Compute(Part):
    """What a container asks for: processors, bytes, GPUs, Inferentia chips, shared memory."""

    cpu: Annotated[Processors, Between(0.02, unit="processors")] | None = 0.2
    mem: Annotated[Bytes, Between(20 * 2**20, unit="bytes (20Mi)")] | None = None
    gpu: Annotated[Whole, Between(0)] = 0
    inf: Annotated[Whole, Between(0)] = 0
    shm: Bytes | None = None

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.shm is not None and self.mem is not None and self.shm > self.mem:
            raise wrong(f"shm ({self.shm} bytes) cannot be more than mem ({self.mem} bytes)")
        if self.gpu and self.inf:
            raise wrong("gpu and inf cannot both be asked for")
        return self


class Container(Part):
    """One process of a replica. `$(NAME)` in command and args is that variable of its `env`.
    Beside a `service` it has `compute` alone, and says what a replica of the service asks for."""

    name: Annotated[str, AfterValidator(_dns_label)]
    image: Annotated[str, AfterValidator(_image)] | None = None
    command: list[Text] | None = None
    args: list[Text] | None = None
    env: dict[str, Text] = Field(default_factory=dict)
    compute: Compute = Compute()
    readiness_probe: Probe | None = None
    liveness_probe: Probe | None = None
    pre_stop: PreStop | None = None

    @model_validator(mode="after")
    def _runs(self) -> Self:
        for name in self.env:
            if name.startswith(RESERVED_PREFIXES):
                raise wrong(f"env.{name}: names beginning with CORTEX_ or KUBEXIT_ are reserved")
            if not name or "=" in name or "\0" in name:
                raise wrong(f"env.{name!r} cannot be the name of a variable")
        return self
