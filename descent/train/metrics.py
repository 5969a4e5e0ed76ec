"""What a run measures: losses on fixed windows, and a JSON line per event.

    bits per byte = loss in nats per token · tokens / (bytes · ln 2)

Bits per byte does not depend on the tokenizer, so models of different vocabularies, and counts,
compare in it.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from descent import from_numpy, no_grad

__all__ = ["MetricsFile", "bits_per_byte", "evaluate"]


def bits_per_byte(nats_per_token: float, tokens: int, n_bytes: int) -> float:
    """Convert a loss per token to bits per byte of the text those tokens cover."""
    return nats_per_token * tokens / (max(n_bytes, 1) * math.log(2))


def evaluate(model: Any, batches: Iterable[tuple[np.ndarray, np.ndarray]]) -> float:
    """Mean loss in nats per predicted token over the batches, in eval mode, unrecorded."""
    training = model.training
    model.eval()
    total, count = 0.0, 0
    try:
        with no_grad():
            for x, y in batches:
                n = int((y >= 0).sum())  # -1 marks positions that are not predicted
                total += float(model(from_numpy(x), from_numpy(y))[1].item()) * n
                count += n
    finally:
        model.train(training)
    return total / max(count, 1)


class MetricsFile:
    """`metrics.jsonl`: one JSON object per line, appended as it happens."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def append(self, **values: Any) -> None:
        """Add a line. A line cut off by a crash is ended first, so that no two ever mix."""
        broken = False
        if self.path.exists() and self.path.stat().st_size:
            with open(self.path, "rb") as f:
                f.seek(-1, os.SEEK_END)
                broken = f.read(1) != b"\n"
        with open(self.path, "a", encoding="utf-8") as f:
            f.write(("\n" if broken else "") + json.dumps(values) + "\n")

    def read(self) -> list[dict[str, Any]]:
        """All whole lines."""
        if not self.path.exists():
            return []
        rows = []
        for line in self.path.read_text(encoding="utf-8").splitlines():
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError:
                continue  # the line being written when the process was killed
        return rows
