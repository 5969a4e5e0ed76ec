"""The model a fine-tuning begins with: a run folder, or anything `descent.hub.load` reads."""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from descent.data.errors import DataError
from descent.goals.folder import FORMAT, RunError, RunFolder
from descent.goals.loading import load_model

__all__ = ["Base", "open_base"]


@dataclass
class Base:
    """A pretrained model taken up.

    Attributes:
        source: the path or name it came from. kind, config: what `models.building.build` takes.
        end: its end-of-text token's name, where it has one. learning_rate: the peak rate it was
            trained with, where that is known.
    """

    name: str
    source: str
    kind: str
    config: dict[str, Any]
    model: Any
    tokenizer: Any
    end: str | None = None
    learning_rate: float | None = None
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def vocab_size(self) -> int:
        return self.config["vocab_size"]

    def fingerprint(self) -> int:
        """A checksum over both ends of every weight: whether it is still the same model."""
        crc = 0
        for name, t in self.model.state_dict().items():
            crc = zlib.crc32(name.encode(), crc)
            flat = t.array.reshape(-1)
            crc = zlib.crc32(flat[:1024].tobytes() + flat[-1024:].tobytes(), crc)
        return crc


def open_base(source: str | Path) -> Base:
    """The model at a path, or known by a name, in eval mode.

    Raises:
        RunError: nothing there, no tokenizer, or not a text model.
    """
    from descent.hub import find, load

    try:
        path = find(source)
        if _is_run(path):
            return _from_run(path)
        bundle = load(path)
        model = bundle.build()
    except (DataError, OSError) as error:
        raise RunError(f"{source} can't be taken up: {error}") from None
    if bundle.tokenizer is None:
        raise RunError(f"{source} has no tokenizer beside its weights; put its files there")
    about = dict(bundle.about)
    ends = {i: name for name, i in bundle.tokenizer.special_tokens.items()}
    end = next((ends[i] for i in about.get("eos_ids") or () if i in ends), None)
    name = _short(str(about.get("name") or path.name))
    return Base(
        name, str(source), bundle.kind, dict(bundle.config), model, bundle.tokenizer,
        end or _end_of(bundle.tokenizer), None, about,
    )  # fmt: skip


def _is_run(path: Path) -> bool:
    file = path / "config.json"
    try:
        return file.is_file() and FORMAT in file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False


def _from_run(path: Path) -> Base:
    run = RunFolder.open(path)
    if run.config.get("goal") not in ("complete", "finetune", "pretrain"):
        raise RunError(
            f"{path} is a run of goal {run.config.get('goal')!r}; fine-tuning takes models of text "
            "(`descent up complete`)"
        )
    model, tokenizer = load_model(run)
    about = run.config["model"]
    rate = run.config.get("training", {}).get("learning_rate")
    return Base(
        run.name, str(path), about["type"], dict(about["config"]), model, tokenizer,
        _end_of(tokenizer), rate, dict(run.config.get("about", {})),
    )  # fmt: skip


def _end_of(tokenizer: Any) -> str | None:
    known = ("<|endoftext|>", "</s>", "<|end_of_text|>", "<|im_end|>", "<eos>")
    return next((name for name in known if name in tokenizer.special_tokens), None)


def _short(name: str) -> str:
    return re.sub(r"[^\w.\-]+", "-", name).strip("-.")[:40] or "model"
