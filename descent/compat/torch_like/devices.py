"""The accelerators that are not there: every question about them gets an honest answer.

`torch.cuda.is_available()` is False, seeding and waiting do nothing, settings are accepted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from descent import default_generator

__all__ = [
    "BACKENDS", "CUDA", "DISTRIBUTED", "MPS", "PARALLEL", "THREADS", "VERSION", "XPU", "fork_rng",
]  # fmt: skip


def _says(answer: Any, doc: str) -> Callable[..., Any]:
    def function(*args: Any, **kwargs: Any) -> Any:
        return answer

    function.__doc__ = doc
    return function


no, none = _says(False, "False."), _says(None, "Nothing to do.")
zero = _says(0, "0: there is none.")


def _absent(what: str) -> Callable[..., Any]:
    def function(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(f"Descent computes on the CPU; {what}")

    return function


CUDA = {
    "is_available": no, "is_initialized": no, "is_bf16_supported": no,
    "device_count": zero, "memory_allocated": zero, "max_memory_allocated": zero,
    "memory_reserved": zero, "max_memory_reserved": zero,
    "manual_seed": none, "manual_seed_all": none, "seed": none, "seed_all": none,
    "synchronize": none, "empty_cache": none, "init": none,
    "reset_peak_memory_stats": none,
    "current_device": _absent("there is no current CUDA device"),
    "set_device": _absent("there is no CUDA device to choose"),
    "get_device_name": _absent("there is no CUDA device"),
    "get_device_properties": _absent("there is no CUDA device"),
    "get_device_capability": _absent("there is no CUDA device"),
    "Stream": _absent("there are no CUDA streams"),
    "Event": _absent("there are no CUDA events"),
}  # fmt: skip

MPS = {
    "is_available": no, "is_built": no, "device_count": zero,
    "manual_seed": none, "seed": none, "synchronize": none, "empty_cache": none,
    "current_allocated_memory": zero, "driver_allocated_memory": zero,
}  # fmt: skip

XPU = {
    "is_available": no, "device_count": zero, "manual_seed": none, "manual_seed_all": none,
    "synchronize": none, "empty_cache": none,
}  # fmt: skip

BACKENDS: dict[str, dict[str, Any]] = {
    "backends": {},
    "backends.cudnn": {
        "is_available": no, "version": none, "enabled": False, "benchmark": False,
        "deterministic": False, "allow_tf32": False,
    },
    "backends.cuda": {
        "is_built": no, "enable_flash_sdp": none, "enable_mem_efficient_sdp": none,
        "enable_math_sdp": none, "flash_sdp_enabled": no, "mem_efficient_sdp_enabled": no,
    },
    "backends.cuda.matmul": {"allow_tf32": False},
    "backends.mps": {"is_available": no, "is_built": no},
    "backends.mkl": {"is_available": no},
    "backends.openmp": {"is_available": no},
    "backends.mkldnn": {"is_available": no, "enabled": False},
}  # fmt: skip

DISTRIBUTED = {
    "is_available": no, "is_initialized": no, "destroy_process_group": none, "barrier": none,
    "get_rank": zero, "get_world_size": lambda *args: 1,
    "init_process_group": _absent("there is one process"),
}  # fmt: skip
PARALLEL = {  # classes, for scripts ask isinstance(model, DistributedDataParallel)
    name: type(name, (), {"__init__": _absent("there is nothing to spread a model over")})
    for name in ("DataParallel", "DistributedDataParallel")
}

_threads = {"n": 1}


def _set_num_threads(n: int) -> None:
    """Remembered for `get_num_threads`; NumPy's and Numba's own settings decide."""
    if not isinstance(n, int) or n < 1:
        raise RuntimeError(f"set_num_threads expects a positive integer, got {n!r}")
    _threads["n"] = n


def _get_num_threads() -> int:
    """What `set_num_threads` was told."""
    return _threads["n"]


THREADS = {
    "set_num_threads": _set_num_threads, "get_num_threads": _get_num_threads,
    "set_num_interop_threads": none, "get_num_interop_threads": lambda: 1,
}  # fmt: skip

VERSION = {"cuda": None, "hip": None, "debug": False}


def fork_rng(*args: Any, **options: Any) -> Any:
    """Context manager: the default stream goes on afterwards as if nothing had been drawn."""
    import contextlib

    @contextlib.contextmanager
    def kept() -> Any:
        state = default_generator.get_state()
        try:
            yield
        finally:
            default_generator.set_state(state)

    return kept()
