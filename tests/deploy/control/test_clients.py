"""The client: what it tries again, what it gives up, what it makes of answers."""

import json
import os
import time

import httpx
import pytest

import descent.deploy
from descent.deploy.clients import Client, RequestError, client, env_delete, env_list, new_client
from descent.deploy.control.folders import Home, Running
from descent.deploy.errors import DeployError


def talking_to(*answers, patience_s=5.0, **options):
    """A client whose node gives these answers, one after the other; `.asked` has the requests."""
    asked, left = [], list(answers)

    def answer(request):
        asked.append(request)
        given = left.pop(0)
        if isinstance(given, Exception):
            raise given
        return given

    made = Client("http://node", "token", patience_s=patience_s,
                  transport=httpx.MockTransport(answer), **options)  # fmt: skip
    made.asked = asked
    return made


def busy(status=503, **headers):
    body = {"error": {"code": "queue_full", "message": "pending request queue full"}}
    return httpx.Response(status, json=body, headers=headers)


FINE = httpx.Response(200, json={"fine": True})


@pytest.mark.parametrize("status", [429, 503])
def test_refused_is_tried_again_after_what_the_node_says(status, monkeypatch):
    slept = []
    monkeypatch.setattr(time, "sleep", slept.append)
    node = talking_to(busy(status, **{"retry-after": "2"}), busy(status), FINE)
    assert node.predict("a", 1) == {"fine": True}
    assert slept[0] == 2.0
    assert 0 < slept[1] <= 4


def test_patience_ends():
    node = talking_to(busy(**{"retry-after": "60"}))
    with pytest.raises(RequestError, match="queue full") as error:
        node.predict("a", 1)
    assert (error.value.status, error.value.code) == (503, "queue_full")


def test_unreachable_is_tried_again_then_said():
    assert talking_to(httpx.ConnectError("no"), FINE).predict("a") == {"fine": True}
    with pytest.raises(DeployError, match="no node answers at http://node"):
        talking_to(httpx.ConnectError("no"), patience_s=0).list_apis()


def test_what_may_have_been_done_is_not_done_again():
    broken = httpx.ReadError("reset")
    with pytest.raises(DeployError, match="it may have been done"):
        talking_to(broken, FINE).predict("a", 1)
    assert talking_to(broken, FINE).get_api("a") == {"fine": True}  # reading is safe
    node = talking_to(broken, FINE)
    node.submit("a", 1)  # has a key: twice is once
    first, second = node.asked
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]


def test_other_errors_are_said_at_once_with_the_request_id():
    body = {"error": {"code": "bad", "message": "n: not a number", "request_id": "r1"}}
    node = talking_to(httpx.Response(400, json=body))
    with pytest.raises(RequestError, match=r"n: not a number \(request r1\)"):
        node.predict("a", "x")
    with pytest.raises(RequestError, match="502: a proxy's words"):
        talking_to(httpx.Response(502, text="a proxy's words")).predict("a", 1)


def test_the_token_opens_the_control_api_and_goes_nowhere_else(monkeypatch):
    monkeypatch.delenv("DESCENT_API_KEY", raising=False)
    node = talking_to(FINE, FINE)
    node.predict("a", 1)
    node.get_api("a")
    assert "authorization" not in node.asked[0].headers
    assert node.asked[1].headers["authorization"] == "Bearer token"
    node = talking_to(FINE, key="mine")
    node.predict("a", 1)
    assert node.asked[0].headers["authorization"] == "Bearer mine"


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        (httpx.Response(200, json=[1]), [1]),
        (httpx.Response(200, text="words"), "words"),
        (httpx.Response(200, content=b"\x89", headers={"content-type": "image/png"}), b"\x89"),
    ],
)
def test_answers_are_values(answer, value):
    assert talking_to(answer).predict("a", 1) == value


def test_bytes_go_as_they_are_and_values_as_json():
    node = talking_to(FINE, FINE)
    node.predict("a", b"\x00", path="sub/way")
    node.predict("a", {"x": 1})
    assert (node.asked[0].content, node.asked[0].url.path) == (b"\x00", "/a/sub/way")
    assert json.loads(node.asked[1].content) == {"x": 1}


def test_a_stream_of_events():
    text = 'data: {"t": 1}\n\n: ping\n\ndata: words\n\ndata: [DONE]\n\n'
    events = httpx.Response(200, text=text, headers={"content-type": "text/event-stream"})
    assert list(talking_to(events).stream("a", 1)) == [{"t": 1}, "words"]
    text = 'data: 1\n\ndata: {"error": {"message": "broke in the middle"}}\n\n'
    events = httpx.Response(200, text=text, headers={"content-type": "text/event-stream"})
    stream = talking_to(events).stream("a", 1)
    assert next(stream) == 1
    with pytest.raises(RequestError, match="broke in the middle"):
        next(stream)


def test_waiting_has_an_end():
    state = httpx.Response(200, json={"status": "running", "ended": False})
    node = talking_to(state, state, state)
    with pytest.raises(DeployError, match="job j is still running"):
        node.wait("a", "j", timeout_s=0.0, every_s=0.0)


def test_a_class_is_sent_by_where_it_stands():
    node = talking_to(httpx.Response(200, json={"results": []}), local=True)
    node.deploy(Here, name="here")
    sent = json.loads(node.asked[0].content)
    assert sent["target"] == f"{__file__}:Here"
    assert sent["overrides"] == {"name": "here"}

    class Inside: ...

    with pytest.raises(DeployError, match="stands in no file"):
        node.deploy(Inside)


class Here: ...


def test_environments_by_cortex_names(tmp_path, monkeypatch):
    monkeypatch.setenv("DESCENT_HOME", str(tmp_path))
    assert new_client("gpu", "http://gpu.example", "t").url == "http://gpu.example"
    assert [each["name"] for each in env_list()] == ["local", "gpu"]
    assert client("gpu").url == "http://gpu.example"
    env_delete("gpu")
    with pytest.raises(DeployError, match="no node runs here"):
        client()


def test_the_token_of_this_machines_node_is_shown_to_no_other(tmp_path, monkeypatch):
    monkeypatch.delenv("DESCENT_TOKEN", raising=False)
    home = Home(tmp_path)
    lock = home.lock()
    try:
        home.announce(Running("http://127.0.0.1:8080", 1, None, 0.0))
        assert client("http://127.0.0.1:8080/", home=tmp_path)._token == home.token
        assert client("http://else.example", home=tmp_path)._token is None
        monkeypatch.setenv("DESCENT_TOKEN", "given")
        assert client("http://else.example", home=tmp_path)._token == "given"
    finally:
        os.close(lock)


def test_the_package_has_it_by_name():
    assert descent.deploy.client is client
    assert set(descent.deploy.__all__) >= {"Client", "Service", "client"}
    assert descent.deploy.Service.__name__ == "Service"
