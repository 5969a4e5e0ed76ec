"""Turns, the bounded queue, and clients that go away: against a really started server."""

import concurrent.futures
import json
import socket

import httpx

from descent.serve import background_server
from descent.serve.service import Limits
from tests.count_models import Paced, code_completer, code_model
from tests.serve.conftest import eventually, metric

LONG = {"model": "code", "prompt": "def ", "max_tokens": 16_000}


def open_request(url, body, path="/v1/completions"):
    """A request over a bare socket, to close it as a browser tab does."""
    host, port = url.removeprefix("http://").split(":")
    sock = socket.create_connection((host, int(port)))
    content = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
    sock.sendall(head.encode() + f"Content-Length: {len(content)}\r\n\r\n".encode() + content)
    return sock


def generated(http):
    return metric(http, "descent_generation_tokens_total", model_name="code")


def running(http):
    return metric(http, "descent_requests_running", model_name="code")


def aborted(http):
    return metric(http, "descent_completions_total", model_name="code", finished_reason="abort")


def test_a_closed_stream_stops_generating():
    model = Paced(code_model(), delay_s=0.01)
    with (
        background_server([code_completer(model)]) as url,
        httpx.Client(base_url=url) as http,
    ):
        sock = open_request(url, LONG | {"stream": True})
        assert b"200 OK" in sock.recv(4096)
        eventually(lambda: generated(http) >= 3)
        model.gate.clear()  # the model stands still inside one token …
        sock.close()
        gone = {"handler": "/v1/completions", "method": "POST"}
        eventually(lambda: metric(http, "descent_http_requests_total", **gone) == 1)
        before = generated(http)
        model.gate.set()  # … and goes on after the client has left:
        eventually(lambda: aborted(http) == 1)
        assert generated(http) <= before + 1  # at most that one token more
        assert running(http) == 0


def test_a_closed_connection_stops_a_whole_reply_too():
    model = Paced(code_model(), delay_s=0.01)
    with (
        background_server([code_completer(model)]) as url,
        httpx.Client(base_url=url) as http,
    ):
        sock = open_request(url, LONG | {"n": 2})
        eventually(lambda: generated(http) >= 3)
        sock.close()
        eventually(lambda: aborted(http) == 1)
        assert generated(http) < 16_000
        gone = {"handler": "/v1/completions", "status": "499"}
        assert eventually(lambda: metric(http, "descent_http_requests_total", **gone)) == 1


def test_a_client_that_leaves_the_queue_frees_its_place():
    model = Paced(code_model())
    model.gate.clear()
    limits = Limits(max_running=1, max_waiting=1)
    with (
        background_server([code_completer(model)], limits=limits) as url,
        httpx.Client(base_url=url) as http,
    ):
        first = open_request(url, LONG)
        eventually(lambda: running(http) == 1)
        second = open_request(url, LONG)
        waiting = lambda: metric(http, "descent_requests_waiting", model_name="code")  # noqa: E731
        eventually(lambda: waiting() == 1)
        second.close(), first.close()
        closed = {"handler": "/v1/completions", "status": "499"}
        eventually(lambda: metric(http, "descent_http_requests_total", **closed) == 2)
        model.gate.set()
        eventually(lambda: running(http) + waiting() == 0)
        short = LONG | {"max_tokens": 2}
        assert http.post("/v1/completions", json=short).status_code == 200


def test_a_full_queue_answers_429_with_retry_after():
    model = Paced(code_model())
    model.gate.clear()
    limits = Limits(max_running=2, max_waiting=3)
    body = LONG | {"max_tokens": 3}
    with (
        background_server([code_completer(model)], limits=limits) as url,
        httpx.Client(base_url=url, timeout=60) as http,
        concurrent.futures.ThreadPoolExecutor(8) as pool,
    ):

        def ask():
            return httpx.post(f"{url}/v1/completions", json=body, timeout=60)

        accepted = [pool.submit(ask) for _ in range(5)]
        waiting = {"model_name": "code"}
        eventually(lambda: running(http) + metric(http, "descent_requests_waiting", **waiting) == 5)
        refused = ask()
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) >= 1
        assert refused.json()["error"]["type"] == "rate_limit_error"
        assert http.get("/healthz").status_code == 200  # the loop is alive while the model works
        model.gate.set()
        assert [answer.result().status_code for answer in accepted] == [200] * 5
        assert ask().status_code == 200


def test_requests_take_turns():
    """A short request is answered while a long one is running."""
    with (
        background_server([code_completer(Paced(code_model(), 0.002))]) as url,
        httpx.Client(base_url=url, timeout=60) as http,
    ):
        long = open_request(url, LONG | {"stream": True})
        eventually(lambda: generated(http) >= 1)
        short = http.post("/v1/completions", json=LONG | {"max_tokens": 5}, timeout=60)
        assert short.status_code == 200
        assert running(http) == 1  # the long one, still
        long.close()


def test_company_does_not_change_a_seeded_text(url):
    bodies = [LONG | {"max_tokens": 80, "seed": seed} for seed in range(6)]

    def ask(body):
        answer = httpx.post(f"{url}/v1/completions", json=body, timeout=60)
        return answer.json()["choices"][0]["text"]

    alone = [ask(body) for body in bodies]
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        assert list(pool.map(ask, bodies)) == alone


def test_a_request_past_its_time_is_stopped_with_504():
    model = Paced(code_model(), delay_s=0.02)
    limits = Limits(request_timeout_s=0.3)
    with (
        background_server([code_completer(model)], limits=limits) as url,
        httpx.Client(base_url=url, timeout=60) as http,
    ):
        answer = http.post("/v1/completions", json=LONG)
        assert answer.status_code == 504
        assert "0.3 s" in answer.json()["error"]["message"]
        streamed = http.post("/v1/completions", json=LONG | {"stream": True})
        assert streamed.status_code == 200
        error = json.loads(streamed.text.strip().rpartition("data: ")[2])["error"]
        assert error["code"] == "timeout"
        eventually(lambda: running(http) == 0)
