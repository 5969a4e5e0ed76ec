"""The pretrained GPT-2s under gpt-2-simple's names: models/124M, models/355M, …

A folder is taken as it lies there, in OpenAI's layout (a TensorFlow checkpoint) or Hugging Face's.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

__all__ = ["download_gpt2", "is_gpt2_downloaded", "model_folder"]

REPOSITORIES = {
    "124M": "gpt2", "117M": "gpt2", "355M": "gpt2-medium", "345M": "gpt2-medium",
    "774M": "gpt2-large", "1558M": "gpt2-xl",
}  # fmt: skip
_OPENAI = (
    "checkpoint", "encoder.json", "hparams.json", "vocab.bpe", "model.ckpt.index",
    "model.ckpt.data-00000-of-00001",
)  # fmt: skip
_HUGGING_FACE = ("config.json", "model.safetensors")


def is_gpt2_downloaded(model_dir: str = "models", model_name: str = "124M") -> bool:
    """Whether the model's files are in model_dir/model_name (OpenAI's or Hugging Face's)."""
    folder = Path(model_dir) / model_name
    return any(all((folder / f).is_file() for f in files) for files in (_OPENAI, _HUGGING_FACE))


def download_gpt2(model_dir: str = "models", model_name: str = "124M") -> None:
    """Fetch a GPT-2 into model_dir/model_name: resumed after a cut, every file's hash checked.

    Raises:
        ValueError: an unknown name; the known ones are listed.
    """
    if is_gpt2_downloaded(model_dir, model_name):
        return
    if model_name not in REPOSITORIES:
        raise ValueError(f"unknown model {model_name!r}; known: {', '.join(REPOSITORIES)}")
    from descent.hub import pull

    found, folder = pull(REPOSITORIES[model_name]), Path(model_dir) / model_name
    folder.mkdir(parents=True, exist_ok=True)
    for file in found.iterdir() if found.is_dir() else [found]:
        if file.is_file() and not (folder / file.name).exists():
            _link(file.resolve(), folder / file.name)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)  # one copy on the disk
    except OSError:
        shutil.copyfile(source, target)


def model_folder(model_dir: str, model_name: str) -> str:
    """Where the model lies, for `descent.hub.load`.

    Raises:
        FileNotFoundError: it is not there, with the call that fetches it.
    """
    folder = Path(model_dir) / model_name
    if not folder.is_dir():
        raise FileNotFoundError(
            f"there is no model in {folder}; gpt2.download_gpt2(model_dir={model_dir!r}, "
            f"model_name={model_name!r}) fetches it"
        )
    return str(folder)
