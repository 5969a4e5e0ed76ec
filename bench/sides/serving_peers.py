"""The same service on the peers, each as its documentation says; run by the peers' Python.

    python -m bench.sides.serving_peers uvicorn|fastapi|litserve|bentoml|ray PORT

FastAPI: POST /noop (async def), /noop_def (def), /tokens. The others: /noop, and LitServe streams
at /tokens. Logs are off, workers are one, everything else is the default.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

from pydantic import BaseModel

__all__ = ["In", "Out", "main"]


class In(BaseModel):
    x: float


class Out(BaseModel):
    y: float


async def raw(scope: Any, receive: Any, send: Any) -> None:
    """ASGI without a framework: what the server alone takes."""
    if scope["type"] != "http":
        return
    body = b""
    while True:
        message = await receive()
        body += message["body"]
        if not message["more_body"]:
            break
    said = Out(y=In.model_validate_json(body).x + 1).model_dump_json().encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(said))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": said})


def uvicorn(port: int) -> None:
    import uvicorn

    uvicorn.run(raw, host="127.0.0.1", port=port, access_log=False, log_level="error")


def fastapi(port: int) -> None:
    import uvicorn
    from fastapi import FastAPI
    from fastapi.responses import StreamingResponse

    app = FastAPI()

    @app.post("/noop")
    async def noop(value: In) -> Out:
        return Out(y=value.x + 1)

    @app.post("/noop_def")
    def noop_def(value: In) -> Out:
        return Out(y=value.x + 1)

    @app.post("/tokens")
    async def tokens(value: In) -> StreamingResponse:
        async def events() -> AsyncIterator[bytes]:
            for i in range(int(value.x)):
                yield b"data: " + Out(y=i).model_dump_json().encode() + b"\n\n"

        return StreamingResponse(events(), media_type="text/event-stream")

    uvicorn.run(app, host="127.0.0.1", port=port, access_log=False, log_level="error")


def litserve(port: int) -> None:
    from bench.sides import serving_litserve

    serving_litserve.run(port)


def bentoml(port: int) -> None:
    command = ["serve", "bench.sides.serving_bentoml:Noop", "--host", "127.0.0.1"]
    program = f"{sys.prefix}/bin/bentoml"
    os.execv(program, [program, *command, "--port", str(port)])


def ray(port: int) -> None:
    import ray
    from ray import serve

    @serve.deployment
    class Noop:
        async def __call__(self, request: Any) -> Any:
            return json.loads(
                Out(y=In.model_validate_json(await request.body()).x + 1).model_dump_json()
            )

    ray.init(include_dashboard=False, log_to_driver=False, num_cpus=2)
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    serve.run(Noop.bind(), route_prefix="/noop")
    while True:
        time.sleep(60)


def main() -> None:
    """Serve until killed."""
    {"uvicorn": uvicorn, "fastapi": fastapi, "litserve": litserve, "bentoml": bentoml, "ray": ray}[
        sys.argv[1]
    ](int(sys.argv[2]))


if __name__ == "__main__":
    main()
