"""Checkpoints: everything a run needs to go on as if it had never stopped, in one file.

One safetensors file holds the weights (`model.*`), the optimiser's moments (`optim.*`) and the
state of the random generator (`random.torch`); its metadata holds the rest as JSON: step, data
position, best loss so far, settings. One file is one rename: it is either whole or not there, and
no reading of it executes anything.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

import descent.random
from descent import from_numpy
from descent.data.files import write_atomically

__all__ = ["CheckpointError", "load_checkpoint", "load_weights", "save_checkpoint", "save_weights"]

VERSION = "descent-checkpoint.v1"
SCALE = ".scale"  # after a matrix's name: the scales of its rows


class CheckpointError(ValueError):
    """A checkpoint that is damaged, or that belongs to another model."""


def save_weights(
    path: str | Path, model: Any, about: dict[str, str] | None = None, *, int8: bool = False
) -> None:
    """Write the model's parameters and buffers as safetensors (shared ones once).

    `int8`: a quarter of the bytes. Each row of a matrix becomes bytes and one float32 scale,
    `NAME.scale` [rows], so that its largest number is ±127; vectors stay as they are.
    """
    arrays, shared = _arrays(model)
    meta = {"format": "descent", **(about or {})}
    if int8:
        arrays = _as_bytes(arrays)
    if shared:
        meta["shared"] = json.dumps(shared)
    write_atomically(path, save(arrays, metadata=meta))


def load_weights(path: str | Path, model: Any) -> None:
    """Fill the model from safetensors.

    Raises:
        CheckpointError: damaged file, or names and shapes that are not this model's.
    """
    arrays, meta = _read(path)
    arrays = {k.removeprefix("model."): v for k, v in arrays.items()}
    _fill(path, model, _as_floats(arrays), meta)


def save_checkpoint(
    path: str | Path, *, model: Any, optimizer: Any, progress: dict[str, Any]
) -> None:
    """Write a whole training state; `progress` is JSON (step, data position, settings, …).

    Frozen weights are not in it: they are the base model's, wherever that came from.
    """
    weights, shared = _arrays(model, frozen=False)
    arrays = {f"model.{k}": v for k, v in weights.items()}
    state = optimizer.state_dict()
    numbers: dict[str, Any] = {}
    for index, slots in state["state"].items():
        for slot, value in slots.items():
            name = f"optim.{index}.{slot}"
            if hasattr(value, "array"):
                arrays[name] = np.array(value.array, order="C")  # a 0-d array stays 0-d
            else:
                numbers[name] = value
    arrays["random.torch"] = np.asarray(descent.random.get_rng_state())
    meta = {
        "format": VERSION,
        "shared": json.dumps(shared),
        "progress": json.dumps(progress),
        "optim": json.dumps({"numbers": numbers, "groups": state["param_groups"]}),
    }
    write_atomically(path, save(arrays, metadata=meta))


def load_checkpoint(path: str | Path, *, model: Any, optimizer: Any) -> dict[str, Any]:
    """Restore model, optimiser and random generator; returns the saved `progress`.

    Raises:
        CheckpointError: a damaged file, another version, or another model's checkpoint.
    """
    arrays, meta = _read(path)
    if meta.get("format") != VERSION:
        raise CheckpointError(
            f"{path} is not a training checkpoint ({VERSION}): its format is "
            f"{meta.get('format', 'unknown')!r}"
        )
    weights = {k[6:]: v for k, v in arrays.items() if k.startswith("model.")}
    _fill(path, model, weights, meta, frozen=False)
    try:
        saved = json.loads(meta["optim"])
        state: dict[int, dict[str, Any]] = {}
        for name, value in [*saved["numbers"].items(), *arrays.items()]:
            if name.startswith("optim."):
                _, index, slot = name.split(".", 2)
                if isinstance(value, np.ndarray):
                    value = from_numpy(value.copy())
                state.setdefault(int(index), {})[slot] = value
        optimizer.load_state_dict({"state": state, "param_groups": saved["groups"]})
        descent.random.set_rng_state(arrays["random.torch"])
        return json.loads(meta["progress"])
    except (KeyError, ValueError, TypeError) as error:
        raise CheckpointError(f"{path} is damaged: {error!r}") from None


def _state(model: Any, frozen: bool = True) -> dict[str, Any]:
    """The tensors by name; without frozen parameters unless they are wanted."""
    if frozen:
        return model.state_dict()
    still = {n for n, p in model.named_parameters(remove_duplicate=False) if not p.requires_grad}
    return {n: t for n, t in model.state_dict().items() if n not in still}


def _arrays(model: Any, frozen: bool = True) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Arrays by name, each memory once; and for every further name the first one."""
    arrays: dict[str, np.ndarray] = {}
    shared: dict[str, str] = {}
    seen: dict[int, str] = {}
    for name, t in _state(model, frozen).items():
        key = t.array.ctypes.data if t.array.size else id(t)
        if key in seen:
            shared[name] = seen[key]
            continue
        seen[key] = name
        arrays[name] = np.array(t.array, order="C")
    return arrays, shared


def _as_bytes(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    made: dict[str, np.ndarray] = {}
    for name, a in arrays.items():
        if a.ndim != 2 or a.dtype.kind != "f":
            made[name] = a
            continue
        scale = np.abs(a).max(1).astype(np.float32) / 127
        made[name] = np.rint(a / np.where(scale > 0, scale, 1)[:, None]).astype(np.int8)
        made[name + SCALE] = scale
    return made


def _as_floats(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    for name in [n for n in arrays if n.endswith(SCALE) and n.removesuffix(SCALE) in arrays]:
        matrix = name.removesuffix(SCALE)
        if arrays[matrix].dtype == np.int8:
            arrays[matrix] = arrays[matrix] * arrays.pop(name)[:, None]
    return arrays


def _read(path: str | Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"there is no checkpoint {path}")
    try:
        with safe_open(path, framework="numpy") as file:
            return {k: file.get_tensor(k) for k in file.keys()}, file.metadata() or {}
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{path} can't be read as safetensors: {error}") from None


def _fill(
    path: Any, model: Any, arrays: dict[str, np.ndarray], meta: dict[str, str], frozen: bool = True
) -> None:
    for name, first in json.loads(meta.get("shared", "{}")).items():
        if first in arrays:
            arrays[name] = arrays[first]
    state = _state(model, frozen)
    if why := _mismatch(state, arrays):
        raise CheckpointError(f"{path} holds the weights of another model: {why}")
    whole = len(state) == len(model.state_dict())
    model.load_state_dict({k: from_numpy(np.array(v)) for k, v in arrays.items()}, strict=whole)


def _mismatch(state: dict[str, Any], arrays: dict[str, np.ndarray]) -> str | None:
    """What is missing, too much or of another shape: the first name and how many more."""
    shapes = {name: tuple(t.array.shape) for name, t in state.items()}
    missing = [n for n in shapes if n not in arrays]
    extra = [n for n in arrays if n not in shapes]
    wrong = [n for n in shapes if n in arrays and arrays[n].shape != shapes[n]]
    for names, what in ((missing, "it has no"), (extra, "this model has no")):
        if names:
            more = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
            return f"{what} {names[0]}{more}"
    if wrong:
        n = wrong[0]
        return f"{n} has shape {list(arrays[n].shape)}, this model's has {list(shapes[n])}"
    return None
