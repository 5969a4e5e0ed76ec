"""`SummaryWriter`: what TensorBoard would get, as one JSON object per line.

Left out: images, figures, audio, graphs, embeddings.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from descent import Tensor
from descent.compat.torch_like.notes import note_once

__all__ = ["SummaryWriter"]


def _plain(value: Any) -> Any:
    return float(value.item()) if isinstance(value, (Tensor, np.generic, np.ndarray)) else value


class SummaryWriter:
    """Appends to `<log_dir>/metrics.jsonl`: {"tag", "value", "step", "wall_time"} per line.

    Args:
        log_dir: the folder; without one, runs/<date and time>.
    """

    def __init__(self, log_dir: Any = None, comment: str = "", **options: Any) -> None:
        if not log_dir:
            log_dir = Path("runs") / (time.strftime("%b%d_%H-%M-%S") + comment)
        self.log_dir = str(log_dir)
        self.path = Path(log_dir) / "metrics.jsonl"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = open(self.path, "a", encoding="utf-8")
        note_once(f"SummaryWriter writes JSON lines to {self.path}")

    def _write(self, tag: str, step: Any, wall_time: float | None, **values: Any) -> None:
        if self._file.closed:
            self._file = open(self.path, "a", encoding="utf-8")
        at = None if step is None else int(step)
        line = {"tag": tag, **values, "step": at, "wall_time": wall_time or time.time()}
        self._file.write(json.dumps(line) + "\n")

    def add_scalar(
        self,
        tag: str,
        scalar_value: Any,
        global_step: Any = None,
        walltime: float | None = None,
        **options: Any,
    ) -> None:
        """One number."""
        self._write(tag, global_step, walltime, value=_plain(scalar_value))

    def add_scalars(
        self,
        main_tag: str,
        tag_scalar_dict: dict[str, Any],
        global_step: Any = None,
        walltime: float | None = None,
    ) -> None:
        """Several numbers that belong together: tags main_tag/name."""
        for name, value in tag_scalar_dict.items():
            self.add_scalar(f"{main_tag}/{name}", value, global_step, walltime)

    def add_text(
        self, tag: str, text_string: str, global_step: Any = None, walltime: float | None = None
    ) -> None:
        """A piece of text."""
        self._write(tag, global_step, walltime, text=text_string)

    def add_histogram(
        self,
        tag: str,
        values: Any,
        global_step: Any = None,
        bins: Any = 30,
        walltime: float | None = None,
        max_bins: int | None = None,
    ) -> None:
        """How the numbers of a tensor are distributed: counts between edges."""
        array = values.detach().numpy() if isinstance(values, Tensor) else np.asarray(values)
        counts, edges = np.histogram(array, 30 if isinstance(bins, str) else bins)
        self._write(
            tag, global_step, walltime, counts=counts.tolist(), edges=edges.astype(float).tolist()
        )

    def add_hparams(
        self, hparam_dict: dict[str, Any], metric_dict: dict[str, Any], **_: Any
    ) -> None:
        """The settings of a run and what came of them."""
        values = {k: _plain(v) for k, v in hparam_dict.items()}
        self._write(
            "hparams",
            None,
            None,
            hparams=values,
            metrics={k: _plain(v) for k, v in metric_dict.items()},
        )

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"SummaryWriter.{name} is not in Descent; add_scalar, add_scalars, add_text, "
            "add_histogram and add_hparams are"
        )

    def flush(self) -> None:
        """Hand everything to the operating system."""
        self._file.flush()

    def close(self) -> None:
        """End the file; writing again opens it again."""
        self._file.close()

    def get_logdir(self) -> str:
        """The folder."""
        return self.log_dir

    def __enter__(self) -> SummaryWriter:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
