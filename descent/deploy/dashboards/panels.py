"""What an operator looks at: rows of panels, each a few expressions of PromQL.

`$api` is the chosen APIs, `$__rate_interval` Grafana's window (four scrapes). Every name and label
here is checked by a test against what a real node says at `/metrics`.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ROWS", "Panel"]

API, OF_JOBS = '{api=~"$api"}', '{api_name=~"$api"}'
WINDOW = "[$__rate_interval]"
QUANTILES = ((0.5, "p50"), (0.9, "p90"), (0.99, "p99"))


@dataclass(frozen=True)
class Panel:
    """`queries`: (expression, legend). `unit`: Grafana's word for it. `kind`: "timeseries" or
    "stat" (the latest value)."""

    title: str
    unit: str
    queries: tuple[tuple[str, str], ...]
    about: str = ""
    kind: str = "timeseries"


def _per_s(name: str, by: str, where: str = API) -> str:
    return f"sum by ({by}) (rate({name}{where}{WINDOW}))"


def _quantiles(*histograms: tuple[str, str, str]) -> tuple[tuple[str, str], ...]:
    """Of (name, label, which of them)."""
    return tuple(
        (
            f"histogram_quantile({q}, sum by (le, {label}) (rate({name}_bucket{where}{WINDOW})))",
            f"{{{{{label}}}}} {word}",
        )
        for name, label, where in histograms
        for q, word in QUANTILES
    )


def _mean(name: str, by: str, where: str = API) -> str:
    return f"{_per_s(f'{name}_sum', by, where)} / {_per_s(f'{name}_count', by, where)}"


_DEAD = '{api_name=~"$api",state="dead"}'
_ALL = _per_s("descent_api_requests_total", "api")
_FAILED = '{api=~"$api",code=~"5.."}'

_REQUESTS = (
    Panel(
        "Requests", "reqps",
        ((_per_s("descent_api_requests_total", "api, code"), "{{api}} {{code}}"),),
        "Answered per second, by status; 499: the client went away.",
    ),
    Panel(
        "Errors", "percentunit",
        (
            (
                f"({_per_s('descent_api_requests_total', 'api', _FAILED)} or 0 * {_ALL}) / {_ALL}",
                "{{api}}",
            ),
        ),
        "Share of requests answered with 5xx.",
    ),
    Panel(
        "Latency", "s", _quantiles(("descent_api_request_duration_seconds", "api", API)),
        "From arrival to the last byte.",
    ),
    Panel(
        "In flight and queued", "short",
        (
            (f"sum by (api) (descent_api_in_flight{API})", "{{api}} in flight"),
            (f"sum by (api) (descent_api_queued{API})", "{{api}} queued"),
        ),
        "In flight counts those that wait, too.",
    ),
    Panel(
        "Time in the queue", "s", ((_mean("descent_api_queue_seconds", "api"), "{{api}}"),),
        "Mean of those that had to wait.",
    ),
    Panel(
        "Bytes answered", "Bps",
        ((_per_s("descent_api_response_bytes_total", "api"), "{{api}}"),),
    ),
)  # fmt: skip

_WORK = (
    Panel(
        "Batch size", "short",
        (
            (_mean("descent_api_batch_size", "api"), "{{api}} mean"),
            *_quantiles(("descent_api_batch_size", "api", API))[1:2],
        ),
        "Requests answered by one call of predict.",
    ),
    Panel(
        "Time to the first token", "s",
        _quantiles(
            ("descent_api_time_to_first_item_seconds", "api", API),
            ("descent_time_to_first_token_seconds", "model_name", ""),
        ),
        "Of any stream, by API; of text models, by model.",
    ),
    Panel(
        "Between tokens", "s",
        _quantiles(
            ("descent_api_inter_item_latency_seconds", "api", API),
            ("descent_inter_token_latency_seconds", "model_name", ""),
        ),
    ),
    Panel(
        "Tokens", "short",
        (
            (_per_s("descent_api_stream_items_total", "api"), "{{api}} items/s"),
            (_per_s("descent_generation_tokens_total", "model_name", ""), "{{model_name}} made/s"),
            (_per_s("descent_prompt_tokens_total", "model_name", ""), "{{model_name}} read/s"),
        ),
    ),
    Panel(
        "Text requests", "short",
        (
            ("sum by (model_name) (descent_requests_running)", "{{model_name}} running"),
            ("sum by (model_name) (descent_requests_waiting)", "{{model_name}} waiting"),
        ),
    ),
    Panel(
        "Key-value cache", "percentunit",
        (("max by (model_name) (descent_kv_cache_usage_perc)", "{{model_name}}"),),
        "Full: requests are put back and computed again.",
    ),
)  # fmt: skip

_REPLICAS = (
    Panel(
        "Replicas", "short",
        (
            (
                f"sum by (api, version, state) (descent_replicas{API})",
                "{{api}} v{{version}} {{state}}",
            ),
        ),
    ),
    Panel(
        "Autoscaling", "short",
        (
            (f"max by (api) (descent_autoscaling_wanted_replicas{API})", "{{api}} wanted"),
            (
                "sum by (api, direction) "
                f"(increase(descent_autoscaling_changes_total{API}{WINDOW}))",
                "{{api}} {{direction}}",
            ),
        ),
        "`descent describe NAME` says why.",
    ),
    Panel(
        "Restarts", "short",
        ((f"sum by (api) (increase(descent_replica_restarts_total{API}{WINDOW}))", "{{api}}"),),
    ),
    Panel(
        "Memory of replicas", "bytes",
        ((f"sum by (api, version) (descent_replica_memory_bytes{API})", "{{api}} v{{version}}"),),
    ),
)  # fmt: skip

_JOBS = (
    Panel(
        "Units of jobs", "short",
        ((f"sum by (api_name, state) (descent_jobs_units{OF_JOBS})", "{{api_name}} {{state}}"),),
        "A unit is a request (async), a batch of items (batch), a run (task).",
    ),
    Panel(
        "Attempts", "ops",
        (
            (
                _per_s("descent_jobs_attempts_total", "api_name, outcome", OF_JOBS),
                "{{api_name}} {{outcome}}",
            ),
            (_per_s("descent_jobs_retried", "api_name", OF_JOBS), "{{api_name}} retried"),
        ),
    ),
    Panel(
        "Time of a unit", "s",
        _quantiles(
            ("cortex_async_latency", "api_name", OF_JOBS),
            ("cortex_time_per_batch", "api_name", OF_JOBS),
            ("cortex_time_per_task", "api_name", OF_JOBS),
        ),
    ),
    Panel(
        "Dead letters", "short",
        ((f"sum by (api_name) (descent_jobs_units{_DEAD})", "{{api_name}}"),),
        "Given up on; `redrive` tries them again.", kind="stat",
    ),
)  # fmt: skip

_HERE = "{{instance}}"

_NODE = (
    Panel("Ready", "bool_yes_no", (("min(descent_node_ready)", "ready"),), kind="stat"),
    Panel(
        "Version", "short", (("count by (version) (descent_node_info)", "{{version}}"),),
        kind="stat",
    ),
    Panel("Memory", "bytes", (("sum by (instance) (process_resident_memory_bytes)", _HERE),)),
    Panel(
        "Processor", "short",
        ((f"sum by (instance) (rate(process_cpu_seconds_total{WINDOW}))", "{{instance}} cores"),),
    ),
    Panel("Disk left", "bytes", (("min by (instance) (descent_home_free_bytes)", _HERE),)),
    Panel(
        "Open files", "short",
        (
            ("sum by (instance) (process_open_fds)", _HERE),
            ("max by (instance) (process_max_fds)", "{{instance}} limit"),
        ),
    ),
    Panel(
        "API keys", "reqps",
        ((_per_s("descent_key_requests_total", "key, outcome", ""), "{{key}} {{outcome}}"),),
        "forbidden: the key lacks the scope; limited: it asked too often.",
    ),
    Panel(
        "Log lines lost", "short",
        ((f"sum by (instance) (increase(descent_log_lines_dropped_total{WINDOW}))", _HERE),),
        "The disk refused them.",
    ),
)  # fmt: skip

ROWS: tuple[tuple[str, tuple[Panel, ...]], ...] = (
    ("Requests", _REQUESTS),
    ("Batches, streams and text", _WORK),
    ("Replicas", _REPLICAS),
    ("Jobs", _JOBS),
    ("Node", _NODE),
)
