"""What a task runs: Python of the user's in a child of ours, a command, or a Docker image.

Job and config reach it as Cortex does it: $CORTEX_JOB_SPEC names job.json, in a container
/cortex/spec/job.json. The node's own variables (keys, addresses) are not passed on. Left out:
several containers of one task (the first is run), credentials for images (`docker login`).
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

from descent.deploy.jobs.room import Room
from descent.deploy.jobs.running import Command
from descent.deploy.jobs.store import Lease
from descent.deploy.pools.command_recipe import expanded
from descent.deploy.spec.containers import Container

__all__ = ["command_of"]

IN_CONTAINER = "/cortex/spec/job.json"


def command_of(room: Room, lease: Lease, run: Path) -> Command:
    """The command of one run, whose folder is `run`. Raises `OSError` without Docker."""
    spec, folder = room.spec, str(room.folder or Path.cwd())
    env = {"CORTEX_JOB_ID": lease.job, "CORTEX_API_NAME": spec.name}
    if spec.service is not None:
        argv = [
            sys.executable, "-P", "-m", "descent.deploy.jobs.task_child", spec.service, folder,
        ]  # fmt: skip
        env |= {"DESCENT_TASK_CONFIG": json.dumps(spec.config), "PYTHONUNBUFFERED": "1"}
        return Command(argv, folder, env, lease.deadline)
    container = spec.pod.containers[0]
    env |= container.env
    words = [expanded(word, env) for word in container.command or []]
    rest = [expanded(word, env) for word in container.args or []]
    if container.image is None:
        env.setdefault("PYTHONUNBUFFERED", "1")
        return Command([*words, *rest], folder, env, lease.deadline)
    return Command(_docker(container, lease, run, env, words, rest), folder, env, lease.deadline)


def _docker(
    container: Container, lease: Lease, run: Path, env: dict[str, str], words: list[str],
    rest: list[str],
) -> list[str]:  # fmt: skip
    if shutil.which("docker") is None:
        raise OSError(
            f"{container.image} needs Docker, and there is no `docker` here; a container with a "
            "`command` and no `image` runs as a process"
        )
    argv = ["docker", "run", "--rm", "--init", "--name", f"task-{lease.job}-{run.name}"]
    argv += ["--volume", f"{run / 'job.json'}:{IN_CONTAINER}:ro"]
    argv += ["--env", f"CORTEX_JOB_SPEC={IN_CONTAINER}"]
    for name in env:  # by name: values do not stand in the list of processes
        argv += ["--env", name]
    if container.compute.shm:
        argv += ["--shm-size", str(container.compute.shm)]
    if container.compute.gpu:
        argv += ["--gpus", str(container.compute.gpu)]
    if words:
        argv += ["--entrypoint", words[0]]
    return [*argv, container.image or "", *words[1:], *rest]
