"""The control API over HTTP, in this process: bodies it takes, errors it gives."""

import asyncio
import errno
import io
import json
import os
import time
import zipfile
from pathlib import Path

import httpx
import pytest
from starlette.requests import Request

from descent.deploy.control.describing import Description
from descent.deploy.control.folders import Home
from descent.deploy.control.http_api import ControlApp
from descent.deploy.control.openapi import OPERATIONS, document
from descent.deploy.control.settings import NodeSettings
from descent.deploy.control.sources import keep
from descent.deploy.keys import KeyRing
from tests.deploy.control.fakes import place

AUTH = {"authorization": "Bearer secret"}
CODE = "class S:\n    def predict(self, value): return value\n"
YAML = "- name: a\n  kind: RealtimeAPI\n  service: s.py:S\n"


def told(folder, story):
    async def run():
        async with place(folder) as made:
            description = Description(
                made.controller, Home(folder), NodeSettings(), lambda: "http://node"
            )
            made.gateway.control = ControlApp(
                description,
                KeyRing(made.store.keys, "secret", required=False),
                work_folder=folder,
            )
            transport = httpx.ASGITransport(made.gateway)
            async with httpx.AsyncClient(
                transport=transport, base_url="http://node", headers=AUTH
            ) as http:
                return await story(http, made)

    return asyncio.run(asyncio.wait_for(run(), 30))


@pytest.fixture
def code(tmp_path):
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "s.py").write_text(CODE)
    return folder


def test_a_target_is_deployed_from_its_folder(tmp_path, code):
    async def story(http, p):
        body = {"target": "s.py:S", "folder": str(code), "overrides": {"max_concurrency": 3}}
        answer = await http.post("/-/deploy?by=ada", json=body)
        assert answer.status_code == 200, answer.text
        [result] = answer.json()["results"]
        assert (result["api"], result["url"], result["state"]) == ("s", "http://node/s", "live")
        told = (await http.get("/-/apis/s")).json()
        assert told["spec"]["pod"]["max_concurrency"] == 3
        assert told["versions"][0]["by"] == "ada"
        assert told["spec"]["service"] == "s.py:S"

    told(tmp_path, story)


@pytest.mark.parametrize("kind", ["application/yaml", "text/plain", "application/json"])
def test_specs_come_as_yaml_or_json(tmp_path, kind):
    async def story(http, p):
        spec = {"name": "a", "kind": "RealtimeAPI", "service": "os:getcwd"}
        text = json.dumps(spec) if kind.endswith("json") else YAML.replace("s.py:S", "os:getcwd")
        answer = await http.post("/-/deploy", content=text, headers={"content-type": kind})
        assert answer.json()["results"][0]["state"] == "live"

    told(tmp_path, story)


def zipped(order, **files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("order.json", json.dumps(order))
        for name, text in files.items():
            archive.writestr(name.replace("__", "/").replace("_py", ".py"), text)
    return {"content": out.getvalue(), "headers": {"content-type": "application/zip"}}


def test_code_comes_from_another_machine_in_a_zip(tmp_path):
    async def story(http, p):
        answer = await http.post("/-/deploy", **zipped({"text": YAML}, files__s_py=CODE))
        assert answer.json()["results"][0]["state"] == "live"
        [pool] = p.backend.pools
        assert (pool.start.folder / "s.py").read_text() == CODE
        assert not list(tmp_path.glob(".upload-*"))

    told(tmp_path, story)


def test_what_a_client_elsewhere_sends_is_what_a_node_takes(tmp_path, code):
    from descent.deploy.control.sending import order

    async def story(http, p):
        for spec in (str(code / "s.py") + ":S", "s.py:S"):
            sent = order(spec, folder=code, overrides={"name": "b"}, local=False)
            answer = await http.post("/-/deploy?force=1", **sent)
            assert answer.json()["results"][0]["api"] == "b", answer.text
            assert (p.backend.pools[-1].start.folder / "s.py").read_text() == CODE

    told(tmp_path, story)


@pytest.mark.parametrize(
    ("sent", "status", "words"),
    [
        ({"content": b""}, 400, "a spec (YAML, JSON) is needed"),
        ({"content": b"\xff"}, 400, "not UTF-8"),
        ({"content": b"{", "headers": {"content-type": "application/json"}}, 400, "not JSON"),
        ({"json": {}}, 400, "target, text or specs is needed"),
        ({"json": {"target": "s.py:S", "folder": "/none/such"}}, 400, "no folder '/none/such'"),
        ({"json": {"target": "none.py:S"}}, 400, "there is no"),
        ({"json": {"target": ""}}, 400, "a run folder, file.py:Class or a name is needed"),
        ({"json": {"target": "."}}, 400, "a run folder, file.py:Class or a name is needed"),
        ({"content": b"- name: a\n  kind: Nope\n"}, 400, "kind"),
        ({"content": b"- name: a\n  kind: RealtimeAPI\n  pod: {max_concurrency: 0}"}, 400,
         "max_concurrency"),
        (zipped({"text": YAML}, **{"files__..__..__evil_py": "x"}), 400, "leads out"),
        ({"content": b"zip", "headers": {"content-type": "application/zip"}}, 400, "not a zip"),
    ],
)  # fmt: skip
def test_bad_orders_name_what_is_wrong(tmp_path, sent, status, words):
    async def story(http, p):
        answer = await http.post("/-/deploy", **sent)
        assert answer.status_code == status, answer.text
        assert words in answer.json()["error"]["message"]
        assert not p.controller.apis

    told(tmp_path, story)


def test_one_wrong_spec_of_many_and_nothing_is_applied(tmp_path):
    async def story(http, p):
        text = YAML.replace("s.py:S", "os:getcwd") + "- name: b\n  kind: RealtimeAPI\n  what: 1\n"
        answer = await http.post("/-/deploy", content=text)
        assert answer.status_code == 400
        assert "what" in answer.json()["error"]["message"]
        assert not p.controller.apis

    told(tmp_path, story)


def test_a_dry_run_only_says_what_would_be(tmp_path):
    async def story(http, p):
        answer = await http.post("/-/deploy?dry_run=1", content=YAML.replace("s.py:S", "os:getcwd"))
        assert answer.json()["specs"][0]["pod"]["max_queue_length"] == 100
        assert not p.controller.apis

    told(tmp_path, story)


def test_a_version_that_cannot_be_loaded_is_422_with_every_result(tmp_path):
    async def story(http, p):
        specs = [
            {"name": "a", "kind": "RealtimeAPI", "service": "os:getcwd", "config": {"breaks": "x"}},
            {"name": "b", "kind": "RealtimeAPI", "service": "os:getcwd"},
        ]
        answer = await http.post("/-/deploy", json={"specs": specs})
        assert answer.status_code == 422
        said = answer.json()
        assert said["error"]["code"] == "load_failed"
        assert [bool(result["error"]) for result in said["results"]] == [True, False]

    told(tmp_path, story)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/-/apis/none", 404),
        ("DELETE", "/-/apis/none", 404),
        ("GET", "/-/none", 404),
        ("POST", "/-/apis", 405),
        ("GET", "/-/apis/a/jobs", 409),
        ("GET", "/-/apis/a/logs?lines=x", 400),
        ("GET", "/-/apis/a/logs?job=../../etc", 400),
        ("PUT", "/-/apis/a/weights", 400),
        ("POST", "/-/apis/a/promote", 409),
        ("POST", "/-/apis/a/rollback", 409),
    ],
)
def test_errors_are_json_with_a_code(tmp_path, method, path, status):
    async def story(http, p):
        await http.post("/-/deploy", content=YAML.replace("s.py:S", "os:getcwd"))
        answer = await http.request(method, path)
        assert answer.status_code == status, answer.text
        assert set(answer.json()["error"]) >= {"code", "message"}

    told(tmp_path, story)


def test_life_of_an_api(tmp_path):
    async def story(http, p):
        spec = {"name": "a", "kind": "RealtimeAPI", "service": "os:getcwd"}
        for says in ("one", "two"):
            await http.post("/-/deploy", json={"specs": [{**spec, "config": {"says": says}}]})
        assert (await http.post("/a")).json() == "two"
        answer = await http.post("/-/apis/a/rollback", json={"version": 1})
        assert answer.json()["number"] == 1
        assert (await http.post("/a")).json() == "one"
        assert (await http.post("/-/apis/a/refresh")).json()["state"] == "live"
        versions = (await http.get("/-/apis/a/versions")).json()["versions"]
        assert [v["state"] for v in versions] == ["retired", "live"]
        [api] = (await http.get("/-/apis")).json()["apis"]
        assert (api["version"], api["newest"], api["requests"]["2xx"]) == (1, 2, 2)
        assert (await http.get("/-/apis/a/series")).json() == {"series": []}
        assert (await http.get("/-/apis/a/errors")).json() == {"errors": []}
        answer = await http.get("/-/apis/a/logs")
        assert answer.headers["content-type"].startswith("application/x-ndjson")
        assert (await http.delete("/-/apis/a")).status_code == 200
        assert (await http.get("/-/apis")).json() == {"apis": []}

    told(tmp_path, story)


def test_weights_and_promote(tmp_path):
    async def story(http, p):
        specs = [{"name": n, "kind": "RealtimeAPI", "service": "os:getcwd"} for n in "ab"]
        specs.append({"name": "s", "kind": "TrafficSplitter",
                      "apis": [{"name": "a", "weight": 90}, {"name": "b", "weight": 10}]})  # fmt: skip
        await http.post("/-/deploy", json={"specs": specs})
        answer = await http.put("/-/apis/s/weights?by=ada", json={"weights": {"a": 30, "b": 70}})
        assert (answer.json()["number"], answer.json()["by"]) == (2, "ada")
        answer = await http.put("/-/apis/s/weights", json={"weights": {"a": 30}})
        assert answer.json()["number"] == 2  # b keeps its 70: nothing changes
        answer = await http.put("/-/apis/s/weights", json={"weights": {"a": 1, "b": 1}})
        assert answer.status_code == 400
        assert "sum to 100" in answer.json()["error"]["message"]
        answer = await http.put("/-/apis/s/weights", json={"weights": {"c": 1}})
        assert answer.json()["error"]["field"] == "weights.c"
        await http.post("/-/apis/s/promote", json={"api": "b"})
        weights = {s.name: s.weight for s in p.controller.api("s").live.spec.apis}
        assert weights == {"a": 0, "b": 100}

    told(tmp_path, story)


def test_no_token_no_answer_but_the_description_is_public(tmp_path):
    async def story(http, p):
        for value in ("", "Bearer", "Bearer wrong", "Basic c2VjcmV0", "Bearer sécret"):
            headers = {"authorization": value.encode()}
            assert (await http.get("/-/apis", headers=headers)).status_code == 401
        answer = await http.get("/-/openapi.json", headers={"authorization": ""})
        assert answer.json() == document()

    told(tmp_path, story)


def test_every_operation_that_is_described_is_there(tmp_path):
    async def story(http, p):
        await http.post("/-/deploy", content=YAML.replace("s.py:S", "os:getcwd"))
        for method, path, *_ in OPERATIONS:
            if method != "delete":
                path = path.format(name="a", job="x")
                answer = await http.request(method.upper(), path)
                assert answer.status_code not in (404, 405, 500), (method, path)

    told(tmp_path, story)


def test_a_full_disk_is_said_and_leaves_everything_as_it_was(tmp_path, code, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    async def story(http, p):
        body = {"target": "s.py:S", "folder": str(code)}
        await http.post("/-/deploy", json=body)
        monkeypatch.setattr("descent.deploy.control.sources.shutil.copy2", full)
        (code / "s.py").write_text(CODE + "# new\n")
        answer = await http.post("/-/deploy", json=body)
        assert answer.status_code == 507
        assert "disk is full" in answer.json()["error"]["message"]
        assert (await http.post("/s")).status_code == 200
        assert [p.name for p in (tmp_path / "versions" / "s").iterdir()] == [
            (await http.get("/-/apis/s/versions")).json()["versions"][0]["folder"]
        ]

    told(tmp_path, story)


def test_a_change_goes_on_when_its_client_goes_away(tmp_path):
    async def story(http, p):
        spec = {"name": "a", "kind": "RealtimeAPI", "service": "os:getcwd",
                "config": {"load_s": 0.2, "says": "hi"}}  # fmt: skip
        with pytest.raises(httpx.ReadTimeout):
            await asyncio.wait_for(_read_timeout(http.post("/-/deploy", json={"specs": [spec]})), 5)
        while (await http.post("/a")).status_code == 404:  # `told` ends it after 30 s
            await asyncio.sleep(0.02)
        assert (await http.post("/a")).json() == "hi"

    told(tmp_path, story)


def test_code_in_a_zip_is_there_until_it_is_kept_though_its_client_went_away(tmp_path, monkeypatch):
    def slowly(*args):
        time.sleep(0.3)
        return keep(*args)

    async def story(http, p):
        monkeypatch.setattr("descent.deploy.control.apis.keep", slowly)
        sending = http.post("/-/deploy", **zipped({"target": "s.py:S"}, files__s_py=CODE))
        with pytest.raises(httpx.ReadTimeout):
            await _read_timeout(sending)
        while (await http.post("/s")).status_code == 404:  # `told` ends it after 30 s
            await asyncio.sleep(0.02)

    told(tmp_path, story)


def test_who_follows_a_log_and_goes_away_leaves_no_file_open(tmp_path):
    async def story(http, p):
        await http.post("/-/deploy", content=YAML.replace("s.py:S", "os:getcwd"))
        control, log = p.gateway.control, tmp_path / "logs" / "a" / "1.jsonl"
        request = Request({"type": "http", "headers": []}, asyncio.Queue().get)
        following = control._follow(request, "a", 1, None, 5, False)
        assert "loading version 1" in await anext(following)
        await following.aclose()
        with pytest.raises(StopAsyncIteration):
            await anext(following)
        assert not _open_files(log)

    told(tmp_path, story)


def test_the_databases_password_is_not_told(tmp_path):
    async def story(http, p):
        description = p.gateway.control.description
        description.settings = NodeSettings(
            database_url="postgresql://ada:pw@db:5/jobs?password=pw"
        )
        answer = await http.get("/-/info")
        assert answer.json()["settings"]["database_url"] == "postgresql://db:5/jobs"

    told(tmp_path, story)


async def _read_timeout(asking):
    """The client gives up after 50 ms."""
    try:
        await asyncio.wait_for(asking, 0.05)
    except TimeoutError:
        raise httpx.ReadTimeout("gave up") from None


def _open_files(path):
    """This process's descriptors of a file."""
    found = Path("/proc/self/fd").iterdir()
    return [fd for fd in found if os.path.exists(fd) and fd.resolve() == path.resolve()]
