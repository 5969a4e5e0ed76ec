"""A small HTTP server with the faults a test asks for: python server.py [PORT or from $CORTEX_PORT].

/echo gives back method, path, headers and body · /slow?s · /stream?n · /die · /half · /health
"""

import json
import os
import signal
import socketserver
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def body(self):
        if self.headers.get("transfer-encoding") == "chunked":
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("content-length", 0)))

    def answer(self, data, status=200, kind="application/json"):
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(data)))
        self.send_header("x-served-by", str(os.getpid()))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def handle_any(self):
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        body = self.body()
        way = url.path
        if way == "/health":
            unhealthy = os.environ.get("SICK") and os.path.exists(os.environ["SICK"])
            self.answer(b"{}", 500 if unhealthy else 200)
        elif way == "/slow":
            time.sleep(float(query["s"]))
            self.answer(b'"slept"')
        elif way == "/stream":
            self.send_response(200)
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            try:
                for n in range(int(query["n"])):
                    piece = b"%d\n" % n * int(query.get("times", 1))
                    self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                    self.wfile.flush()
                    time.sleep(float(query.get("wait", 0)))
                self.wfile.write(b"0\r\n\r\n")
            except OSError:
                print("the client has gone", flush=True)
        elif way == "/count":
            self.answer(json.dumps(len(body)).encode())
        elif way == "/die":
            os._exit(7)
        elif way == "/kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif way == "/half":
            self.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")
            self.wfile.flush()
            self.close_connection = True
        elif way == "/open-ended":
            self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\nuntil the end")
            self.close_connection = True
        elif way == "/early":
            self.wfile.write(b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n")
            self.answer(b'"late"')
        elif way == "/nonsense":
            self.wfile.write(b"this is not HTTP\r\n\r\n")
            self.close_connection = True
        elif way == "/nothing":
            self.send_response(204)
            self.end_headers()
        else:
            said = {"method": self.command, "path": self.path, "body": body.decode("latin-1")}
            said["headers"] = {name.lower(): value for name, value in self.headers.items()}
            said["env"] = {k: v for k, v in os.environ.items() if k.startswith(("CORTEX_", "MY_"))}
            self.answer(json.dumps(said).encode(), 422 if body == b'"refuse"' else 200)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = handle_any


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def server_bind(self):
        socketserver.TCPServer.server_bind(self)  # without the name lookup
        self.server_name, self.server_port = "localhost", self.server_address[1]


if __name__ == "__main__":
    time.sleep(float(os.environ.get("MY_START_S", "0")))
    if "--deaf" in sys.argv:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    numbers = [word for word in sys.argv[1:] if word.isdigit()]
    port = int(numbers[0] if numbers else os.environ["CORTEX_PORT"])
    print(f"serving on {port}", flush=True)
    Server(("127.0.0.1", port), Handler).serve_forever()
