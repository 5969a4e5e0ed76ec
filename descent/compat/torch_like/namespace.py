"""Which name of torch's stands for what: one table per module, sources in order.

A source is a dict of names, or a module of Descent, which gives what its `__all__` lists.
"""

from __future__ import annotations

import math
from typing import Any

import descent
import descent.linalg
import descent.nn.functional
import descent.nn.init
import descent.nn.utils
import descent.optim.lr_scheduler
import descent.random
from descent.compat.torch_like import (
    collating,
    constructing,
    datasets,
    devices,
    distributions,
    loading,
    precision,
    samplers,
    saving,
    summaries,
)

__all__ = ["MODULES", "VERSION"]

VERSION = f"2.13.0+descent.{descent.__version__}"  # the PyTorch whose names these are

_top = {
    "__version__": VERSION,
    "Tensor": constructing.Tensor,
    **constructing.TENSOR_TYPES,
    "save": saving.save,
    "load": saving.load,
    "compile": precision.compile,
    "autocast": precision.autocast,
    "bfloat16": precision.bfloat16,
    "set_float32_matmul_precision": precision.set_float32_matmul_precision,
    "get_float32_matmul_precision": precision.get_float32_matmul_precision,
    "inf": math.inf,
    "nan": math.nan,
    "pi": math.pi,
    "e": math.e,
    "newaxis": None,
    "is_floating_point": lambda input: input.is_floating_point(),
    "is_complex": lambda input: False,
    "numel": lambda input: input.numel(),
    "use_deterministic_algorithms": devices.none,
    "are_deterministic_algorithms_enabled": lambda: True,
    **devices.THREADS,
}

_data = [datasets, samplers, loading, collating]
_random = {
    name: getattr(descent, name)
    for name in ("get_rng_state", "initial_seed", "manual_seed", "seed", "set_rng_state")
}
_autograd = {
    name: getattr(descent, name)
    for name in ("enable_grad", "inference_mode", "is_grad_enabled", "no_grad", "set_grad_enabled")
}

MODULES: dict[str, list[Any]] = {
    "": [_top, descent],
    "nn": [descent.nn],
    "nn.functional": [descent.nn.functional],
    "nn.init": [descent.nn.init],
    "nn.utils": [descent.nn.utils],
    "nn.utils.clip_grad": [descent.nn.utils],
    "nn.modules": [descent.nn],
    "nn.parallel": [devices.PARALLEL],
    "distributed": [devices.DISTRIBUTED],
    "nn.parameter": [{"Parameter": descent.nn.Parameter}],
    "optim": [descent.optim],
    "optim.lr_scheduler": [descent.optim.lr_scheduler],
    "optim.optimizer": [{"Optimizer": descent.optim.Optimizer}],
    "utils": [{}],
    "utils.data": _data,
    "utils.data.dataset": [datasets],
    "utils.data.sampler": [samplers],
    "utils.data.dataloader": [loading, collating],
    "utils.tensorboard": [summaries],
    "utils.tensorboard.writer": [summaries],
    "cuda": [devices.CUDA],
    "cuda.amp": [precision],
    "amp": [precision],
    "mps": [devices.MPS],
    "xpu": [devices.XPU],
    **{name: [names] for name, names in devices.BACKENDS.items()},
    "autograd": [_autograd],
    "autograd.grad_mode": [_autograd],
    "distributions": [distributions],
    "distributions.categorical": [distributions],
    "linalg": [descent.linalg],
    "random": [{**_random, "fork_rng": devices.fork_rng}],
    "serialization": [saving],
    "version": [{"__version__": VERSION, **devices.VERSION}],
}
