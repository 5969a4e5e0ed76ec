"""What `/metrics` says, in Prometheus' text format, from a registry of this service's own.

Names follow vLLM's (`…_tokens_total`, `time_to_first_token_seconds`, `inter_token_latency_seconds`)
under the prefix `descent_`, and stand there once more under other programs' own (`aliases.py`).
Left out: several processes (one process serves one registry).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from descent.serve.aliases import Aliases, EngineMetrics

__all__ = ["Metrics"]

_COUNTS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000]
_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300]


class Metrics:
    """Counters, gauges and histograms of one service; `engines` by the models' names."""

    def __init__(self, engines: Callable[[], Mapping[str, Any]] = dict) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        self.registry = registry = CollectorRegistry()

        def gauge(name: str, meaning: str, *labels: str) -> Gauge:
            return Gauge(f"descent_{name}", meaning, labels, registry=registry)

        def counter(name: str, meaning: str, *labels: str) -> Counter:
            return Counter(f"descent_{name}", meaning, labels, registry=registry)

        def seconds(name: str, meaning: str, *labels: str) -> Histogram:
            return Histogram(
                f"descent_{name}_seconds", meaning, labels, registry=registry, buckets=_SECONDS
            )

        def numbers(name: str, meaning: str, *labels: str) -> Histogram:
            return Histogram(f"descent_{name}", meaning, labels, registry=registry, buckets=_COUNTS)

        model = "model_name"
        self.running = gauge("requests_running", "Requests taking turns on the model", model)
        self.waiting = gauge("requests_waiting", "Requests in the queue", model)
        self.prompt_tokens = counter("prompt_tokens", "Tokens of prompts", model)
        self.generated_tokens = counter("generation_tokens", "Tokens generated", model)
        self.first_token_s = seconds("time_to_first_token", "Submission to first token", model)
        self.inter_token_s = seconds("inter_token_latency", "Between a request's tokens", model)
        self.whole_s = seconds("e2e_request_latency", "Submission to last token", model)
        self.queue_s = seconds("request_queue_time", "In the queue", model)
        self.request_prompt = numbers("request_prompt_tokens", "Prompt tokens of a request", model)
        self.request_made = numbers("request_generation_tokens", "Tokens of a completion", model)
        self.request_n = numbers("request_params_n", "n of a request", model)
        self.request_max = numbers("request_params_max_tokens", "max_tokens of a request", model)
        self.finished = counter(
            "completions",
            "Completions ended, by reason: stop, length, abort (client gone), error",
            model,
            "finished_reason",
        )
        http = ("handler", "method", "status")
        self.http_requests = counter("http_requests", "HTTP requests answered", *http)
        self.http_in_flight = gauge("http_requests_in_flight", "HTTP requests being answered")
        self.http_duration_s = seconds(
            "http_request_duration", "Request to the last byte of the answer", "handler"
        )
        registry.register(EngineMetrics(engines))
        self._aliases = CollectorRegistry()
        self._aliases.register(Aliases(registry))

    def collect(self) -> Iterator[Any]:
        """The same for a registry elsewhere that this one is told with."""
        yield from self.registry.collect()
        yield from self._aliases.collect()

    def render(self) -> bytes:
        """Prometheus' text exposition format, version 0.0.4."""
        from prometheus_client import generate_latest

        return generate_latest(self.registry) + generate_latest(self._aliases)
