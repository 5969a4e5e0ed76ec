"""A real node, killed with -9 again and again while it works: nothing accepted is lost, and no
result is committed twice."""

import json
import os
import random
import signal
import time

import httpx
import pytest

from tests.deploy.control.nodes import TestNode
from tests.deploy.postgres import fresh_url, server

CODE = """
import os, time

class Works:
    def predict(self, items: list) -> list:
        time.sleep(0.002)
        return [[item, os.getpid()] for item in items]
    def on_job_complete(self):
        open(os.environ["DONE"], "a").write("x")

class Waits:
    def predict(self, value: int) -> int:
        time.sleep(0.005)
        return 2 * value
"""
POISON = """
import os, time

class Drinks:
    def predict(self, items: list) -> list:
        time.sleep(0.02)
        if "poison" in items:
            os._exit(9)
        return items
"""
KILLS = 5


@pytest.fixture
def database(request, monkeypatch):
    """SQLite, or PostgreSQL whose connections are cut besides."""
    if getattr(request, "param", "sqlite") == "sqlite":
        return lambda: None
    psycopg = pytest.importorskip("psycopg", reason="pip install 'descent-ml[postgres]'")
    monkeypatch.setenv("DESCENT_DATABASE_URL", fresh_url())

    def cut():
        with psycopg.connect(server().url) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
            )

    return cut


@pytest.fixture
def node(tmp_path, monkeypatch, database):
    monkeypatch.setenv("DONE", str(tmp_path / "done"))
    made = TestNode(tmp_path)
    (made.code / "works.py").write_text(CODE)
    try:
        yield made.start()
    finally:
        made.end()


def ask(node, method, path, patience_s=30, **kwargs):
    """Ask until there is an answer: the node may just be away."""
    until = time.monotonic() + patience_s
    while True:
        try:
            answer = httpx.request(method, node.url + path, timeout=20, **kwargs)
            if answer.status_code not in (502, 503) or time.monotonic() > until:
                return answer
        except httpx.TransportError:
            if time.monotonic() > until:
                raise
        time.sleep(0.05)


def kill(node):
    """-9 to the node and its supervisor, and start both again."""
    pids = node.running.supervisor, node.running.pid
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    while (lock := node.home.lock()) is None:
        time.sleep(0.005)
    os.close(lock)
    node.start()


@pytest.mark.slow
@pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)
def test_a_batch_through_kills(node, tmp_path, database):
    number = 2000
    with node.client() as client:
        node.deploy(client, "works", service="works.py:Works", kind="BatchAPI")
    body = {
        "workers": 4,
        "attempts": 20,
        "item_list": {"items": list(range(number)), "batch_size": 2},
    }
    job = ask(node, "POST", "/works", json=body).json()["job_id"]
    chance = random.Random(1)
    for _ in range(KILLS):
        time.sleep(chance.uniform(0.05, 0.5))
        database()
        time.sleep(chance.uniform(0.0, 0.1))
        kill(node)
    status = ask(node, "GET", f"/works?jobID={job}&wait=60").json()
    assert status["job_status"]["status"] == "succeeded", status
    assert status["metrics"]["succeeded"] == number // 2
    lines = ask(node, "GET", f"/works/results?jobID={job}&per=item").text.splitlines()
    results = [json.loads(line)["result"] for line in lines]
    assert [item for item, _ in results] == list(range(number))
    assert len({pid for _, pid in results}) > 1  # the work really went through several processes
    until = time.monotonic() + 20
    while not (tmp_path / "done").exists() and time.monotonic() < until:
        time.sleep(0.05)
    time.sleep(0.3)
    assert (tmp_path / "done").read_text() == "x"


@pytest.mark.slow
def test_async_requests_through_kills(node):
    with node.client() as client:
        node.deploy(client, "waits", service="works.py:Waits", kind="AsyncAPI")
    chance, accepted = random.Random(2), {}
    for turn in range(3):
        for i in range(40):
            # The same key for the same value: an answer lost on its way is asked for again.
            value = turn * 40 + i
            answer = ask(
                node, "POST", "/waits", json=value, headers={"idempotency-key": str(value)}
            )
            assert answer.status_code == 200, answer.text
            assert accepted.setdefault(answer.json()["id"], value) == value
            if i == 20:
                kill(node)
        time.sleep(chance.uniform(0, 0.2))
    assert len(accepted) == 120
    for id, value in accepted.items():
        said = ask(node, "GET", f"/waits/{id}?wait=30").json()
        assert (said["status"], said["result"]) == ("completed", 2 * value), said


@pytest.mark.slow
def test_a_task_through_a_kill(node, tmp_path):
    code = "import os, time; open('ran', 'a').write('x')\nwhile not os.path.exists('go'): time.sleep(0.02)"
    spec = {
        "name": "task",
        "kind": "TaskAPI",
        "pod": {"containers": [{"name": "t", "command": ["python3", "-c", code]}]},
    }
    with node.client() as client:
        client.deploy(spec, folder=node.code)
    job = ask(node, "POST", "/task", json={}).json()["job_id"]
    while not (ran := list(tmp_path.rglob("ran"))):
        time.sleep(0.02)
    kill(node)
    (ran[0].parent / "go").touch()
    said = ask(node, "GET", f"/task?jobID={job}&wait=30").json()["job_status"]
    assert (said["status"], said["reason"]) == ("succeeded", ""), said
    assert ran[0].read_text() == "x"
    assert os.path.exists(ran[0])


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["local", "command"])
def test_poison_kills_its_process_and_no_neighbour(node, backend):
    """Three times, then it is a dead letter; "local": the process is the node's."""
    (node.code / "drinks.py").write_text(POISON)
    spec = {"name": "drinks", "kind": "BatchAPI", "service": "drinks.py:Drinks", "backend": backend}
    if backend == "local":
        time.sleep(5.5)  # a node that dies young again and again is given up by its supervisor
    with node.client() as client:
        client.deploy({**spec, "retry_backoff_s": 0.1}, folder=node.code)
    items = [*range(60), "poison", *range(61, 100)]
    body = {"workers": 3, "item_list": {"items": items, "batch_size": 1}}
    job = ask(node, "POST", "/drinks", json=body).json()["job_id"]
    status = ask(node, "GET", f"/drinks?jobID={job}").json()["job_status"]
    while not status["end_time"]:
        time.sleep(0.2)
        status = ask(node, "GET", f"/drinks?jobID={job}").json()["job_status"]
    assert status["status"] == "completed_with_failures"
    lines = ask(node, "GET", f"/drinks/results?jobID={job}").text.splitlines()
    failed = [line["batch"] for line in map(json.loads, lines) if line["status"] != "succeeded"]
    assert failed == [60]
    (letter,) = ask(node, "GET", f"/drinks/dead-letters?jobID={job}").json()["dead_letters"]
    assert (letter["items"], letter["attempts"]) == (["poison"], 3)
