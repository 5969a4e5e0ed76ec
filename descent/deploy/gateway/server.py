"""How a gateway is put on a socket: uvicorn's server with our protocol.

uvicorn.Server(config(gateway)).run(sockets=[sock])
"""

from __future__ import annotations

from typing import Any

from starlette.types import ASGIApp

__all__ = ["config"]


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
