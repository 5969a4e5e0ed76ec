"""A run folder: everything one run made, readable by other tools.

    config.json            goal, model and its sizes, training settings, data, results
    tokenizer.json         the tokenizer
    model.safetensors      the best weights so far (Hugging Face's file name and format)
    checkpoints/step-*     whole training states, the newest few
    metrics.jsonl          losses, one JSON object per line
    samples.txt            what the model wrote while it learned

Nothing in it is executed on loading; every file is replaced whole.
"""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

from descent.data.files import write_atomically

__all__ = ["RunError", "RunFolder", "default_runs_folder"]

FORMAT = "descent-run.v1"


class RunError(ValueError):
    """A run folder that is missing, half-written, or of another kind. One clear sentence."""


def default_runs_folder() -> Path:
    """`./runs`: beside the user's work, easy to find and to delete."""
    return Path("runs")


class RunFolder:
    """A folder with the files above. `config` is the content of config.json."""

    def __init__(self, path: str | Path, config: dict[str, Any]) -> None:
        self.path = Path(path)
        self.config = config

    @property
    def name(self) -> str:
        return self.path.resolve().name

    @property
    def weights(self) -> Path:
        return self.path / "model.safetensors"

    @property
    def tokenizer(self) -> Path:
        return self.path / "tokenizer.json"

    @classmethod
    def create(cls, path: str | Path, config: dict[str, Any]) -> RunFolder:
        """A new run; its config.json is written at once.

        Raises:
            RunError: when the name or the place cannot be used.
        """
        path = Path(path)
        if not re.fullmatch(r"[\w.\-]{1,80}", path.name):
            raise RunError(f"run name {path.name!r}: use letters, digits, '.', '_' and '-'")
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"can't make the run folder {path}: {error.strerror}") from None
        run = cls(path, {"format": FORMAT, "created": int(time.time()), **config})
        run.save_config()
        return run

    @classmethod
    def open(cls, path: str | Path) -> RunFolder:
        """An existing run.

        Raises:
            RunError: not a run folder, or a damaged one, saying which file and what to do.
        """
        path = Path(path)
        file = path / "config.json"
        if not path.is_dir():
            raise RunError(f"there is no run folder {path}; `descent up` makes one")
        if not file.is_file():
            raise RunError(f"{path} is not a run folder: it has no config.json")
        try:
            config = json.loads(file.read_text(encoding="utf-8"))
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise RunError(f"{file} is damaged ({error}); start the run again") from None
        if not isinstance(config, dict) or config.get("format") != FORMAT:
            found = config.get("format") if isinstance(config, dict) else None
            raise RunError(f"{file} is not a Descent run ({FORMAT}): its format is {found!r}")
        return cls(path, config)

    def need(self, *files: str) -> None:
        """Check that files are there.

        Raises:
            RunError: naming the first that is missing: the run was stopped before it was written.
        """
        for name in files:
            if not (self.path / name).is_file():
                raise RunError(
                    f"{self.path} is half-written: {name} is missing; run the same `descent up` "
                    "command again to continue it, or delete the folder"
                )

    def save_config(self) -> None:
        """Write config.json (whole or not at all)."""
        text = json.dumps(self.config, indent=2, ensure_ascii=False) + "\n"
        write_atomically(self.path / "config.json", text)

    def add_sample(self, step: int, text: str) -> None:
        """Append what the model wrote at a step to samples.txt."""
        with open(self.path / "samples.txt", "a", encoding="utf-8") as f:
            f.write(f"── step {step} ──\n{text}\n\n")
