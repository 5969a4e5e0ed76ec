"""llm.c's other files: the debug state of one step, and the optimiser's state.

    debug state   header (B, T), inputs, targets [B, T] i32, logits [B, T, V], loss, gradients
    optimiser     header (step, random state, place in the data), m, v, (master weights), loader

Neither says how large its model is, so the model's config is asked for. Reference:
github.com/karpathy/llm.c, `train_gpt2.py` write_state, `train_gpt2.cu` save_state. Left out:
optimiser states of more than one process. Its tokens are read by `descent.data.shards`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from descent.hub.formats.llmc import HEADER_BYTES, header_of, laid_out, tensor_order
from descent.hub.formats.mapped import MappedFile
from descent.hub.weights import Weights

__all__ = ["optimiser_parts", "read_debug_state", "read_optimiser"]

DEBUG, OPTIMISER = 20240327, 20240527


def _padded(config: Mapping[str, Any]) -> int:
    return -(-config["vocab_size"] // 128) * 128


def read_debug_state(file: MappedFile, config: Mapping[str, Any]) -> dict[str, Any]:
    """What a step should give: inputs, targets, logits, loss (arrays), gradients (`Weights`)."""
    header = header_of(file, DEBUG, "a debug state")
    version, b, t = header[1:4]
    if version != 2 or not 1 <= b <= 1 << 20 or not 1 <= t <= config["block_size"]:
        raise file.fail(f"version {version} (2 is known), batch {b}, length {t}", 4)
    v, end = config["vocab_size"], HEADER_BYTES
    found: dict[str, Any] = {}
    for name, kind, shape in (("inputs", "<i4", (b, t)), ("targets", "<i4", (b, t)),
                              ("logits", "<f4", (b, t, v)), ("loss", "<f4", ())):  # fmt: skip
        found[name] = file.array(end, kind, shape, name)
        end += found[name].nbytes
    gradients, end = laid_out(file, config, _padded(config), end)
    if end != file.size:
        raise file.fail(f"the state ends here, the file has {file.size} bytes", end)
    gradients["wte.weight"] = gradients["wte.weight"].cut(v)
    return {**found, "gradients": Weights(gradients, [file])}


def read_optimiser(file: MappedFile, config: Mapping[str, Any]) -> dict[str, Any]:
    """step, rng_state, shard, sample; m and v (and master, where kept) as `Weights` by name."""
    header = header_of(file, OPTIMISER, "an optimiser's state")
    if header[1] != 1 or header[2] != 1 or header[4] not in (0, 1) or header[5] not in (0, 1):
        raise file.fail(
            f"version {header[1]} of {header[2]} processes; one process of version 1 is read", 4
        )
    rng, rng_before = file.unpack("<2Q", 80, "the random state")
    shard, sample = file.unpack("<2Q", 120, "the place in the data")
    found: dict[str, Any] = {"step": header[10], "rng_state": rng, "rng_state_before": rng_before,
                             "shard": shard, "sample": sample}  # fmt: skip
    end = HEADER_BYTES
    for name in ("m", "v", "master")[: 3 if header[4] else 2]:
        tensors, end = laid_out(file, config, _padded(config), end)
        tensors["wte.weight"] = tensors["wte.weight"].cut(config["vocab_size"])
        found[name] = Weights(tensors, [file])
    if header[5]:
        found |= _loader(file, end)
    elif end != file.size:
        raise file.fail(f"the state ends here, the file has {file.size} bytes", end)
    return found


def _loader(file: MappedFile, at: int) -> dict[str, Any]:
    """Orders of shards and samples of a shuffling loader; its generator's raw state follows."""
    found = {}
    for name in ("shard_order", "sample_order"):
        (count,) = file.unpack("<Q", at, f"the length of {name}")
        found[name] = file.array(at + 8, "<i4", (count,), name)
        at += 8 + found[name].nbytes
    return found


def optimiser_parts(
    config: Mapping[str, Any],
    m: Mapping[str, Any],
    v: Mapping[str, Any],
    *,
    step: int,
    rng_state: int = 0,
    shard: int = 0,
    sample: int = 0,
) -> Iterator[bytes]:
    """An optimiser's state as bytes, for one process, without master weights or shuffling."""
    header = np.zeros(256, "<i4")
    header[:3], header[10] = (OPTIMISER, 1, 1), step
    header[20:24] = np.array([rng_state, rng_state], "<u8").view("<i4")
    header[30:34] = np.array([shard, sample], "<u8").view("<i4")
    yield header.tobytes()
    for moments in (m, v):
        for name, shape in tensor_order(config, _padded(config)):
            array = np.asarray(moments[name], "<f4")
            yield array.tobytes()
            if name == "wte.weight":
                yield bytes((shape[0] - len(array)) * shape[1] * 4)
