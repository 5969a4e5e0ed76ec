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
            b"POST %b HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
            b"connection: close\r\naccept: text/event-stream\r\ncontent-length: %d\r\n\r\n%b"
            % (path.encode(), len(body), body)
        )
        tokens, first, seen = 0, 0.0, b""
        while part := sock.recv(2**18):
            if not first and b"data:" in (seen := seen + part):
                first = time.perf_counter() - began
            tokens += part.count(b"data:")  # cut in two it would be missed: said by the total
        return {"tokens": tokens, "seconds": time.perf_counter() - began, "first_s": first}


if __name__ == "__main__":
    print(json.dumps(read(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))))
