"""A container with an image, run by a Docker daemon where one answers.

The containers of a replica share the first one's network, as a pod's do; its port is published on
loopback only. Left out: pulling with credentials (`docker login` does that), limits of memory and
processors (Cortex' are requests, not limits).
"""

from __future__ import annotations

import asyncio
import shutil

from descent.deploy.pool import LoadError, Start
from descent.deploy.pools.command_process import inherited
from descent.deploy.pools.command_recipe import Recipe, expanded
from descent.deploy.pools.probes import Place
from descent.deploy.spec.containers import Container

__all__ = ["docker_answers", "docker_recipe"]

ANSWER_S = 10.0
HOST = "127.0.0.1"


async def docker_answers(api: str) -> None:
    """Return when a daemon answers. Raises LoadError that says what to do."""
    instead = (
        f"install and start Docker, or give the containers of '{api}' a `command` without `image`: "
        "it then runs as a process, with its port in $CORTEX_PORT"
    )
    if shutil.which("docker") is None:
        raise LoadError(f"an image needs Docker, and there is no `docker` here; {instead}")
    process = await asyncio.create_subprocess_exec(
        "docker",
        "version",
        "--format",
        "{{.Server.Version}}",
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
        raise LoadError(f"the Docker daemon does not answer; {instead}") from None
    if process.returncode != 0:
        line = said.decode("utf-8", "replace").strip().splitlines()
        raise LoadError(
            f"an image needs Docker, which says: {line[-1] if line else 'nothing'}; {instead}"
        )


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
    words += ["--label", f"descent.api={start.spec.name}"]
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
