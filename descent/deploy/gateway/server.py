"""How a gateway is put on a socket: uvicorn's server with our protocol.

uvicorn.Server(config(gateway)).run(sockets=[sock])
"""

from __future__ import annotations

import gc
from typing import Any

from starlette.types import ASGIApp

__all__ = ["calm_collector", "config"]


def config(app: ASGIApp, **options: Any) -> Any:
    """A `uvicorn.Config`; `options` are uvicorn's own and win over what is set here.

    Raises ImportError naming the extra to install.
    """
    try:
        import uvicorn

        from descent.deploy.gateway.protocol import Protocol
    except ModuleNotFoundError as error:
        raise ImportError(
            f"serving needs {error.name}, which is not installed: pip install 'descent-ml[serve]'"
        ) from error
    settings: dict[str, Any] = {
        "http": Protocol,
        "ws": "none",
        "lifespan": "on",
        "access_log": False,  # the gateway writes its own
        "log_config": None,
        "proxy_headers": False,
        "server_header": False,
        "timeout_keep_alive": 75,  # longer than clients and proxies keep theirs
        "backlog": 2048,
    }
    return uvicorn.Config(app, **(settings | options))


def calm_collector() -> None:
    """Fewer and shorter pauses for Python's cycle collector, for a process that answers requests.

    To be called once, before any service is loaded: what is there then (the libraries) is never
    looked at again. Requests leave no cycles, so that collecting may be rare.
    """
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
