"""What `/metrics` says, in Prometheus' text format, from a registry of this service's own.

Names follow vLLM's (`…_tokens_total`, `time_to_first_token_seconds`, `inter_token_latency_seconds`)
under the prefix `descent_`. Left out: several processes (one process serves one registry).
"""

from __future__ import annotations

__all__ = ["Metrics"]

_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300]


class Metrics:
    """Counters, gauges and histograms of one service."""

    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        self.registry = CollectorRegistry()
        one = {"labelnames": ["model_name"], "namespace": "descent", "registry": self.registry}
        seconds = one | {"buckets": _SECONDS}
        self.running = Gauge("requests_running", "Requests taking turns on the model", **one)
        self.waiting = Gauge("requests_waiting", "Requests in the queue", **one)
        self.prompt_tokens = Counter("prompt_tokens", "Tokens of prompts", **one)
        self.generated_tokens = Counter("generation_tokens", "Tokens generated", **one)
        self.first_token_s = Histogram(
            "time_to_first_token_seconds", "From submission to the first token", **seconds
        )
        self.inter_token_s = Histogram(
            "inter_token_latency_seconds", "Between tokens of one request", **seconds
        )
        self.finished = Counter(
            "completions",
            "Completions ended, by reason: stop, length, abort (client gone), error",
            **(one | {"labelnames": ["model_name", "finished_reason"]}),
        )
        http = one | {"labelnames": ["handler", "method", "status"]}
        self.http_requests = Counter("http_requests", "HTTP requests answered", **http)
        self.http_in_flight = Gauge(
            "http_requests_in_flight", "HTTP requests being answered", **(one | {"labelnames": []})
        )
        self.http_duration_s = Histogram(
            "http_request_duration_seconds",
            "From request to the last byte of the answer",
            **(seconds | {"labelnames": ["handler"]}),
        )

    def render(self) -> bytes:
        """Prometheus' text exposition format, version 0.0.4."""
        from prometheus_client import generate_latest

        return generate_latest(self.registry)
