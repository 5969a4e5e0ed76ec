"""Read one stream of server-sent events: `python -m bench.sides.http_stream PORT PATH N`."""

from __future__ import annotations

import json
import socket
import sys
import time

__all__ = ["read"]


def read(port: int, path: str, n: int) -> dict[str, float]:
    """How many events came, in how many seconds, and when the first byte of the body did."""
    body = json.dumps({"x": n}).encode()
    with socket.create_connection(("127.0.0.1", port), timeout=60) as sock:
        began = time.perf_counter()
        sock.sendall(
            b"POST %b HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
            b"connection: close\r\naccept: text/event-stream\r\ncontent-length: %d\r\n\r\n%b"
            % (path.encode(), len(body), body)
        )
        first, parts = 0.0, []
        while part := sock.recv(2**18):
            parts.append(part)
            if not first and b"data:" in b"".join(parts):
                first = time.perf_counter() - began
        seconds, said = time.perf_counter() - began, b"".join(parts)
        if not said.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(said[:300].decode("latin-1"))
        return {"tokens": said.count(b"data:"), "seconds": seconds, "first_s": first}


if __name__ == "__main__":
    print(json.dumps(read(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))))
