"""The generator: MT19937, seeded, stepped and saved exactly as PyTorch's CPU generator is.

    key_0 = seed mod 2³²,   key_j = 1812433253 · (key_{j-1} xor key_{j-1} >> 30) + j   (j = 1 … 623)

Matsumoto & Nishimura 1998, "Mersenne Twister", and their `init_genrand` of 2002. NumPy steps the
twister (its MT19937 is the same recurrence); seeding and the state's byte layout are ours.
Left out: devices other than the CPU.
"""

from __future__ import annotations

import functools
import operator
import os
import threading
from collections.abc import Callable, Sequence
from typing import Any, SupportsIndex

import numpy as np

__all__ = [
    "Generator",
    "default_generator",
    "manual_seed",
    "seed",
    "initial_seed",
    "get_rng_state",
    "set_rng_state",
    "draw",
]

Shape = int | Sequence[int]

_WORDS = 624
_FEW = 10_000  # words up to which the raw stream is the faster one
_DEFAULT_SEED = 67280421310721  # what PyTorch gives a new Generator

# PyTorch's get_state(): the struct of the old Lua generator, and a float32 normal behind it.
_STATE = np.dtype(
    [
        ("seed", "<u8"),
        ("left", "<i4"),  # draws until the next twist, plus one
        ("seeded", "<i4"),
        ("next", "<u8"),  # the word the next draw reads; 0 only before the first twist
        ("key", "<u8", (_WORDS,)),
        ("normal_x", "<f8"),
        ("normal_y", "<f8"),  # the second number of the last Box-Muller pair
        ("normal_rho", "<f8"),
        ("normal_is_valid", "<i4"),
        ("pad", "<i4"),
        ("float_normal", "<f4"),
        ("float_normal_is_valid", "<i4"),
    ]
)


class Generator:
    """A random stream equal to `torch.Generator()`: same seed, same calls, same numbers.

    Draws lock the generator, so threads may share one, but then the order of their draws is not
    reproducible: give each thread its own where that matters.
    """

    def __init__(self, device: Any = "cpu") -> None:
        if str(device).split(":")[0] != "cpu":
            raise RuntimeError(f"Generator runs on the CPU only, but got device={device!r}")
        self.lock = threading.RLock()
        self.manual_seed(_DEFAULT_SEED)

    @property
    def device(self) -> str:
        return "cpu"

    def manual_seed(self, seed: SupportsIndex) -> Generator:
        """Restart the stream; a negative seed means seed + 2⁶⁴. Only the low 32 bits choose it."""
        try:
            value = operator.index(seed)
        except TypeError:
            got = type(seed).__name__
            raise RuntimeError(f"manual_seed expected an int, but got {got}: {seed!r}") from None
        if not -(1 << 63) <= value < 1 << 64:
            raise ValueError(f"seed must lie in [-2**63, 2**64), but got {value}")
        with self.lock:
            self._seed = value % (1 << 64)
            self._rest_at(_seeded_key(self._seed), 0)
            self.next_normal: float | None = None
        return self

    def seed(self) -> int:
        """Restart from 53 bits of the operating system's entropy and return them."""
        value = int.from_bytes(os.urandom(8), "little") >> 11
        self.manual_seed(value)
        return value

    def initial_seed(self) -> int:
        """The seed in force, in [0, 2⁶⁴)."""
        return self._seed

    def random32(self, n: int) -> np.ndarray:
        """The next n words of the stream, uint32."""
        if n == 0:
            return np.empty(0, np.uint32)
        with self.lock:
            if self._numpy is None:
                self._numpy = _numpy_stream(self._key, self._next)
            if n < _FEW:  # the same words, without the preparations for many
                return self._numpy.bit_generator.random_raw(n).astype(np.uint32)
            return self._numpy.integers(0, 1 << 32, size=n, dtype=np.uint32)

    def random64(self, n: int) -> np.ndarray:
        """The next n pairs of words as uint64, the first word of a pair high."""
        pairs = self.random32(2 * n).reshape(n, 2).astype(np.uint64)
        return (pairs[:, 0] << np.uint64(32)) | pairs[:, 1]

    def get_state(self) -> np.ndarray:
        """The whole state as 5,056 bytes (uint8) in PyTorch's layout: torch can load it."""
        with self.lock:
            key, position = self._position()
            state = np.zeros((), _STATE)
            state["seed"] = self._seed
            state["left"] = _WORDS + 1 - position if position else 1
            state["seeded"] = 1
            state["next"] = position
            state["key"] = key
            if self.next_normal is not None:
                state["normal_y"] = self.next_normal
                state["normal_is_valid"] = 1
        return np.frombuffer(state.tobytes(), np.uint8).copy()

    def set_state(self, new_state: Any) -> Generator:
        """Continue from a `get_state()`, ours or PyTorch's; wrong bytes change nothing."""
        data = np.asarray(new_state)
        if data.dtype != np.uint8:
            raise TypeError(f"the generator state must be uint8 bytes, but has dtype {data.dtype}")
        if data.size != _STATE.itemsize:
            raise RuntimeError(
                f"Expected a generator state of size {_STATE.itemsize} bytes, "
                f"but found the input state size to be {data.size}"
            )
        state = np.frombuffer(data.tobytes(), _STATE)[0]
        left, position = int(state["left"]), int(state["next"])
        fits = left == (_WORDS + 1 - position if position else 1)
        if state["seeded"] != 1 or position > _WORDS or not fits or state["key"].max() >> 32:
            raise RuntimeError(
                "Invalid mt19937 state: these bytes do not come from Generator.get_state() "
                f"(seeded={state['seeded']}, left={left}, next={position})"
            )
        with self.lock:
            self._seed = int(state["seed"])
            self._rest_at(state["key"].astype(np.uint32), position)
            valid = bool(state["normal_is_valid"])
            self.next_normal = float(state["normal_y"]) if valid else None
        return self

    def clone_state(self) -> Generator:
        """A second generator at the same point of the stream."""
        return Generator().set_state(self.get_state())

    def __deepcopy__(self, memo: dict) -> Generator:
        return self.clone_state()

    def __repr__(self) -> str:
        return f"<descent.random.Generator device=cpu initial_seed={self._seed}>"

    def _rest_at(self, key: np.ndarray, position: int) -> None:
        # NumPy's random package takes 10 ms to import: it waits for the first draw.
        self._key, self._next, self._numpy = key, position, None

    def _position(self) -> tuple[np.ndarray, int]:
        if self._numpy is None:
            return self._key, self._next
        state = self._numpy.bit_generator.state["state"]
        return state["key"], state["pos"]


def _seeded_key(seed: int) -> np.ndarray:
    word = seed & 0xFFFFFFFF
    key = [word]
    for j in range(1, _WORDS):
        word = (1812433253 * (word ^ (word >> 30)) + j) & 0xFFFFFFFF
        key.append(word)
    return np.array(key, np.uint32)


def _numpy_stream(key: np.ndarray, position: int) -> np.random.Generator:
    twister = np.random.MT19937(0)
    # PyTorch marks "seeded, not yet twisted" by word 0, NumPy by a used-up block.
    state: Any = {"key": key, "pos": position or _WORDS}
    twister.state = {"bit_generator": "MT19937", "state": state}
    return np.random.Generator(twister)


default_generator = Generator()
default_generator.seed()


def manual_seed(seed: SupportsIndex) -> Generator:
    """Seed the default generator; see `Generator.manual_seed`."""
    return default_generator.manual_seed(seed)


def seed() -> int:
    """Seed the default generator from the operating system's entropy."""
    return default_generator.seed()


def initial_seed() -> int:
    """The seed in force in the default generator."""
    return default_generator.initial_seed()


def get_rng_state() -> np.ndarray:
    """The default generator's state; see `Generator.get_state`."""
    return default_generator.get_state()


def set_rng_state(new_state: Any) -> None:
    """Set the default generator's state; see `Generator.set_state`."""
    default_generator.set_state(new_state)


def resolve(generator: Generator | None) -> Generator:
    """The generator a call uses: the given one, or the default."""
    if generator is None:
        return default_generator
    if not isinstance(generator, Generator):
        got = type(generator).__name__
        raise TypeError(f"generator must be a descent.random.Generator or None, but got {got}")
    return generator


def as_shape(shape: Shape) -> tuple[int, ...]:
    """A shape as a tuple of ints ≥ 0; a single int is a vector's length."""
    try:
        dims = (operator.index(shape),)  # type: ignore[arg-type]
    except TypeError:
        dims = tuple(operator.index(dim) for dim in shape)  # type: ignore[union-attr]
    for dim in dims:
        if dim < 0:
            raise RuntimeError(
                f"Trying to create tensor with negative dimension {dim}: {list(dims)}"
            )
    return dims


def as_float_dtype(dtype: Any, caller: str) -> np.dtype:
    """float32 or float64 in native byte order; anything else is refused in the caller's name."""
    result = np.dtype(dtype)
    if result not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise NotImplementedError(
            f'"{caller}" not implemented for {result}: float32 or float64 would be right'
        )
    return result


observer: Any = None  # a step being captured: it is told of a draw, which happens when it runs


def draw(fn: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    """Decorator of the public draws: while `observer` is set, it stands in for the numbers."""

    @functools.wraps(fn)
    def drawing(*args: Any, **kwargs: Any) -> np.ndarray:
        return fn(*args, **kwargs) if observer is None else observer(fn, args, kwargs)

    return drawing
