"""A real node in a process of its own, and a client that loads it; both end with the test."""

import asyncio
import contextlib
import os
import signal
import time

from descent.deploy.clients import Client
from descent.deploy.control.folders import Home
from descent.deploy.control.launching import ensure
from descent.deploy.control.settings import NodeSettings

SERVICE = """
import time
class Says:
    def __init__(self, config): self.config = config
    def load(self):
        time.sleep(self.config.get("load_s", 0))
        if self.config.get("breaks"): raise RuntimeError(self.config["breaks"])
    async def predict(self, value: int) -> dict:
        return {"says": self.config.get("says"), "value": value}
def task(config): print("ran")
class Sum:
    def predict(self, value: list[int]) -> int: return sum(value)
"""


class TestNode:
    """`home` is its folder, `url` its address."""

    __test__ = False

    def __init__(self, folder, **settings):
        self.home = Home(folder / "home")
        self.code = folder / "code"
        self.code.mkdir(parents=True, exist_ok=True)
        (self.code / "says.py").write_text(SERVICE)
        self.settings = NodeSettings(home=self.home.path, **{"port": 0, **settings})
        self.running = None

    def start(self):
        self.running, _ = ensure(self.settings)
        return self

    @property
    def url(self):
        return self.running.url

    def client(self, **options):
        return Client(self.url, self.home.token, local=True, **options)

    def deploy(self, client, name="says", *, service="says.py:Says", kind="RealtimeAPI", **config):
        spec = {"name": name, "kind": kind, "service": service, "config": config}
        if kind == "RealtimeAPI":
            spec["pod"] = {"max_concurrency": 64, "max_queue_length": 1000}
        return client.deploy(spec, folder=self.code)

    def kill(self):
        """-9 to the node's process; the supervisor starts another."""
        before = self.home.running().pid
        os.kill(before, signal.SIGKILL)
        return before

    def wait_for_another(self, before, timeout_s=20):
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            now = self.home.running()
            if now is not None and now.pid != before:
                return now
            time.sleep(0.01)
        raise AssertionError("the node did not come back")

    def end(self):
        """Whatever happened: no process is left."""
        with contextlib.suppress(Exception):
            found = self.home.running()
            for pid in (found.supervisor, found.pid) if found else ():
                with contextlib.suppress(ProcessLookupError, TypeError):
                    os.kill(pid, signal.SIGTERM)
        until = time.monotonic() + 10
        while time.monotonic() < until:
            lock = self.home.lock()
            if lock is not None:
                os.close(lock)
                return
            time.sleep(0.02)
        found = self.home.running()
        for pid in (found.supervisor, found.pid) if found else ():
            with contextlib.suppress(ProcessLookupError, TypeError):
                os.kill(pid, signal.SIGKILL)
        raise AssertionError("the node had to be killed")


async def load(url, path, body, total, concurrency, seen, *, until=None):
    """`total` POSTs over `concurrency` kept connections, and more until the Event `until` is set;
    `seen(status, body)` for each. A connection that breaks counts as status 0, except, where the
    node is about to end, one on which it never answered."""
    host, port = url.removeprefix("http://").split(":")
    request = (
        f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    ).encode() + body
    left = total

    async def one():
        nonlocal left
        reader, writer = await asyncio.open_connection(host, int(port))
        fresh = True
        try:
            while left > 0 or not (until is None or until.is_set()):
                left -= 1
                writer.write(request)
                head = await reader.readuntil(b"\r\n\r\n")
                fresh = False
                length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
                seen(int(head[9:12]), await reader.readexactly(int(length)))
                if b"connection: close" in head.lower():
                    writer.close()
                    fresh = True
                    reader, writer = await asyncio.open_connection(host, int(port))
        except (OSError, asyncio.IncompleteReadError):
            if not (fresh and until is not None):  # one that was never taken is no loss
                seen(0, b"")
        finally:
            writer.close()

    await asyncio.gather(*(one() for _ in range(concurrency)))
