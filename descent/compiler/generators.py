"""Random generators that are not ours (Python's, NumPy's): their states, compared and put back."""

from __future__ import annotations

import random
from typing import Any

import numpy as np

__all__ = ["GLOBAL", "STREAMS", "set_stream", "stream_state"]

STREAMS = (random.Random, np.random.Generator, np.random.RandomState)
GLOBAL = (random._inst, np.random.mtrand._rand)  # type: ignore[attr-defined]


def stream_state(g: Any) -> tuple[Any, Any]:
    """Its state, and that in a form that compares."""
    if isinstance(g, random.Random):
        state = g.getstate()
        return state, state
    if isinstance(g, np.random.RandomState):
        state = g.get_state()
        return state, (state[1].tobytes(), state[2:])  # type: ignore[index]
    state = g.bit_generator.state
    return state, str(state)


def set_stream(g: Any, state: Any) -> None:
    if isinstance(g, random.Random):
        g.setstate(state)
    elif isinstance(g, np.random.RandomState):
        g.set_state(state)
    else:
        g.bit_generator.state = state
