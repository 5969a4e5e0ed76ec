"""Probes and hooks: asked of real sockets and commands."""

import asyncio
import os

import pytest

from descent.deploy.pools import probes
from descent.deploy.pools.command_recipe import expanded
from descent.deploy.pools.probes import Place, accepts, ask_probe, run_hook, watch
from descent.deploy.spec import PreStop, Probe

ENV = {"PATH": os.environ["PATH"], "MY_FLAG": "x"}


async def with_server(status, ask):
    async def connected(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 %d X\r\ncontent-length: 0\r\n\r\n" % status)
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        return await ask(Place(("127.0.0.1", port), {8080: port}))
    finally:
        server.close()


HTTP = Probe.model_validate({"http_get": {"port": 8080, "path": "/x"}})
TCP = Probe.model_validate({"tcp_socket": {"port": 8080}})


@pytest.mark.parametrize(
    ("status", "good"),
    [(200, True), (204, True), (302, True), (399, True), (404, False), (500, False), (100, False)],
)
def test_http(status, good):
    answer = asyncio.run(with_server(status, lambda place: ask_probe(HTTP, place)))
    assert answer == (good, f"GET /x answered {status}")


def test_tcp_and_nobody_there():
    good, _ = asyncio.run(with_server(200, lambda place: ask_probe(TCP, place)))
    assert good
    nobody = Place(("127.0.0.1", 1), {8080: 1})
    assert asyncio.run(ask_probe(TCP, nobody)) == (False, "port 1 does not accept a connection")
    assert asyncio.run(ask_probe(HTTP, nobody)) == (False, "port 1 does not accept a connection")
    assert not asyncio.run(accepts("/no/such/socket"))


def run_exec(*command, **fields):
    probe = Probe.model_validate({"exec": {"command": list(command)}, **fields})
    return asyncio.run(ask_probe(probe, Place(("127.0.0.1", 1), env=ENV)))


def test_exec():
    assert run_exec("sh", "-c", 'test "$MY_FLAG" = x') == (True, "'sh' ended with 0")
    assert run_exec("sh", "-c", "exit 4") == (False, "'sh' ended with 4")
    assert run_exec("no-such-command") == (
        False,
        "'no-such-command' cannot be run: No such file or directory",
    )
    assert run_exec("sleep", "60", timeout_seconds=0) == (False, "no answer within 1 s")


def test_hooks_say_what_went_wrong():
    hook = PreStop.model_validate({"exec": {"command": ["true"]}})
    place = Place(("127.0.0.1", 1), env=ENV)
    assert asyncio.run(run_hook(hook, place, 5)) == ""
    slow = PreStop.model_validate({"exec": {"command": ["sleep", "60"]}})
    assert asyncio.run(run_hook(slow, place, 0.1)) == "not done within 0.1 s"


def test_a_state_changes_after_so_many_answers(monkeypatch):
    answers = [False, True, True, True, False, True, False, False, False, True, True]
    waits = []

    async def asked(probe, place):
        return answers.pop(0), "said"

    async def sleep(seconds):
        waits.append(seconds)

    monkeypatch.setattr(probes, "ask_probe", asked)
    monkeypatch.setattr(probes.asyncio, "sleep", sleep)
    probe = Probe.model_validate(
        {
            "tcp_socket": {"port": 1},
            "success_threshold": 2,
            "failure_threshold": 3,
            "period_seconds": 7,
            "initial_delay_seconds": 3,
        }
    )

    async def main():
        states = []
        async for state, _ in watch(probe, Place(("127.0.0.1", 1))):
            states.append((state, len(answers)))
            if not answers:
                return states

    assert asyncio.run(main()) == [(True, 8), (False, 2), (True, 0)]
    assert waits[0] == 3
    assert waits[1:3] == [pytest.approx(0.1), pytest.approx(0.15)]  # sooner until it is ready
    assert waits[3:7] == [7, 7, 7, 7]


def test_variables_in_words():
    env = {"A": "1", "B_C": "2"}
    assert expanded("x$(A)y$(B_C)$(D)$$(A)$A$()", env) == "x1y2$(D)$(A)$A$()"
