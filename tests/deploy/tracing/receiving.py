"""A receiver of OTLP over HTTP."""

from __future__ import annotations

import contextlib
import gzip
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


@contextlib.contextmanager
def receiving():
    """(its address, the spans it was sent: (service.name, pid, span))."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    spans = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            sent = ExportTraceServiceRequest.FromString(body)
            for of_process in sent.resource_spans:
                about = {a.key: a.value for a in of_process.resource.attributes}
                for scoped in of_process.scope_spans:
                    for span in scoped.spans:
                        pid = about["process.pid"].int_value
                        spans.append((about["service.name"].string_value, pid, span))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", spans
    finally:
        server.shutdown()
        server.server_close()
