"""What all sides share: run a step over batches, going on where the last call ended."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np

from bench.sides.process import peers_folder

__all__ = ["Data", "Run", "checkout", "compiled_cycle", "cycle"]

Run = Callable[[int], float]  # do n further steps; the last one's loss
Data = Mapping[str, np.ndarray]


def cycle(step: Callable[[Any, Any], Any], batches: list[tuple[Any, Any]]) -> Run:
    """`step(x, y)` on one batch after the other, for ever."""
    done = 0

    def run(n: int) -> float:
        nonlocal done
        loss = None
        for i in range(done, done + n):
            loss = step(*batches[i % len(batches)])
        done += n
        return loss.item()  # type: ignore[union-attr]

    return run


def compiled_cycle(step: Callable[[Any, Any], Any], batches: list[Any], **how: Any) -> Run:
    """The same for descent's compiled form; it says so if it had to run uncompiled."""
    import descent

    fast = descent.compile(step, **how)
    run = cycle(fast, batches)

    def notes() -> list[str]:
        refused = getattr(fast, "refused", None)
        return [f"descent ran this step uncompiled: {refused}"] if refused else []

    run.notes = notes  # type: ignore[attr-defined]
    return run


def checkout(repository: str, file: str) -> Any:
    """A peer's own module, from its checkout in the peers' folder; what it may lack stands in."""
    path = peers_folder() / repository / file
    if not path.exists():
        raise FileNotFoundError(2, "no checkout", str(path))
    # makemore imports it for its logs alone
    sys.modules.setdefault("torch.utils.tensorboard", SimpleNamespace(SummaryWriter=None))  # type: ignore[arg-type]
    spec = importlib.util.spec_from_file_location(f"{repository}_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
    sys.modules[module.__name__] = module
    spec.loader.exec_module(module)  # type: ignore[union-attr]
    return module
