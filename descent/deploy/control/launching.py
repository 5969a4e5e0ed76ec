"""Start, find and stop the node of a home folder.

    lock the folder → bind the socket → supervisor (holds both) → node process → answers

The socket is bound before anything is started, so a taken port is said at once and the address is
known before the node answers: the first request waits in the kernel's queue, nobody polls a port.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from descent.deploy.control.folders import Home, Running
from descent.deploy.control.settings import NodeSettings
from descent.deploy.errors import DeployError

__all__ = ["bind", "ensure", "exec_foreground", "stop", "url_of"]

_START_S = 60.0
_SUPERVISOR = Path(__file__).with_name("supervising.py")


def ensure(
    settings: NodeSettings,
    *,
    any_port: bool = False,
    meanwhile: Callable[[], object] = lambda: None,
) -> tuple[Running, bool]:
    """The running node, or one started in the background; True beside it when it was started.

    `any_port`: a free port will do where the wanted one is taken. `meanwhile`: called while it
    starts. Raises `DeployError`.
    """
    home = Home(settings.home)
    until = time.monotonic() + _START_S
    while (lock := home.lock()) is None:
        running = home.running()
        if running is not None:
            return running, False
        if time.monotonic() > until:
            raise DeployError(f"a node holds {home.path} but does not say where it listens")
        time.sleep(0.02)  # another command is starting it at this moment
    try:
        home.withdraw()  # of a node that was killed
        sock = bind(settings, any_port=any_port)
        with sock:
            url = url_of(settings, sock)
            process = _spawn(home, settings, lock, sock)
    finally:
        os.close(lock)  # the supervisor has it now
    meanwhile()
    return _when_up(home, process, url, until), True


def exec_foreground(settings: NodeSettings) -> None:
    """Become the supervisor of a node, in place of this process. Raises `DeployError`."""
    home = Home(settings.home)
    for _ in range(10):
        lock = home.lock()
        if lock is not None:
            break
        time.sleep(0.02)  # somebody may only have looked
    else:
        running = home.running()
        where = f" at {running.url}" if running else ""
        raise DeployError(
            f"the node of {home.path} runs already{where}; `descent node stop` ends it"
        )
    home.withdraw()
    sock = bind(settings)
    command = _command(lock, sock.fileno())
    environment = _environment(home, settings, url_of(settings, sock), sock, lock)
    for descriptor in (lock, sock.fileno()):
        os.set_inheritable(descriptor, True)
    os.execve(sys.executable, command, environment)


def stop(home: Home, *, timeout_s: float = 60.0) -> bool:
    """End the node in good order; False when none runs. Raises `DeployError` if it won't."""
    running = home.running()
    if running is None:
        return False
    for pid in (running.supervisor, running.pid):
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
                break  # the supervisor hands it on
    until = time.monotonic() + timeout_s
    while time.monotonic() < until:
        lock = home.lock()
        if lock is not None:
            os.close(lock)
            home.withdraw()
            return True
        time.sleep(0.02)
    raise DeployError(f"the node (process {running.pid}) did not end within {timeout_s:g} s")


def bind(settings: NodeSettings, *, any_port: bool = False) -> socket.socket:
    """A listening socket at the settings' address. Raises `DeployError`."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        try:
            sock.bind((settings.host, settings.port))
            sock.listen(2048)
        except OSError:
            if not any_port:
                raise
            sock.bind((settings.host, 0))
            sock.listen(2048)
    except OSError as error:
        sock.close()
        raise DeployError(
            f"cannot listen on {settings.host}:{settings.port}: {error.strerror or error}; "
            "choose another port (--port), or 0 for a free one"
        ) from error
    return sock


def url_of(settings: NodeSettings, sock: socket.socket) -> str:
    """The address clients on this machine use."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)
    shown = f"[{host}]" if ":" in host else host
    scheme = "https" if settings.encrypted else "http"
    return f"{scheme}://{shown}:{sock.getsockname()[1]}"


def _command(lock: int, sock: int) -> list[str]:
    node = [sys.executable, "-m", "descent.deploy.control.process"]
    return [sys.executable, "-P", "-S", str(_SUPERVISOR), str(lock), str(sock), *node]


def _environment(
    home: Home, settings: NodeSettings, url: str, sock: socket.socket, lock: int
) -> dict[str, str]:
    package = str(Path(__file__).parents[3])
    paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        **os.environ,
        **settings.variables(),
        "DESCENT_HOME": str(home.path),
        "DESCENT_URL": url,
        "DESCENT_SOCKET": str(sock.fileno()),
        "DESCENT_LOCK": str(lock),
        "PYTHONPATH": os.pathsep.join(paths),
    }


def _spawn(
    home: Home, settings: NodeSettings, lock: int, sock: socket.socket
) -> subprocess.Popen[bytes]:
    environment = _environment(home, settings, url_of(settings, sock), sock, lock)
    log = os.open(home.node_log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        return subprocess.Popen(
            _command(lock, sock.fileno()),
            pass_fds=(lock, sock.fileno()),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=home.path,
            env=environment,
            start_new_session=True,
        )
    finally:
        os.close(log)


def _when_up(home: Home, process: subprocess.Popen[bytes], url: str, until: float) -> Running:
    """Wait until the node says where it is; it says so as soon as it answers."""
    while time.monotonic() < until:
        running = home.running()
        if running is not None and running.url == url:
            process.returncode = 0  # it outlives this command on purpose: no complaint at exit
            return running
        if process.poll() is not None:
            break
        time.sleep(0.01)
    if process.poll() is None:
        process.terminate()
    tail = home.node_log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-3:]
    raise DeployError(f"the node did not start; {home.node_log} ends with: " + " | ".join(tail))
