"""A container with an image, run by a Docker daemon where one answers.

The containers of a replica share the first one's network, as a pod's do; its port is published on
loopback only. Left out: pulling with credentials (`docker login` does that), limits of memory and
processors (Cortex' are requests, not limits).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket

from descent.deploy.pool import LoadError, Start
from descent.deploy.pools.command_process import inherited
from descent.deploy.pools.command_recipe import Recipe, expanded
from descent.deploy.pools.probes import Place
from descent.deploy.spec.containers import Container

__all__ = ["docker_answers", "docker_recipe", "remove_leftovers"]

ANSWER_S = 10.0
HOST = "127.0.0.1"
LABEL = "descent.node"


async def docker_answers(api: str) -> None:
    """Return when a daemon answers. Raises LoadError that says what to do."""
    instead = (
        f"install and start Docker, or give the containers of '{api}' a `command` without `image`: "
        "it then runs as a process, with its port in $CORTEX_PORT"
    )
    if shutil.which("docker") is None:
        raise LoadError(f"an image needs Docker, and there is no `docker` here; {instead}")
    try:
        code, said = await _docker("version", "--format", "{{.Server.Version}}")
    except TimeoutError:
        raise LoadError(f"the Docker daemon does not answer; {instead}") from None
    if code != 0:
        lines = said.strip().splitlines()
        raise LoadError(
            f"an image needs Docker, which says: {lines[-1] if lines else 'nothing'}; {instead}"
        )


async def remove_leftovers() -> list[str]:
    """Remove the containers of nodes of this machine that live no more (a node that is killed ends
    `docker run`, but not what the daemon runs); their ids."""
    shown = '{{.ID}} {{.Label "' + LABEL + '"}}'
    with contextlib.suppress(TimeoutError):
        _, said = await _docker("ps", "--all", "--filter", f"label={LABEL}", "--format", shown)
        rows = [line.split() for line in said.splitlines()]
        gone = [row[0] for row in rows if len(row) == 2 and _is_gone(row[1])]
        if gone:
            await _docker("rm", "--force", *gone)
        return gone
    return []


def _node() -> str:
    """This process among all there are: machine/pid/start."""
    return f"{socket.gethostname()}/{os.getpid()}/{_started(os.getpid())}"


def _is_gone(node: str) -> bool:
    machine, _, rest = node.rpartition("/")[0].rpartition("/")
    pid, start = rest, node.rpartition("/")[2]
    return machine == socket.gethostname() and pid.isdigit() and _started(int(pid)) != start


def _started(pid: int) -> str:
    """When a process began, in clock ticks (Linux; elsewhere only whether it lives: 0 or "")."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[19]
    except OSError:
        pass
    if os.path.exists("/proc/self/stat"):
        return ""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:
        pass
    return "0"


async def _docker(*words: str) -> tuple[int | None, str]:
    """Exit code and output of a short `docker` command. Raises TimeoutError."""
    process = await asyncio.create_subprocess_exec(
        "docker",
        *words,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(ANSWER_S):
            said, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    return process.returncode, said.decode("utf-8", "replace")


def docker_recipe(
    start: Start, container: Container, replica: str, ports: dict[int, int]
) -> Recipe:
    """`container` as a `docker run`; `ports` are those of the pod, as they are seen from here."""
    pod = start.spec.pod
    own = {**container.env, "CORTEX_PORT": str(pod.port)}
    own |= {"CORTEX_API_NAME": start.spec.name, "CORTEX_API_VERSION": str(start.version)}
    name = f"{replica}-{container.name}"
    command = [expanded(word, own) for word in container.command or []]
    words = ["docker", "run", "--rm", "--init", "--name", name]
    words += ["--label", f"descent.api={start.spec.name}", "--label", f"{LABEL}={_node()}"]
    if container is pod.containers[0]:
        for inner, outer in ports.items():
            words += ["--publish", f"{HOST}:{outer}:{inner}"]
    else:
        words += ["--network", f"container:{replica}-{pod.containers[0].name}"]
    if container.compute.shm:
        words += ["--shm-size", str(container.compute.shm)]
    if container.compute.gpu:
        words += ["--gpus", str(container.compute.gpu)]
    base = inherited()
    for variable, value in own.items():  # by name only where docker itself doesn't read it: `ps`
        words += ["--env", f"{variable}={value}" if variable in base else variable]
    if command:
        words += ["--entrypoint", command[0]]
    words += [container.image or "", *command[1:]]
    words += [expanded(word, own) for word in container.args or []]
    return Recipe(
        name=container.name,
        argv=tuple(words),
        env={**own, **base},
        folder=str(start.folder),
        place=Place((HOST, ports[pod.port]), ports, ("docker", "exec", name)),
        readiness=container.readiness_probe,
        liveness=container.liveness_probe,
        pre_stop=container.pre_stop,
        remove=("docker", "rm", "--force", name),
        image=True,
    )
