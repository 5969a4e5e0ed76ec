"""A `Bundle`: a pretrained model taken apart into kind, config, weights, tokenizer and notes.

It is what every format is read into and written from. Weights stay in their file until they are
asked for; `build()` makes the model around them, sharing the file's pages where the numbers already
lie as a float32 parameter needs them, so a model of float32 weights costs its file's bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from descent.data.errors import DataError
from descent.hub.weights import Weights, as_float32, stored_array
from descent.models.building import build
from descent.models.naming import shapes
from descent.nn import init

__all__ = ["Bundle"]


class Bundle:
    """A model in parts.

    Args:
        weights: our parameter names → arrays (or `Quantised` blocks); tied weights stand under one
            name.
        tokenizer: a tokenizer, None, or a function that makes one when it is first asked for.
        about: may hold source, format, name, licence, bos_id, eos_ids, chat_template, context
            (tokens), and notes (sentences on what was lost or changed on the way).
    """

    def __init__(
        self,
        kind: str,
        config: dict[str, Any],
        weights: Weights,
        tokenizer: Any = None,
        about: dict[str, Any] | None = None,
    ) -> None:
        self.kind, self.config, self.weights = kind, config, weights
        self.about: dict[str, Any] = {} if about is None else about
        self._tokenizer = tokenizer

    @property
    def tokenizer(self) -> Any:
        """The tokenizer; None where there is none or it could not be read (see the notes)."""
        if callable(self._tokenizer):
            self._tokenizer = self._tokenizer()
        return self._tokenizer

    @tokenizer.setter
    def tokenizer(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    @classmethod
    def of(
        cls, kind: str, config: dict[str, Any], model: Any, tokenizer: Any = None, **about: Any
    ) -> Bundle:
        """A model in memory as a bundle; the arrays are shared with it."""
        stored, seen = {}, set()
        for name, t in model.state_dict().items():
            place = (t.array.ctypes.data, t.array.shape)
            if place not in seen:
                stored[name] = stored_array(t.array)
            seen.add(place)
        return cls(kind, config, Weights(stored), tokenizer, {"format": "memory", **about})

    def __repr__(self) -> str:
        name = self.about.get("name") or self.about.get("source") or "unnamed"
        kinds = sorted({s.kind for s in self.weights.stored.values()})
        return (
            f"Bundle({self.kind} {name}: {self.weights.count:,} numbers in {', '.join(kinds)}, "
            f"{self.weights.nbytes:,} bytes, {self.about.get('format', 'no format')})"
        )

    def build(self) -> Any:
        """The model in eval mode, its weights as float32 parameters.

        Changing them never changes the file.

        Raises:
            DataError: naming a weight that is missing, left over or of another shape.
        """
        self._check_sizes()
        with init.without_values():
            try:
                model = build(self.kind, self.config)
            except (TypeError, ValueError, MemoryError) as error:
                raise DataError(f"{self._where()}: {error}") from None
        fill(model, self.weights, self._where())
        model.eval()
        return model

    def _check_sizes(self) -> None:
        """A config that lies about its weights costs nothing: they are compared before building."""
        layers = self.config.get("n_layer", 1)
        if not isinstance(layers, int) or layers > max(len(self.weights), 1):
            raise DataError(
                f"{self._where()}: n_layer is {layers!r}, there are {len(self.weights)} weights"
            )
        if self.kind not in ("gpt", "llama"):
            return
        try:
            needed = shapes(self.kind, self.config)
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{self._where()}: its config: {error}") from None
        for name, shape in needed.items():
            stored = self.weights.stored.get(name)
            if stored is not None and tuple(stored.shape) != shape:
                raise DataError(
                    f"{self._where()}: {name!r} has shape {list(stored.shape)}, the model's is "
                    f"{list(shape)}"
                )

    def _where(self) -> str:
        return str(self.about.get("source", "the bundle"))


def fill(model: Any, weights: Weights, where: str) -> None:
    """Give a model these weights: shared where they are float32 in C order, else converted."""
    own = model.state_dict(keep_vars=True)
    tied: dict[int, str] = {}  # parameter → the name its weight stands under
    for name, t in own.items():
        if name in weights:
            tied[id(t)] = name
    for name, t in own.items():
        if id(t) not in tied:
            raise DataError(f"{where} has no weight {name!r} {list(t.array.shape)}")
    if extra := [name for name in weights if name not in own]:
        more = f" (and {len(extra) - 1} more)" if len(extra) > 1 else ""
        raise DataError(f"{where} has a weight this model has no use for: {extra[0]!r}{more}")
    for name in weights:
        shape, need = weights.stored[name].shape, own[name].array.shape
        if tuple(shape) != need:
            raise DataError(
                f"{where}: {name!r} has shape {list(shape)}, the model's is {list(need)}"
            )
    for name in weights:
        if tied[id(own[name])] == name:
            own[name].array = _parameter(weights, name)
            own[name].version[0] += 1


def _parameter(weights: Weights, name: str) -> np.ndarray:
    if weights.stored[name].kind == "F32":
        array = weights[name]
        if array.flags.c_contiguous and array.flags.writeable:
            return array
    with weights.once(name) as value:
        array = as_float32(value)
        return array.copy() if not array.flags.owndata or not array.flags.writeable else array


def as_mapping(weights: Mapping[str, np.ndarray]) -> Weights:
    """Arrays in memory as `Weights`."""
    return Weights({name: stored_array(array) for name, array in weights.items()})
