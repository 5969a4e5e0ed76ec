"""A service: load, decode, predict, encode, and what clients see of it.

    from descent.deploy.service import Service, endpoint, current_context

`base.py` what a service is · `opening.py` from a target to an instance · `living.py` its life
`signature.py` its types · `app.py` the application around it · `methods.py` `batched.py` how a
request is run · `threads.py` · `batching.py` · `pipe.py` `streaming.py`
"""

from descent.deploy.service.base import Service, endpoint
from descent.deploy.service.calls import Stopped
from descent.deploy.service.inflight import current_context, current_request

__all__ = ["Service", "Stopped", "current_context", "current_request", "endpoint"]
