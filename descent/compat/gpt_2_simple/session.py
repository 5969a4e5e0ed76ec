"""A session: the model that is loaded, and what generates from it. Any number may live at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from descent.compat.gpt_2_simple.models import model_folder
from descent.generate import Completer
from descent.generate.sessions import ModelLanguage
from descent.goals.folder import RunFolder
from descent.goals.pretrained import open_base

__all__ = ["Session", "ensure_loaded", "load_gpt2", "reset_session", "start_tf_sess"]


class Session:
    """Stands where a TensorFlow session stood; `loaded` says which model it holds."""

    def __init__(self) -> None:
        self.loaded: tuple[str, ...] | None = None
        self.completer: Completer | None = None

    def hold(self, loaded: tuple[str, ...], model: Any, tokenizer: Any) -> None:
        """Take a model up for generation."""
        end = tokenizer.special_tokens.get("<|endoftext|>")
        self.loaded = loaded
        self.completer = Completer(
            loaded[-1], 0, ModelLanguage(model, model.config.vocab_size), tokenizer,
            eos_ids=[] if end is None else [end],
        )  # fmt: skip

    def close(self) -> None:
        """Let the model go."""
        self.loaded = self.completer = None


def start_tf_sess(threads: int = -1, server: Any = None) -> Session:
    """A fresh session. `threads`: DESCENT_THREADS sets them before the start; `server`: unused."""
    return Session()


def reset_session(sess: Session, threads: int = -1, server: Any = None) -> Session:
    """Close the session and start another. Not needed between models."""
    sess.close()
    return Session()


def load_gpt2(
    sess: Session,
    checkpoint: str = "latest",
    run_name: str = "run1",
    checkpoint_dir: str = "checkpoint",
    model_name: str | None = None,
    model_dir: str = "models",
    multi_gpu: bool = False,
    reuse: bool = False,
) -> None:
    """Load a fine-tuned run, or with `model_name` a pretrained model as it is.

    `checkpoint`: "latest", or the path of a model in any known format.

    Raises:
        RunError: there is no such run, or it is damaged.
    """
    if model_name:
        base = open_base(model_folder(model_dir, model_name))
        sess.hold(("model", model_dir, model_name), base.model, base.tokenizer)
        return
    if checkpoint != "latest":
        base = open_base(checkpoint)
        sess.hold(("path", checkpoint), base.model, base.tokenizer)
        return
    base = open_base(RunFolder.open(Path(checkpoint_dir) / run_name).path)
    sess.hold(("run", checkpoint_dir, run_name), base.model, base.tokenizer)


def ensure_loaded(
    sess: Session, run_name: str, checkpoint_dir: str, model_name: str | None, model_dir: str
) -> Completer:
    """The completer of what is asked for; loaded only when the session holds something else."""
    wanted = ("model", model_dir, model_name) if model_name else ("run", checkpoint_dir, run_name)
    kept = sess.completer is not None and (not model_name or sess.loaded == wanted)
    if not kept:
        load_gpt2(
            sess, run_name=run_name, checkpoint_dir=checkpoint_dir, model_name=model_name,
            model_dir=model_dir,
        )  # fmt: skip
    assert sess.completer is not None
    return sess.completer
