"""Run the application: bind, announce, serve, and shut down without dropping what is being
answered.

On SIGINT or SIGTERM: /readyz says 503 and new completions are refused, requests in flight get up to
`grace_s`, then they end with an error event; a second signal ends at once. Left out: several
processes, TLS (put a proxy in front).
"""

from __future__ import annotations

import ipaddress
import os
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from descent.generate.completer import Completer

if TYPE_CHECKING:
    pass

__all__ = ["AddressInUse", "background_server", "check_free", "serve"]


class AddressInUse(OSError):
    """The port is taken, or the address is not this machine's; the message is one sentence."""


def serve(
    completers: Sequence[Completer],
    host: str = "127.0.0.1",
    port: int = 8000,
    *,
    started: Callable[[str], None] | None = None,
    grace_s: float = 20.0,
    **app_options: Any,
) -> None:
    """Serve until SIGINT or SIGTERM; returns after a graceful shutdown.

    `port` 0 picks a free one. `started` is called with the real address ("http://127.0.0.1:8000")
    once requests are answered. `app_options` go to `make_app`. Raises `AddressInUse`, and
    ImportError naming the extra to install.
    """
    server, sock, url = _prepare(completers, host, port, grace_s, app_options)
    server.run_until_stopped(sock, lambda: started(url) if started else None)


def check_free(host: str, port: int) -> None:
    """Raise `AddressInUse` when nothing could listen there, for use before long work."""
    _bind(host, port).close()


@contextmanager
def background_server(
    completers: Sequence[Completer],
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    grace_s: float = 5.0,
    **app_options: Any,
) -> Iterator[str]:
    """The same server in a thread, for tests and notebooks; yields its address."""
    server, sock, url = _prepare(completers, host, port, grace_s, app_options)
    ready = threading.Event()
    thread = threading.Thread(target=server.run_until_stopped, args=(sock, ready.set), daemon=True)
    thread.start()
    try:
        while not ready.wait(0.05):
            if not thread.is_alive():
                raise RuntimeError("the server ended before it answered; its log says why")
        yield url
    finally:
        server.drain()
        thread.join()


def _prepare(
    completers: Sequence[Completer],
    host: str,
    port: int,
    grace_s: float,
    app_options: dict[str, Any],
) -> tuple[Any, socket.socket, str]:
    try:
        from descent.serve.app import make_app
        from descent.serve.draining import DrainingServer
    except ModuleNotFoundError as error:
        raise ImportError(
            f"serving needs {error.name}, which is not installed: pip install 'descent-ml[serve]'"
        ) from error
    sock = _bind(host, port)
    try:
        real_port = sock.getsockname()[1]
        if _loopback(host):
            app_options.setdefault("allowed_hosts", {"localhost", "127.0.0.1", "[::1]", host})
        app = make_app(completers, **app_options)
    except BaseException:
        sock.close()
        raise
    shown = f"[{host}]" if ":" in host else {"0.0.0.0": "127.0.0.1"}.get(host, host)
    return DrainingServer(app, grace_s), sock, f"http://{shown}:{real_port}"


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        if os.name == "posix":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(1024)
    except (OSError, OverflowError) as error:
        sock.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise AddressInUse(
            f"cannot listen on {host}:{port}: {reason}; choose another port, or 0 for a free one"
        ) from error
    return sock
