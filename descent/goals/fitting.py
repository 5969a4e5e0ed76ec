"""Before a fine-tuning starts: does it fit into memory, what does a step take, what would fit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from descent.costs.machine import measure_machine
from descent.goals.events import Said
from descent.goals.folder import RunError
from descent.hub.listing import free_memory_bytes
from descent.train.estimate import Estimate, estimate, fitting, sizes_of
from descent.train.finetune import FinetuneSettings

__all__ = ["check_fits"]

LARGE = 20_000_000  # parameters: below, a step is timed before anyone could read an estimate


def check_fits(
    model: Any, s: FinetuneSettings, targets: tuple[str, ...], block_size: int
) -> Iterator[Said | Estimate]:
    """Say what the training takes; at last yields the estimate that is to be used, with
    checkpointing where that was left open and memory is short.

    Raises:
        RunError: it does not fit; the setting that would is named.
    """
    z = sizes_of(model, targets)
    peak = 1e9 * measure_machine().gflops if z.total > LARGE else None
    free = free_memory_bytes()
    wanted = [bool(s.checkpointing)] if s.checkpointing is not None else [False, True]
    tried = [estimate(z, s, block_size, checkpointing=c, peak=peak) for c in wanted]
    found = next((e for e in tried if free is None or e.bytes <= free), None)
    if found is None:
        assert free is not None
        raise RunError(_refusal(tried[-1], fitting(z, replace(s, checkpointing=None), block_size,
                                                   free), free))  # fmt: skip
    if z.total > LARGE or found.checkpointing:
        room = "" if free is None else f" ({free / 1e9:.1f} GB are to be had)"
        again = "; blocks are computed again to save memory" if found.checkpointing else ""
        yield Said(f"Training takes {found}{room}{again}.")
    yield found


def _refusal(tried: Estimate, fits: Estimate | None, free: int) -> str:
    advice = "nothing smaller fits either: choose a smaller model"
    if fits is not None:
        advice = f"this fits, with {fits}: {fits.flags}"
    return (
        f"{tried.settings.method} fine-tuning of this model takes {tried}, "
        f"{free / 1e9:.1f} GB are to be had; {advice}"
    )
