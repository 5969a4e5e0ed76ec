"""The model of `batching_model.py` on LitServe: python -m bench.sides.batching_litserve PORT"""

import sys
from typing import Any

import litserve as ls

from bench.sides.batching_model import In, Out, compute

__all__ = ["Model", "main"]


class Model(ls.LitAPI):
    def setup(self, device: str) -> None: ...

    def decode_request(self, request: In, **_: Any) -> float:
        return request.x

    def predict(self, xs: Any, **_: Any) -> Any:
        return compute(list(xs)) if isinstance(xs, list) else compute([xs])[0]

    def encode_response(self, output: float, **_: Any) -> Out:
        return Out(y=output)


def main() -> None:
    """Serve until killed."""
    api = Model(api_path="/model", max_batch_size=32, batch_timeout=0.005)
    server = ls.LitServer(api, accelerator="cpu", workers_per_device=1)
    server.run(
        host="127.0.0.1", port=int(sys.argv[1]), num_api_servers=1, log_level="error",
        generate_client_file=False,
    )  # fmt: skip


if __name__ == "__main__":
    main()
