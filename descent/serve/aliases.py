"""The same metrics under vLLM's, llama.cpp's and plain HTTP names, and those of the engines.

A dashboard made for one of them finds what it looks for. Values are read when `/metrics` is asked
for; nothing is counted twice. Reference: vLLM, docs/usage/metrics; llama.cpp, tools/server/README.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

__all__ = ["Aliases", "EngineMetrics"]

# ours, less "descent_" → the other's
ALIASES = (
    ("requests_running", "vllm:num_requests_running"),
    ("requests_waiting", "vllm:num_requests_waiting"),
    ("prompt_tokens", "vllm:prompt_tokens"),
    ("generation_tokens", "vllm:generation_tokens"),
    ("completions", "vllm:request_success"),
    ("time_to_first_token_seconds", "vllm:time_to_first_token_seconds"),
    ("inter_token_latency_seconds", "vllm:inter_token_latency_seconds"),
    ("inter_token_latency_seconds", "vllm:time_per_output_token_seconds"),
    ("e2e_request_latency_seconds", "vllm:e2e_request_latency_seconds"),
    ("request_queue_time_seconds", "vllm:request_queue_time_seconds"),
    ("request_prompt_tokens", "vllm:request_prompt_tokens"),
    ("request_generation_tokens", "vllm:request_generation_tokens"),
    ("request_params_n", "vllm:request_params_n"),
    ("request_params_max_tokens", "vllm:request_params_max_tokens"),
    ("kv_cache_usage_perc", "vllm:kv_cache_usage_perc"),
    ("prefix_cache_queries", "vllm:prefix_cache_queries"),
    ("prefix_cache_hits", "vllm:prefix_cache_hits"),
    ("preemptions", "vllm:num_preemptions"),
    ("http_requests", "http_requests"),
    ("http_request_duration_seconds", "http_request_duration_seconds"),
    ("prompt_tokens", "llamacpp:prompt_tokens"),
    ("generation_tokens", "llamacpp:tokens_predicted"),
    ("requests_running", "llamacpp:requests_processing"),
    ("requests_waiting", "llamacpp:requests_deferred"),
)


class Aliases:
    """A collector that says again what another registry says, under other names."""

    def __init__(self, registry: Any) -> None:
        self.registry = registry

    def collect(self) -> Iterator[Any]:
        from prometheus_client.metrics_core import Metric

        families = {family.name: family for family in self.registry.collect()}
        for ours, theirs in ALIASES:
            family = families.get(f"descent_{ours}")
            if family is None:
                continue
            renamed = Metric(theirs, family.documentation, family.type)
            for sample in family.samples:
                ending = sample.name.removeprefix(family.name)
                renamed.add_sample(theirs + ending, sample.labels, sample.value)
            yield renamed


_ENGINE: tuple[tuple[str, str, str, Callable[[Any], float]], ...] = (
    ("gauge", "kv_cache_usage_perc", "Share of the key-value cache in use", lambda s: s.cache_use),
    ("counter", "prefix_cache_queries", "Prompt tokens looked up", lambda s: s.prefix_tokens_asked),
    ("counter", "prefix_cache_hits", "Prompt tokens found", lambda s: s.prefix_tokens_found),
    ("counter", "preemptions", "Requests put back to be computed later", lambda s: s.preempted),
    ("counter", "guessed_tokens", "Tokens guessed ahead", lambda s: s.guessed_tokens),
    ("counter", "accepted_guesses", "Guessed tokens that were right", lambda s: s.accepted_guesses),
)


class EngineMetrics:
    """A collector over the engines of the served models; only those that have begun to work."""

    def __init__(self, engines: Callable[[], Mapping[str, Any]]) -> None:
        self.engines = engines

    def collect(self) -> Iterator[Any]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        stats = {name: engine.stats for name, engine in self.engines().items()}
        for kind, name, meaning, read in _ENGINE:
            family = GaugeMetricFamily if kind == "gauge" else CounterMetricFamily
            made = family(f"descent_{name}", meaning, labels=["model_name"])
            for model, state in stats.items():
                made.add_metric([model], read(state))
            yield made
