"""A real node: what is deployed survives its death, and requests survive updates."""

import asyncio
import json
import random
import threading
import time
from collections import Counter

import httpx
import pytest

from descent.deploy.clients import RequestError
from descent.deploy.errors import DeployError
from tests.deploy.control.nodes import load


def test_deploy_ask_and_look(node):
    with node.client() as client:
        [result] = node.deploy(client, "looked", says="hello")
        assert result["state"] == "live"
        assert result["url"] == f"{node.url}/looked"
        assert client.predict("looked", 7) == {"says": "hello", "value": 7}
        [api] = [api for api in client.list_apis() if api["name"] == "looked"]
        assert (api["version"], api["replicas"]["ready"], api["requests"]["2xx"]) == (1, 1, 1)
        told = client.get_api("looked")
        assert told["spec"]["service"] == "says.py:Says"
        assert "curl" in told["curl"]
        assert told["versions"][0]["state"] == "live"
        following = client.logs("looked", follow=True)  # lines are written every 50 ms
        assert any("is ready" in line["message"] for line in following)
        following.close()


def test_a_failing_version_is_told_to_who_deployed_and_kept_in_describe(node):
    with node.client() as client:
        node.deploy(client, "failing", says="good")
        with pytest.raises(RequestError, match=r"version 1 goes on: .*no weights here"):
            node.deploy(client, "failing", breaks="no weights here")
        assert client.predict("failing", 1)["says"] == "good"
        told = client.describe("failing")
        assert [v["state"] for v in told["versions"]] == ["failed", "live"]
        assert "no weights here" in told["versions"][0]["reason"]


def test_code_that_changes_on_disk_changes_nothing_until_it_is_deployed(node):
    file = node.code / "changing.py"
    file.write_text("class Says:\n    def predict(self, value: int) -> str: return 'old'\n")
    with node.client() as client:
        node.deploy(client, "changing", service="changing.py:Says")
        file.write_text("class Says:\n    def predict(self, value: int) -> str: return 'new'\n")
        client.refresh("changing")
        assert client.predict("changing", 1) == "old"
        node.deploy(client, "changing", service="changing.py:Says")
        assert client.predict("changing", 1) == "new"
        client.rollback("changing")
        assert client.predict("changing", 1) == "old"


def test_logs_go_on_with_a_new_version(node):
    with node.client() as client:
        node.deploy(client, "logged", says="1")
        lines = client.logs("logged", follow=True)
        assert next(lines)["version"] == 1
        node.deploy(client, "logged", says="2")
        assert next(line for line in lines if line["version"] == 2)["api"] == "logged"
        lines.close()


def test_the_control_api_wants_the_token(node):
    for headers in ({}, {"authorization": "Bearer wrong"}):
        answer = httpx.get(f"{node.url}/-/apis", headers=headers)
        assert answer.status_code == 401
        assert answer.json()["error"]["code"] == "unauthorised"
    assert (node.home.path / "token").stat().st_mode & 0o077 == 0
    assert (node.home.path).stat().st_mode & 0o077 == 0


def test_everything_is_back_after_kill_9(make_node):
    node = make_node()
    with node.client() as client:
        node.deploy(client, "a", says="one")
        node.deploy(client, "a", says="two")
        node.deploy(client, "sums", service="says.py:Sum", kind="AsyncAPI")
        done = client.submit("sums", [1, 2, 3])["id"]
        client.wait("sums", done, timeout_s=10)
        before = node.kill()
        # The supervisor holds the socket: this waits for the new process, it is not refused.
        with node.client(patience_s=0) as another:
            assert another.predict("a", 5) == {"says": "two", "value": 5}
        node.wait_for_another(before)
        assert client.get_job("sums", done)["result"] == 6
        assert [v["state"] for v in client.versions("a")] == ["live", "retired"]
        client.rollback("a")
        assert client.predict("a", 5)["says"] == "one"


def test_a_death_in_the_middle_of_a_deploy_leaves_the_old_version(make_node):
    node = make_node()
    with node.client(patience_s=0) as client:
        node.deploy(client, "a", says="one")

        def deploying():
            with pytest.raises(DeployError):
                with node.client() as other:
                    node.deploy(other, "a", says="two", load_s=30)

        thread = threading.Thread(target=deploying)
        thread.start()
        until = time.monotonic() + 10
        while client.get_api("a")["state"] != "updating" and time.monotonic() < until:
            time.sleep(0.02)
        before = node.kill()
        thread.join(10)
        node.wait_for_another(before)
        assert client.predict("a", 1)["says"] == "one"
        assert [v["state"] for v in client.versions("a")] == ["interrupted", "live"]


def test_not_ready_until_everything_is_back(make_node):
    node = make_node()
    with node.client() as client:
        node.deploy(client, "a", says="one", load_s=1.0)
    before = node.kill()
    node.wait_for_another(before)
    assert httpx.get(f"{node.url}/livez").status_code == 200
    answer = httpx.get(f"{node.url}/readyz")
    assert answer.status_code == 503
    assert "being loaded" in answer.text
    assert httpx.post(f"{node.url}/a", json=1, timeout=10).json()["says"] == "one"  # it waited
    until = time.monotonic() + 10
    while httpx.get(f"{node.url}/readyz").status_code != 200 and time.monotonic() < until:
        time.sleep(0.02)
    assert httpx.get(f"{node.url}/readyz").status_code == 200


def test_no_request_is_lost_through_update_rollback_and_failed_update(make_node):
    node = make_node()
    statuses, said = Counter(), Counter()

    def seen(status, body):
        statuses[status] += 1
        said[json.loads(body)["says"]] += 1

    async def change(client, done):
        await asyncio.sleep(0.3)
        await asyncio.to_thread(node.deploy, client, says="two")
        await asyncio.to_thread(client.rollback, "says")
        with pytest.raises(RequestError, match=r"goes on: .*broken"):
            await asyncio.to_thread(node.deploy, client, breaks="broken")
        await asyncio.to_thread(node.deploy, client, says="three")
        await asyncio.to_thread(client.refresh, "says")
        done.set()

    async def story():
        with node.client() as client:
            await asyncio.to_thread(node.deploy, client, says="one")
            done = asyncio.Event()
            changing = asyncio.create_task(change(client, done))
            await load(node.url, "/says", b"7", 20_000, 50, seen, until=done)
            await changing

    asyncio.run(story())
    assert set(statuses) == {200}
    assert statuses[200] >= 20_000
    assert set(said) == {"one", "two", "three"}


def test_a_page_elsewhere_cannot_reach_a_loopback_node(node):
    answer = httpx.get(f"{node.url}/-/apis", headers={"host": "evil.example"})
    assert answer.status_code == 421


def test_cors_is_for_those_who_were_named(make_node):
    node = make_node(cors_origins=("https://page.example",))
    asked = {"origin": "https://page.example", "access-control-request-method": "POST"}
    answer = httpx.options(f"{node.url}/x", headers=asked)
    assert answer.headers["access-control-allow-origin"] == "https://page.example"
    answer = httpx.options(f"{node.url}/x", headers={**asked, "origin": "https://other.example"})
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.slow
def test_versions_on_postgresql_come_back_too(make_node):
    from tests.deploy.postgres import fresh_url

    node = make_node(database_url=fresh_url())
    with node.client() as client:
        node.deploy(client, "a", says="one")
        before = node.kill()
        node.wait_for_another(before)
        assert client.predict("a", 1)["says"] == "one"
    assert not (node.home.path / "jobs.db").exists()


def test_a_spec_of_containers_runs_its_command(make_node):
    node = make_node()
    (node.code / "serve.py").write_text(
        "import http.server, json, os\n"
        "class H(http.server.BaseHTTPRequestHandler):\n"
        "    def do_POST(self):\n"
        "        body = json.dumps({'said': os.environ['SAID'], 'path': self.path}).encode()\n"
        "        self.send_response(200)\n"
        "        self.send_header('content-type', 'application/json')\n"
        "        self.send_header('content-length', str(len(body)))\n"
        "        self.end_headers(); self.wfile.write(body)\n"
        "    do_GET = do_POST\n"
        "http.server.ThreadingHTTPServer(('127.0.0.1', int(os.environ['CORTEX_PORT'])), H)"
        ".serve_forever()\n"
    )
    (node.code / "api.yaml").write_text(
        "name: speaker\nkind: RealtimeAPI\npod:\n  port: 9000\n  max_concurrency: 4\n"
        "  containers:\n  - name: api\n    command: [python, serve.py]\n    env: {SAID: hello}\n"
    )
    with node.client() as client:
        [result] = client.deploy(str(node.code / "api.yaml"))
        assert result["state"] == "live"
        assert client.predict("speaker", 1, path="below")["said"] == "hello"
        client.delete("speaker")


def test_jobs_survive_an_update_and_a_death(make_node):
    node = make_node()
    (node.code / "slow.py").write_text(
        "import time\nclass Slow:\n    def __init__(self, config): self.config = config\n"
        "    def predict(self, n: int) -> list:\n"
        "        time.sleep(0.05)\n        return [self.config['v'], n]\n"
    )

    def deploy(client, v):
        spec = {"name": "slow", "kind": "AsyncAPI", "service": "slow.py:Slow",
                "config": {"v": v}, "pod": {"max_concurrency": 2}, "lease_s": 1}  # fmt: skip
        client.deploy(spec, folder=node.code)

    with node.client() as client:
        deploy(client, 1)
        ids = [client.submit("slow", n)["id"] for n in range(20)]
        deploy(client, 2)
        ids += [client.submit("slow", n)["id"] for n in range(20, 30)]
        before = node.kill()
        ids += [client.submit("slow", n)["id"] for n in range(30, 40)]  # while it starts again
        results = [client.wait("slow", id, timeout_s=30)["result"] for id in ids]
        assert [n for _, n in results] == list(range(40))
        assert {2} <= {v for v, _ in results} <= {1, 2}  # how many the first did is luck
        assert node.home.running().pid != before


@pytest.mark.slow
def test_kills_in_the_middle_of_deploys_leave_one_live_version(make_node):
    node = make_node()
    chance = random.Random(1)
    with node.client() as client:
        node.deploy(client, says="0")
    before_it = "0"
    for i in range(1, 6):
        done = []

        def deploying(said=str(i), done=done):
            try:
                with node.client(patience_s=0) as other:
                    done.append(node.deploy(other, says=said, load_s=chance.choice([0, 0.1])))
            except DeployError:
                pass  # its connection broke with the node

        thread = threading.Thread(target=deploying)
        thread.start()
        time.sleep(chance.random() * 0.25)
        killed = node.kill()
        thread.join(30)
        node.wait_for_another(killed)
        with node.client() as client:
            says = client.predict("says", 1)["says"]
            live = [v for v in client.versions("says") if v["state"] == "live"]
        assert [v["spec"]["config"]["says"] for v in live] == [says]
        assert says in ((str(i),) if done else (before_it, str(i)))  # what was confirmed stays
        before_it = says
