"""What the tests of the "command" backend share: specs of small programs, a log, calls."""

import asyncio
import contextlib
import json
import os
import sys
from pathlib import Path

from descent.deploy.asking import ask
from descent.deploy.pool import Context, Start
from descent.deploy.pools.command import CommandBackend
from descent.deploy.spec import make_spec

SERVER = str(Path(__file__).with_name("programs") / "server.py")
PYTHON = [sys.executable, "-S"]  # without site: it starts in a third of the time


class Log:
    """The lines of a version's log."""

    def __init__(self):
        self.lines = []
        self.fields = []

    def __call__(self, line, **fields):
        self.lines.append(line)
        self.fields.append(fields)

    async def wait_for(self, text, seconds=10.0):
        async with asyncio.timeout(seconds):
            while not any(text in line for line in self.lines):
                await asyncio.sleep(0.01)


def container(*args, name="web", **fields):
    return {"name": name, "command": [*PYTHON, SERVER], "args": list(args), **fields}


def command_spec(*containers, kind="RealtimeAPI", **fields):
    pod = {"containers": list(containers) or [container()], **fields.pop("pod", {})}
    return make_spec({"name": "echo", "kind": kind, "pod": pod, **fields})


@contextlib.asynccontextmanager
async def running(spec, folder, log=None, version=1, limit_s=20.0):
    """A started pool, closed at the end whatever happens."""
    backend = CommandBackend(ready_limit_s=limit_s)
    try:
        yield await backend.start(Start(spec, version, Path(folder), log or Log()))
    finally:
        await backend.close()


async def call(pool, path="/echo", body=b"", method="POST", headers=(), query=""):
    context = Context("req-1", api="echo", version=1)
    return await ask(
        pool.app, path, body, context=context, method=method, headers=headers,
        root_path="/echo-api", query=query,
    )  # fmt: skip


async def until(true, seconds=10.0):
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.01)


def said(answer):
    return json.loads(answer.body)


def alive(pid):
    """Whether the process runs (a zombie does not)."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
    except OSError:
        return os.path.exists(f"/proc/{pid}")


def pid_of(pool, n=0):
    """The process of a pool's n-th replica."""
    return pool._replicas[n].containers[0].process.pid
