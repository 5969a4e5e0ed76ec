"""The "command" backend's beginnings and ends: what cannot start, and that nothing is left over."""

import asyncio
import os
import signal
import subprocess
import sys

import pytest
import uvloop

from descent.deploy.pool import LoadError
from descent.deploy.pools import command_process
from tests.deploy.pools.commands import (
    Log,
    alive,
    call,
    command_spec,
    container,
    pid_of,
    running,
    until,
)

SERVER_WORDS = container()["command"][2:]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"command": ["no-such-program"]}, "'no-such-program' cannot be started: no such command"),
        ({"command": ["./run.sh"]}, "'./run.sh' cannot be started: no such program"),
        ({"command": ["sh", "-c", "echo why it failed; exit 3"], "args": None},
         r"it ended with code 3; its last lines:\n    why it failed"),
        ({"command": ["sh", "-c", "kill -9 $$"], "args": None}, "it was ended by SIGKILL; it wrote nothing"),
    ],
)  # fmt: skip
def test_one_that_cannot_start_is_a_load_error(tmp_path, fields, expected):
    async def main():
        async with running(command_spec({**container(), **fields}), tmp_path):
            pass

    with pytest.raises(LoadError, match=expected) as caught:
        uvloop.run(main())
    assert "'echo' cannot start: container 'web'" in str(caught.value)


def test_one_that_never_gets_ready_is_a_load_error_and_is_ended(tmp_path):
    async def main(spec):
        log = Log()
        with pytest.raises(LoadError) as caught:
            async with running(spec, tmp_path, log, limit_s=1.0):
                pass
        return str(caught.value), log

    hard_coded = command_spec({"name": "web", "command": ["sh", "-c", "echo $$; exec sleep 60"]})
    message, log = uvloop.run(main(hard_coded))
    assert "not ready within 1 s" in message
    assert "a command takes its port from $CORTEX_PORT" in message
    assert not alive(int(log.lines[0]))
    probe = {"http_get": {"port": 8080, "path": "/nowhere-good"}, "period_seconds": 1}
    sick = command_spec(
        container(
            env={"SICK": str(tmp_path)},
            readiness_probe={**probe, "http_get": {"port": 8080, "path": "/health"}},
        )
    )
    message, _ = uvloop.run(main(sick))
    assert "readiness probe: GET /health answered 500" in message


def test_the_end_ends_everything_it_has_started(tmp_path):
    async def main():
        log = Log()
        script = "sleep 100 & echo beside $!; exec " + " ".join(
            [sys.executable, "-S", *SERVER_WORDS]
        )
        spec = command_spec({"name": "web", "command": ["sh", "-c", script]})
        async with running(spec, tmp_path, log) as pool:
            await log.wait_for("beside")
            beside = int(next(line for line in log.lines if "beside" in line).split()[1])
            pid = pid_of(pool)
            assert alive(pid)
            assert alive(beside)
        await until(lambda: not alive(pid) and not alive(beside))

    uvloop.run(main())


def test_one_that_ignores_sigterm_is_killed_after_the_grace(tmp_path):
    async def main():
        async with running(command_spec(container("--deaf")), tmp_path) as pool:
            pid = pid_of(pool)
            began = asyncio.get_running_loop().time()
            await pool.close(0.3)
            assert 0.3 <= asyncio.get_running_loop().time() - began < 5
            assert not alive(pid)
            assert (await call(pool)).status == 503

    uvloop.run(main())


def test_who_has_less_patience_may_end_what_is_being_ended(tmp_path):
    async def main():
        async with running(command_spec(container("--deaf")), tmp_path) as pool:
            pid = pid_of(pool)
            await pool.scale(0)
            await asyncio.sleep(0.1)
            assert alive(pid)  # it has a minute
            assert [one.state for one in pool.replicas()] == ["Terminating"]
            await pool.close(0.2)
            assert not alive(pid)

    uvloop.run(main())


def test_pre_stop_comes_first(tmp_path):
    async def main():
        log = Log()
        flag = tmp_path / "flag"
        hook = {"exec": {"command": ["sh", "-c", f"echo $CORTEX_PORT > {flag}"]}}
        async with running(command_spec(container(pre_stop=hook)), tmp_path, log) as pool:
            port = pool._replicas[0].address[1]
        assert flag.read_text().strip() == str(port)
        hook = {"http_get": {"port": 8080, "path": "/nonsense"}}
        async with running(command_spec(container(pre_stop=hook)), tmp_path, log):
            pass
        assert "pre_stop: GET /nonsense: no HTTP answer" in log.lines

    uvloop.run(main())


def test_a_group_is_swept_once_for_its_number_may_be_anothers_later(monkeypatch):
    swept = []

    async def main():
        env = dict(os.environ)
        process = await command_process.Process.start(["true"], print, env=env)
        await process.ended()
        monkeypatch.setattr(os, "killpg", lambda *said: swept.append(said))
        assert [await process.wait(), await process.wait()] == [0, 0]
        assert swept == [(process.pid, signal.SIGKILL)]

    uvloop.run(main())


@pytest.mark.skipif(sys.platform != "linux", reason="setpriv --pdeathsig is Linux'")
def test_processes_die_with_the_node(tmp_path):
    script = f"""
import asyncio, sys, uvloop
sys.path.insert(0, {os.getcwd()!r})
from tests.deploy.pools.commands import *
async def main():
    async with running(command_spec(), {str(tmp_path)!r}) as pool:
        print(pool._replicas[0].containers[0].process.pid, flush=True)
        await asyncio.sleep(60)
uvloop.run(main())
"""
    node = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    try:
        pid = int(node.stdout.readline())
        assert alive(pid)
    finally:
        node.kill()
        node.wait()
        node.stdout.close()
    uvloop.run(until(lambda: not alive(pid)))
