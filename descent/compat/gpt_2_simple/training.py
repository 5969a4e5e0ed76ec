"""`finetune` with gpt-2-simple's parameters, on `descent.goals.finetune`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from descent.compat.gpt_2_simple.models import model_folder
from descent.compat.gpt_2_simple.session import Session
from descent.goals.events import Ready, Said, Sampled, SideBySide
from descent.goals.finetune import FinetuneOptions, up
from descent.goals.folder import RunError
from descent.train.finetune import FinetuneSettings
from descent.train.loop import Evaluated, Stepped

__all__ = ["finetune"]

FOR_EVER = 1_000_000_000
_FORGET = 0.99  # of the average that is printed


def finetune(
    sess: Session,
    dataset: str,
    steps: int = -1,
    model_name: str = "124M",
    model_dir: str = "models",
    combine: int = 50000,
    batch_size: int = 1,
    learning_rate: float = 0.0001,
    accumulate_gradients: int = 5,
    restore_from: str = "latest",
    run_name: str = "run1",
    checkpoint_dir: str = "checkpoint",
    sample_every: int = 100,
    sample_length: int = 1023,
    sample_num: int = 1,
    multi_gpu: bool = False,
    save_every: int = 1000,
    print_every: int = 1,
    max_checkpoints: int = 1,
    use_memory_saving_gradients: bool = False,
    only_train_transformer_layers: bool = False,
    optimizer: str = "adam",
    overwrite: bool = False,
    reuse: bool = False,
    **more: Any,
) -> None:
    """Train a GPT-2 on a text, folder, CSV or .npz; Ctrl-C saves. The session then holds it.

    Args:
        steps: how many more; −1: until interrupted.
        accumulate_gradients: batches per step, averaged (gpt-2-simple adds them up).
        restore_from: "latest" goes on with the run, "fresh" begins again, a path begins from that
            model. `overwrite`, `combine`, `multi_gpu`, `reuse` are accepted and need nothing done.
        use_memory_saving_gradients: compute blocks again instead of keeping what they computed.
        only_train_transformer_layers: the embeddings stay as they are.
        more: any field of `descent.train.finetune.FinetuneSettings` (method="lora", say).

    Raises:
        RunError, DataError, ValueError: what was wrong, and what would be right.
    """
    if optimizer not in ("adam", "sgd"):
        raise ValueError(f"optimizer must be 'adam' or 'sgd': got {optimizer!r}")
    if restore_from not in ("latest", "fresh") and not Path(restore_from).exists():
        raise ValueError(f"restore_from: 'latest', 'fresh' or a model's path; got {restore_from!r}")
    endless = steps <= 0
    settings = {
        "method": "last" if only_train_transformer_layers else "full",
        "last_layers": 10_000 if only_train_transformer_layers else 2,
        "steps": FOR_EVER if endless else steps, "batch_size": batch_size,
        "learning_rate": learning_rate, "accumulate": accumulate_gradients, "block_size": 1024,
        "optimizer": "adamw" if optimizer == "adam" else "sgd", "sample_every": sample_every,
        "sample_tokens": sample_length, "sample_num": sample_num, "save_every": save_every,
        "keep": max_checkpoints, "checkpointing": use_memory_saving_gradients or None,
        **({"schedule": "constant", "warmup": 0.0, "eval_every": save_every} if endless else {}),
        **more,
    }  # fmt: skip
    path = Path(checkpoint_dir) / run_name
    model = _begin_with(path, restore_from, model_dir, model_name)
    options = FinetuneOptions(
        model, dataset, FinetuneSettings.from_dict(settings), run_name, Path(checkpoint_dir),
        fresh=restore_from != "latest",
    )  # fmt: skip
    ready = _watch(options, run_name, sample_every, print_every)
    if ready is None:
        raise RunError("stopped before the first evaluation; call finetune again to go on")
    sess.hold(("run", checkpoint_dir, run_name), ready.model, ready.tokenizer)


def _begin_with(path: Path, restore_from: str, model_dir: str, model_name: str) -> str:
    if restore_from not in ("latest", "fresh"):
        return restore_from
    if restore_from == "latest" and (path / "config.json").is_file():
        from descent.goals.folder import RunFolder

        found = RunFolder.open(path).config.get("base", {}).get("source")
        if found:
            return found
    return model_folder(model_dir, model_name)


def _watch(
    options: FinetuneOptions, run_name: str, sample_every: int, print_every: int
) -> Ready | None:
    """Run, printing what gpt-2-simple prints, samples also to samples/RUN/samples-STEP."""
    began, average, ready, stop = time.time(), (0.0, 0.0), None, _Interrupt()
    with stop:
        for event in _events(options, stop):
            if isinstance(event, Stepped):
                average = (average[0] * _FORGET + event.loss, average[1] * _FORGET + 1.0)
                if event.step % print_every == 0:
                    print(
                        f"[{event.step} | {time.time() - began:2.2f}] loss={event.loss:2.2f} "
                        f"avg={average[0] / average[1]:2.2f}"
                    )
            elif isinstance(event, Sampled):
                text = f"======== SAMPLE 1 ========\n{event.prompt}{event.text}\n"
                print(text)
                folder = Path("samples") / run_name
                folder.mkdir(parents=True, exist_ok=True)
                (folder / f"samples-{event.step}").write_text(text, encoding="utf-8")
            elif isinstance(event, Evaluated):
                print(f"[{event.step}] held-out loss={event.val_loss:2.2f}")
            elif isinstance(event, SideBySide):
                print(f"Held-out loss before {event.loss_before:.3f}, after {event.loss_after:.3f}")
            elif isinstance(event, Said):
                print(event.text)
            elif isinstance(event, Ready):
                ready = event
    return ready


def _events(options: FinetuneOptions, stop: _Interrupt) -> Iterator[Any]:
    return up(options, should_stop=lambda: stop.asked)


class _Interrupt:
    """Ctrl-C asks training to save and stop; a second one ends at once."""

    def __init__(self) -> None:
        self.asked = False

    def __enter__(self) -> _Interrupt:
        import signal
        import threading

        self._before = None
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(self, *exc: object) -> None:
        import signal

        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _handle(self, sig: int, frame: Any) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        print("Saving and stopping …")
