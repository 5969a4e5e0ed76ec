"""The node's process: one event loop with the gateway, the control API, the jobs and the services.

    python -m descent.deploy.control.process     (started by the supervisor; settings in DESCENT_*)

It announces itself as soon as it answers; /readyz says 503 until everything that was deployed is
back, and again from the moment it is told to end: then requests in flight finish (`grace_s`), jobs
give back what they have not begun, and the process exits with 0.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import ssl
import sys
import time
from collections.abc import Callable

from descent import __version__
from descent.deploy.control.certificates import follow
from descent.deploy.control.folders import Home, Running
from descent.deploy.control.settings import NodeSettings
from descent.deploy.control.supervising import CANNOT_START
from descent.deploy.errors import DeployError

__all__ = ["Node", "main"]

log = logging.getLogger("descent.deploy.node")


class Node:
    """Everything of one node, put together; `run` serves until it is told to stop."""

    def __init__(self, settings: NodeSettings, sock: socket.socket, url: str) -> None:
        from descent.deploy.control.assembling import Parts

        self.settings = settings
        self.sock = sock
        self.home = Home(settings.home).make()
        self.parts = Parts(settings, self.home, url)
        self.url = url
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()

    async def run(self) -> None:
        """Serve until `stop` is called or SIGTERM comes; returns when everything is freed."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        from descent.deploy.gateway.protocol import Protocol
        from descent.deploy.gateway.server import calm_collector

        gateway = self.parts.gateway
        gateway.not_ready = "what was deployed is being loaded"
        await self.parts.open()
        await self.parts.controller.prepare()
        calm_collector()
        server = self._server()
        serving = asyncio.create_task(server.serve(sockets=[self.sock]))
        while not server.started and not serving.done():
            await asyncio.sleep(0.002)
        if serving.done():  # a certificate that is none, say
            await self.parts.close()
            return await serving
        self._announce()
        restoring = asyncio.create_task(self._restore())
        renewing = self._renewing(server.config.ssl)
        stopped = asyncio.create_task(self._stop.wait())
        await asyncio.wait({stopped, serving}, return_when=asyncio.FIRST_COMPLETED)
        gateway.not_ready = "the node is stopping"
        Protocol.ending = True
        self.parts.control.closing = True
        restoring.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await restoring
        self.parts.leave()
        await self._drain()
        server.should_exit = True
        await serving
        if renewing is not None:
            renewing.cancel()
        await self.parts.close()
        self.home.withdraw()

    def stop(self) -> None:
        """Begin the end; a second call does not wait for those in flight."""
        if self._stop.is_set():
            self._hurry.set()
        self._stop.set()

    async def _restore(self) -> None:
        try:
            await self.parts.controller.start()
        except Exception:
            log.exception("what was deployed could not be brought back")
        if not self._stop.is_set():
            self.parts.gateway.not_ready = None

    async def _drain(self) -> None:
        until = time.monotonic() + self.settings.grace_s
        while time.monotonic() < until and not self._hurry.is_set():
            if not self.parts.busy():
                return
            await asyncio.sleep(0.02)

    def _renewing(self, context: ssl.SSLContext | None) -> asyncio.Task[None] | None:
        certificate, key = self.settings.tls_certificate, self.settings.tls_key
        if context is None or certificate is None or key is None:
            return None
        return asyncio.create_task(follow(context, certificate, key), name="certificate")

    def _announce(self) -> None:
        supervisor = int(os.environ.get("DESCENT_SUPERVISOR", 0)) or None
        now = time.time()
        certificate = self.settings.tls_certificate
        shown = "" if certificate is None else str(certificate.absolute())
        self.home.announce(Running(self.url, os.getpid(), supervisor, now, __version__, shown))
        log.info("node at %s, process %d", self.url, os.getpid())

    def _server(self):
        import uvicorn

        from descent.deploy.gateway.server import config

        class Server(uvicorn.Server):
            @contextlib.contextmanager
            def capture_signals(self):  # the node has its own
                yield

        return Server(
            config(
                self.parts.app,
                timeout_graceful_shutdown=2,
                ssl_certfile=self.settings.tls_certificate,
                ssl_keyfile=self.settings.tls_key,
            )
        )


def _inherited() -> tuple[socket.socket, str]:
    """The listening socket and address that the launcher made; the lock stays open till the end."""
    descriptor, lock = int(os.environ["DESCENT_SOCKET"]), int(os.environ["DESCENT_LOCK"])
    for number in (descriptor, lock):
        os.set_inheritable(number, False)
    return socket.socket(fileno=descriptor), os.environ["DESCENT_URL"]


def main() -> int:
    """Entry point of the node's process."""
    logging.basicConfig(
        level=logging.INFO,
        stream=sys.stdout,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    try:
        settings = NodeSettings.gather()
        sock, url = _inherited()
        with asyncio.Runner(loop_factory=_loop()) as runner:
            runner.run(_run(settings, sock, url))
    except ModuleNotFoundError as error:
        said = f"{error.name} is not installed: pip install 'descent-ml[serve]'"
    except (DeployError, OSError) as error:
        said = str(error)
    else:
        return 0
    print(f"node: {said}", file=sys.stderr, flush=True)
    return CANNOT_START


def _loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's, where it is installed."""
    try:
        import uvloop
    except ModuleNotFoundError:
        return None
    return uvloop.new_event_loop


async def _run(settings: NodeSettings, sock: socket.socket, url: str) -> None:
    await Node(settings, sock, url).run()


if __name__ == "__main__":
    sys.exit(main())
