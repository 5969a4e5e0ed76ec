"""From a spec to the recipes of one replica: processes, Docker containers, or our own service.

Every replica gets a free port of its own, in `$CORTEX_PORT`; probes of `pod.port` ask there. Other
ports are the machine's: two replicas that insist on one cannot both have it.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import socket
import sys
from collections import deque

from descent.deploy.pool import Start
from descent.deploy.pools.command_docker import docker_recipe
from descent.deploy.pools.command_process import inherited
from descent.deploy.pools.command_recipe import Recipe, expanded
from descent.deploy.pools.probes import Place
from descent.deploy.spec.containers import Container

__all__ = ["free_port", "recipes"]


PORTS = range(20_000, 32_000)  # below those the system gives to whoever asks for any (32768 …)
_given: deque[int] = deque(maxlen=1000)


def free_port() -> int:
    """A port of loopback that nothing listens on, and that nobody is likely to take before the
    process that is to have it has started. Raises OSError when all are taken."""
    first = secrets.randbelow(len(PORTS))
    for n in range(len(PORTS)):
        port = PORTS[(first + n) % len(PORTS)]
        if port in _given:
            continue
        with socket.socket() as found, contextlib.suppress(OSError):
            found.bind(("127.0.0.1", port))
            _given.append(port)
            return port
    raise OSError(f"no port of {PORTS.start} to {PORTS.stop - 1} is free")


def recipes(start: Start, replica: str, address: tuple[str, int] | str) -> list[Recipe]:
    """The containers of one replica that answers at `address`."""
    spec = start.spec
    if spec.service is not None:
        assert isinstance(address, str)
        return [_child(start, address)]
    assert not isinstance(address, str)
    if any(container.image is not None for container in spec.pod.containers):
        ports = {port: free_port() for port in _asked_ports(spec.pod.containers)}
        ports[spec.pod.port] = address[1]
        return [docker_recipe(start, one, replica, ports) for one in spec.pod.containers]
    return [_process(start, container, address) for container in spec.pod.containers]


def _asked_ports(containers: list[Container]) -> set[int]:
    """The ports that probes and hooks ask."""
    ways = [
        way
        for container in containers
        for asked in (container.readiness_probe, container.liveness_probe, container.pre_stop)
        if asked is not None
        for way in (asked.http_get, getattr(asked, "tcp_socket", None))
    ]
    return {way.port for way in ways if way is not None}


def _process(start: Start, container: Container, address: tuple[str, int]) -> Recipe:
    own = {**container.env, "CORTEX_PORT": str(address[1])}
    own |= {"CORTEX_API_NAME": start.spec.name, "CORTEX_API_VERSION": str(start.version)}
    env = {"PYTHONUNBUFFERED": "1", **inherited(), **own}
    words = [*(container.command or []), *(container.args or [])]
    place = Place(address, {start.spec.pod.port: address[1]}, (), env, str(start.folder))
    return Recipe(
        name=container.name,
        argv=tuple(expanded(word, own) for word in words),
        env=env,
        folder=str(start.folder),
        place=place,
        readiness=container.readiness_probe,
        liveness=container.liveness_probe,
        pre_stop=container.pre_stop,
    )


def _child(start: Start, address: str) -> Recipe:
    """One of our own services, in a process of its own (child.py)."""
    given = {
        "spec": start.spec.model_dump(mode="json"),
        "version": start.version,
        "folder": str(start.folder),
        "config": start.config,
        "socket": address,
    }
    return Recipe(
        name="service",
        argv=(sys.executable, "-m", "descent.deploy.pools.child"),
        env={"PYTHONUNBUFFERED": "1", **inherited()},
        folder=str(start.folder),
        place=Place(address),
        given=json.dumps(given).encode() + b"\n",
    )
