"""`DataLoader`: batches of a data set, in PyTorch's order for the same seed.

One difference: everything is read in this process. `num_workers`, `pin_memory` and the other
settings of worker processes are accepted; the batches are the same, for PyTorch too draws their
order in the main process.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from descent.compat.torch_like.collating import default_collate, default_convert
from descent.compat.torch_like.datasets import IterableDataset
from descent.compat.torch_like.notes import note_once
from descent.compat.torch_like.samplers import (
    BatchSampler,
    RandomSampler,
    SequentialSampler,
    drawn_seed,
)

__all__ = ["DataLoader", "get_worker_info"]


def get_worker_info() -> None:
    """None: this is always the main process."""
    return None


class DataLoader:
    """Goes through a data set in batches.

    Args:
        dataset: with `__getitem__` and `__len__`, or an `IterableDataset`.
        batch_size: items per batch; None for single items.
        shuffle: a new random order on every pass.
        sampler, batch_sampler: iterables of indices, or of lists of them, instead.
        collate_fn: makes a batch from a list of items.
        drop_last: leave out a last batch that is not full.
        generator: draws the order instead of the default stream.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Iterable[Any] | None = None,
        batch_sampler: Iterable[Any] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[Any], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Any = None,
        multiprocessing_context: Any = None,
        generator: Any = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:
        self.iterable = isinstance(dataset, IterableDataset)
        if num_workers < 0:
            raise ValueError(f"num_workers should be non-negative, but got {num_workers}")
        _check_choice(self.iterable, batch_size, shuffle, sampler, batch_sampler, drop_last)
        if num_workers:
            note_once("DataLoader reads in this process: num_workers has no effect on Descent")
        self.dataset, self.generator, self.drop_last = dataset, generator, drop_last
        self.num_workers, self.pin_memory = num_workers, pin_memory
        if sampler is None and batch_sampler is None and not self.iterable:
            sampler = RandomSampler(dataset, generator=generator) if shuffle else None
            sampler = SequentialSampler(dataset) if sampler is None else sampler
        if batch_sampler is not None:
            batch_size = None
        elif batch_size is not None:
            endless = itertools.repeat(None) if self.iterable else sampler
            batch_sampler = BatchSampler(endless, batch_size, drop_last)  # type: ignore[arg-type]
        self.batch_size, self.sampler, self.batch_sampler = batch_size, sampler, batch_sampler
        batched = batch_sampler is not None
        self._order: Any = batch_sampler if batched else sampler
        self.collate_fn = collate_fn or (default_collate if batched else default_convert)

    def __iter__(self) -> Iterator[Any]:
        order = None if self.iterable else iter(self._order)
        # PyTorch draws the workers' base seed here, workers or not, and our samplers draw at the
        # first batch: the stream must lose the same numbers at the same moments.
        drawn_seed(self.generator)
        return self._stream(iter(self.dataset)) if order is None else self._items(order)

    def _items(self, order: Iterator[Any]) -> Iterator[Any]:
        if self.batch_sampler is None:
            yield from (self.collate_fn(self.dataset[index]) for index in order)
            return
        together = getattr(self.dataset, "__getitems__", None)
        for indices in order:
            items = together(indices) if together else [self.dataset[i] for i in indices]
            yield self.collate_fn(items)

    def _stream(self, source: Iterator[Any]) -> Iterator[Any]:
        if self.batch_size is None:
            yield from map(self.collate_fn, source)
            return
        while items := list(itertools.islice(source, self.batch_size)):
            if len(items) < self.batch_size and self.drop_last:
                return
            yield self.collate_fn(items)

    def __len__(self) -> int:
        """The number of batches."""
        if self.iterable:
            n = len(self.dataset)
            if self.batch_size is None:
                return n
            return n // self.batch_size if self.drop_last else -(-n // self.batch_size)
        return len(self._order)


def _check_choice(
    iterable: bool, batch_size: Any, shuffle: Any, sampler: Any, batch_sampler: Any, drop_last: bool
) -> None:
    """Settings that contradict each other."""
    if iterable:
        given = {"shuffle": shuffle or None, "sampler": sampler, "batch_sampler": batch_sampler}
        for name, value in given.items():
            if value is not None:
                raise ValueError(
                    f"DataLoader with IterableDataset: expected unspecified {name} option, "
                    f"but got {name}={value}"
                )
    if sampler is not None and shuffle:
        raise ValueError("sampler option is mutually exclusive with shuffle")
    if batch_sampler is not None and (batch_size != 1 or shuffle or sampler or drop_last):
        raise ValueError(
            "batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, "
            "and drop_last"
        )
    if batch_size is None and batch_sampler is None and drop_last:
        raise ValueError(
            "batch_size=None option disables auto-batching and is mutually exclusive with drop_last"
        )
