"""The service on LitServe; classes of a module's own, for its workers are other processes."""

from typing import Any

import litserve as ls

from bench.sides.serving_peers import In, Out

__all__ = ["Noop", "Tokens", "run"]


class Noop(ls.LitAPI):
    def setup(self, device: str) -> None: ...

    def decode_request(self, request: In, **_: Any) -> float:
        return request.x

    def predict(self, x: float, **_: Any) -> float:
        return x + 1

    def encode_response(self, output: float, **_: Any) -> Out:
        return Out(y=output)


class Tokens(Noop):
    def predict(self, x: float, **_: Any) -> Any:
        yield from range(int(x))

    def encode_response(self, output: Any, **_: Any) -> Any:
        for i in output:
            yield "data: " + Out(y=i).model_dump_json() + "\n\n"


def run(port: int) -> None:
    """Serve until killed."""
    apis: Any = [Noop(api_path="/noop"), Tokens(api_path="/tokens", stream=True)]
    server = ls.LitServer(apis, accelerator="cpu", workers_per_device=1)
    server.run(
        host="127.0.0.1", port=port, num_api_servers=1, log_level="error",
        generate_client_file=False,
    )  # fmt: skip
