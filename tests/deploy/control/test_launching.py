"""A node is started, found and ended: what is said where it cannot be, what is finished before."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections import Counter

import httpx
import pytest

from descent.deploy.control.folders import Home
from descent.deploy.control.launching import ensure
from descent.deploy.errors import DeployError
from tests.deploy.control.nodes import load


def test_a_second_node_of_one_folder_is_the_first(node):
    found, started = ensure(node.settings)
    assert (found.pid, started) == (node.home.running().pid, False)


def test_stop_ends_in_good_order_and_finishes_what_is_inside(make_node):
    node = make_node()
    (node.code / "slow.py").write_text(
        "import asyncio\nclass Slow:\n    async def predict(self, value: int) -> int:\n"
        "        await asyncio.sleep(0.6)\n        return value\n"
    )
    with node.client() as client:
        node.deploy(client, "slow", service="slow.py:Slow")

        async def story():
            async with httpx.AsyncClient() as http:
                asking = asyncio.create_task(http.post(f"{node.url}/slow", json=4))
                await asyncio.sleep(0.2)
                os.kill(node.home.running().supervisor, signal.SIGTERM)
                return (await asking).json()

        assert asyncio.run(story()) == 4
    until = time.monotonic() + 10
    while (lock := node.home.lock()) is None and time.monotonic() < until:
        time.sleep(0.02)
    assert lock is not None
    os.close(lock)
    assert not node.home.node_file.exists()
    log = node.home.node_log.read_text()
    assert "Traceback" not in log
    assert "died" not in log


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda home: (home / "jobs.db").write_text("not a database" * 100), "not a database"),
        (lambda home: (home / "results").write_text("a file"), "results"),
    ],
)
def test_a_node_that_cannot_start_says_why(make_node, tmp_path, spoil, words):
    (tmp_path / "home").mkdir()
    spoil(tmp_path / "home")
    with pytest.raises(DeployError, match=f"did not start.*{words}") as error:
        make_node()
    assert "Traceback" not in str(error.value)


def test_a_certificate_that_is_none(make_node, tmp_path):
    file = tmp_path / "c.pem"
    file.write_text("nothing")
    with pytest.raises(DeployError, match=r"did not start.*PEM"):
        make_node(tls_certificate=file, tls_key=file)


def test_a_taken_port_is_said_at_once(make_node, node):
    port = int(node.url.rpartition(":")[2])
    with pytest.raises(DeployError, match=f"cannot listen on 127.0.0.1:{port}"):
        make_node(port=port)


def test_stopping_under_load_breaks_no_answer(make_node):
    node = make_node()
    statuses = Counter()

    async def story():
        with node.client() as client:
            await asyncio.to_thread(node.deploy, client, says="x")
        done = asyncio.Event()

        async def stop():
            await asyncio.sleep(0.3)
            os.kill(node.home.running().supervisor, signal.SIGTERM)
            while (lock := node.home.lock()) is None:
                await asyncio.sleep(0.02)
            os.close(lock)
            done.set()

        def seen(status, body):
            statuses[status] += 1

        stopping = asyncio.create_task(stop())
        await load(node.url, "/says", b"7", 0, 20, seen, until=done)
        await stopping

    asyncio.run(asyncio.wait_for(story(), 30))
    assert set(statuses) == {200}


def test_in_the_foreground_until_ctrl_c(tmp_path):
    command = [
        sys.executable,
        "-m",
        "descent",
        "node",
        "--port",
        "0",
        "--home",
        str(tmp_path / "h"),
    ]
    home = Home(tmp_path / "h")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            until = time.monotonic() + 20
            while (found := home.running()) is None and time.monotonic() < until:
                time.sleep(0.02)
            assert found is not None
            assert found.supervisor == process.pid  # the command became the supervisor
            assert httpx.get(f"{found.url}/livez").status_code == 200
            os.kill(process.pid, signal.SIGINT)
            out, _ = process.communicate(timeout=20)
        finally:
            process.kill()
            if found is not None and home.lock() is None:
                os.kill(found.pid, signal.SIGKILL)
    assert process.returncode == 0
    assert found.url in out
    assert "Traceback" not in out
