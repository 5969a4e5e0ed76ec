import asyncio
import base64
import hashlib
import hmac
import http.server
import threading

import pytest

from descent.deploy.jobs.webhooks import Undelivered, Webhooks, secret_from, sign


class Receiver(http.server.ThreadingHTTPServer):
    """Notes what it is sent; answers with the statuses it was given, then 200."""

    def __init__(self, *statuses: int):
        super().__init__(("127.0.0.1", 0), Handler)
        self.statuses = list(statuses)
        self.received: list[tuple[dict[str, str], bytes]] = []
        self.url = f"http://127.0.0.1:{self.server_port}/hook"
        self.thread = threading.Thread(target=self.serve_forever, args=(0.02,))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.thread.join()
        self.server_close()


class Handler(http.server.BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {k.lower(): v for k, v in self.headers.items()}
        self.server.received.append((headers, body))
        status = self.server.statuses.pop(0) if self.server.statuses else 200
        self.send_response(status)
        if status == 302:
            self.send_header("location", self.server.url)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def deliver(url: str, **fields) -> None:
    async def run() -> None:
        webhooks = Webhooks(timeout_s=2.0)
        try:
            await webhooks.deliver(url, "evt-1", b'{"a": 1}', **{"secret": None, **fields})
        finally:
            await webhooks.close()

    asyncio.run(run())


def test_a_receiver_can_verify_it():
    """As the Standard Webhooks specification says, by hand."""
    with Receiver() as receiver:
        deliver(receiver.url, secret=b"key", now=1700000000.9)
    headers, body = receiver.received[0]
    assert headers["webhook-id"] == "evt-1"
    assert headers["webhook-timestamp"] == "1700000000"
    signed = b"evt-1.1700000000." + body
    version, _, signature = headers["webhook-signature"].partition(",")
    assert version == "v1"
    expected = hmac.new(b"key", signed, hashlib.sha256).digest()
    assert base64.b64decode(signature) == expected
    assert headers["content-type"] == "application/json"


def test_the_specification_s_own_example():
    """Secret, id, timestamp and payload of the specification's reference tests."""
    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signature = sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize(
    ("status", "final"), [(500, False), (404, False), (302, False), (410, True)]
)
def test_anything_but_2xx_is_not_delivered(status, final):
    with Receiver(status) as receiver, pytest.raises(Undelivered, match=str(status)) as caught:
        deliver(receiver.url)
    assert caught.value.final is final
    assert len(receiver.received) == 1  # a redirect is not followed


def test_nobody_there():
    with Receiver() as receiver:
        url = receiver.url
    with pytest.raises(Undelivered, match="ConnectError"):
        deliver(url)


def test_secrets(monkeypatch):
    monkeypatch.setenv("HOOK", "plain")
    monkeypatch.setenv("HOOK64", "whsec_" + base64.b64encode(b"bytes").decode())
    monkeypatch.setenv("BROKEN", "whsec_!!!")
    assert secret_from(None) is None
    assert secret_from("HOOK") == b"plain"
    assert secret_from("HOOK64") == b"bytes"
    with pytest.raises(ValueError, match="not base64"):
        secret_from("BROKEN")
    with pytest.raises(ValueError, match="ABSENT, which is not set"):
        secret_from("ABSENT")
