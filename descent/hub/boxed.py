"""The models in the package: small ones we trained ourselves, so that nothing waits for a download.

Each is a run folder of its own (`descent/hub/base/NAME`): config.json with the settings and results
of its training, the tokenizer, the weights as bytes with a scale per row, the manifest of what it
read with every source's licence, and the log. `pack` makes one of a run; the command that made the
run stands in its config.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from descent.data.files import write_atomically
from descent.hub.formats.errors import FormatError

__all__ = ["BOXED", "boxed", "pack"]

_HERE = Path(__file__).parent / "base"
BOXED = {"descent-code": "Python code, with fill-in-the-middle"}
_KEPT = ("format", "created", "goal", "model", "data", "training", "baseline", "results")


def boxed(name: str) -> Path | None:
    """The folder of a model in the package, or None when none has this name."""
    folder = _HERE / name
    return folder if name in BOXED and (folder / "model.safetensors").is_file() else None


def pack(run: str | Path, folder: str | Path, *, command: str, licence: str = "MIT") -> Path:
    """Write the run's best weights, a quarter of their size, and what belongs to them to `folder`.

    Args:
        run: a run folder of ours, trained to its end.
        command: the command line that trained it.
        licence: of the weights; the sources' own licences are in the manifest.

    Raises:
        FormatError: the run is of no use as a base model: half-written, or its end was not reached.
    """
    from descent.hub.loading import load
    from descent.train.checkpoint import save_weights

    run, folder = Path(run), Path(folder)
    config: dict[str, Any] = json.loads((run / "config.json").read_text(encoding="utf-8"))
    if "results" not in config:
        raise FormatError(run / "config.json", "has no results: let the run reach its end first")
    folder.mkdir(parents=True, exist_ok=True)
    save_weights(folder / "model.safetensors", load(run).build(), int8=True)
    about = {name: config[name] for name in _KEPT if name in config}
    about |= {"command": command, "licence": licence}
    write_atomically(folder / "config.json", json.dumps(about, indent=1, ensure_ascii=False) + "\n")
    for name in ("tokenizer.json", "manifest.json", "metrics.jsonl", "samples.txt"):
        if (run / name).is_file():
            shutil.copyfile(run / name, folder / name)
    return folder
