"""The way of a request, from the socket to a version of an API and back.

    server → Gateway: route → admission → application (deadline, client gone) → metrics, log

`app.py` the outermost ASGI application · `served.py` admission of one version · `routes.py` paths
`exchange.py` one request · `metrics.py` `series.py` what is counted · `access.py` the log
`kserve.py` `/v2` · `openai.py` `/v1` · `health.py` probes · `protocol.py` HTTP/1.1 on the socket.
"""

from descent.deploy.gateway.app import Gateway
from descent.deploy.gateway.routes import Choice, Route
from descent.deploy.gateway.served import Limits, Served

__all__ = ["Choice", "Gateway", "Limits", "Route", "Served"]
