"""The known models and the runs here: size, whether they lie here, and what this machine can do.

    tokens/s ≤ bandwidth / bytes of weights read for a token

The estimate is the memory's: with one sequence nothing else is the limit, and a short context's
keys and values add little. "Fits": weights + 2,048 tokens of keys and values + what Python and
NumPy take, within the memory that is free.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from descent.hub.boxed import BOXED, boxed
from descent.hub.cache import ModelCache
from descent.hub.known import KNOWN, WIDTHS, KnownModel
from descent.hub.naming import HubName

__all__ = ["Listed", "boxed_models", "free_memory_bytes", "known_models", "local_runs"]

_OVERHEAD_BYTES = 300_000_000
_CONTEXT_TOKENS = 2048


@dataclass(frozen=True)
class Listed:
    """A row of `descent models`. `widths`: per weight width, bytes, whether it fits, tokens/s."""

    name: str
    source: str
    parameters: int | None
    context: int | None
    licence: str
    here: str | None
    chat: bool = False
    gated: bool = False
    widths: dict[str, dict[str, Any]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def known_models(
    free_bytes: int | None, bandwidth: Callable[[float], float] | None
) -> Iterator[Listed]:
    """A row for each known model.

    Args:
        free_bytes: memory to be had; None where the system does not tell.
        bandwidth: bytes per second of a loop over so many bytes; None: not measured.
    """
    for name, known in KNOWN.items():
        path = ModelCache(known.repo).local(HubName(known.repo, quant=known.quant))
        yield Listed(
            name=name,
            source=known.repo + (f":{known.quant}" if known.quant else ""),
            parameters=known.parameters,
            context=known.context,
            licence=known.licence,
            here=None if path is None else str(path),
            chat=known.chat,
            gated=known.gated,
            widths={width: _at(known, width, free_bytes, bandwidth) for width in WIDTHS},
        )


def _at(
    known: KnownModel,
    width: str,
    free_bytes: int | None,
    bandwidth: Callable[[float], float] | None,
) -> dict[str, Any]:
    weights = known.weight_bytes(width)
    need = weights + known.cache_bytes(_CONTEXT_TOKENS) + _OVERHEAD_BYTES
    read = known.read_a_token * WIDTHS[width]
    return {
        "weight_bytes": weights,
        "need_bytes": need,
        "fits": None if free_bytes is None else need <= free_bytes,
        "tokens_per_s": None if bandwidth is None else round(bandwidth(read) / read, 1),
    }


def boxed_models(
    free_bytes: int | None, bandwidth: Callable[[float], float] | None
) -> Iterator[Listed]:
    """A row for each model in the package; arguments as those of `known_models`."""
    for name in BOXED:
        if (folder := boxed(name)) is None:
            continue
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        sizes = config["model"]["config"]
        c, heads = sizes["n_embd"], sizes["n_head"]
        model = KnownModel(
            "in the package", "gpt", config["licence"], sizes["vocab_size"], sizes["block_size"],
            sizes["n_layer"], c, heads, heads, 4 * c,
        )  # fmt: skip
        yield Listed(
            name=name,
            source=model.repo,
            parameters=model.parameters,
            context=model.context,
            licence=model.licence,
            here=str(folder),
            widths={width: _at(model, width, free_bytes, bandwidth) for width in WIDTHS},
        )


def local_runs(folder: Path) -> Iterator[Listed]:
    """A row for each run folder in `folder`: what `descent up` and `descent finetune` made."""
    for config_file in sorted(folder.glob("*/config.json")):
        run = config_file.parent
        try:
            config = json.loads(config_file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if not isinstance(config, dict) or not str(config.get("format")).startswith("descent-run"):
            continue
        model = _dict(config.get("model"))
        sizes = _dict(model.get("config"))
        weights = run / "model.safetensors"
        size = weights.stat().st_size if weights.is_file() else 0
        yield Listed(
            name=str(run),
            source=f"run: {config.get('goal', '?')}, {model.get('type', 'no model yet')}",
            parameters=size // 4 or None,  # a run's weights are float32, each once
            context=sizes.get("block_size"),
            licence="yours",
            here=str(run) if size else None,
        )


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def free_memory_bytes() -> int | None:
    """Memory a new process can have without swapping; None where the system does not tell."""
    free = []
    try:
        for line in Path("/proc/meminfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("MemAvailable:"):
                free.append(1024 * int(line.split()[1]))
        limit = Path("/sys/fs/cgroup/memory.max")  # a container's
        if limit.is_file() and (text := limit.read_text(encoding="utf-8").strip()).isdigit():
            used = Path("/sys/fs/cgroup/memory.current").read_text(encoding="utf-8")
            free.append(int(text) - int(used))
    except (OSError, ValueError, IndexError):
        pass
    if not free:
        try:
            free.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
        except (ValueError, OSError, AttributeError):
            return None
    return min(free)
