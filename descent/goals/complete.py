"""`descent up complete`: a completer for code or text, from the files on this machine.

Data: the Python standard library, or any folder, file or glob. Model: a small GPT (or any other
text model by name). Baseline: a count model of order 5 on the same tokens. The result is a run
folder that serves; running again goes on where it stopped, with more time when given.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

import descent.random
from descent import from_numpy
from descent.data import Windows
from descent.generate import Sampling, complete
from descent.generate.sessions import ModelLanguage
from descent.goals.corpus import Corpus, TextBatches, load_corpus, make_corpus
from descent.goals.events import Compared, Planned, Ready, Said, Sampled
from descent.goals.folder import RunError, RunFolder, default_runs_folder
from descent.goals.loading import load_model
from descent.models.building import build
from descent.models.ngram import NGram
from descent.train.loop import Finished, Stepped, Training
from descent.train.metrics import bits_per_byte
from descent.train.settings import TrainSettings

__all__ = ["CompleteOptions", "up"]

MODEL = {"block_size": 128, "n_layer": 4, "n_head": 4, "n_embd": 160, "dropout": 0.0}


@dataclass(frozen=True)
class CompleteOptions:
    """What to learn from, for how long, and which model. None: the default or the run's own."""

    data: str | None = None
    minutes: float | None = None
    steps: int | None = None
    name: str = "complete"
    runs: Path = field(default_factory=default_runs_folder)
    fresh: bool = False
    type: str = "gpt"
    vocab_size: int = 2048
    characters: bool = False
    max_bytes: int = 12_000_000
    model: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    sample_every_s: float = 8.0


def up(
    options: CompleteOptions, should_stop: Callable[[], bool] = lambda: False
) -> Iterator[Any]:
    """Do the whole job; yields events (see `goals.events` and `train.loop`), `Ready` last."""
    run, corpus = None, None
    path = options.runs / options.name
    if (path / "config.json").is_file() and not options.fresh:
        run = RunFolder.open(path)
        _check_same(run, options)
        if (path / "data.safetensors").is_file() and "data" in run.config:
            corpus = load_corpus(run)
            yield Said(f"Going on with the run in {path}.")
    if run is None or corpus is None:
        run = RunFolder.create(path, {"goal": "complete", "source": options.data})
        _remove_old(run)
        for event in make_corpus(
            run,
            options.data,
            vocab_size=options.vocab_size,
            characters=options.characters,
            max_bytes=options.max_bytes,
        ):
            if isinstance(event, Corpus):
                corpus = event
            else:
                yield event
    assert corpus is not None
    yield from _baseline(run, corpus)
    training = _prepare(run, corpus, options, should_stop)
    yield from _train(run, corpus, training, options)
    model, tokenizer = load_model(run)
    yield Ready(run, model, tokenizer)


def _check_same(run: RunFolder, options: CompleteOptions) -> None:
    if run.config.get("goal") != "complete":
        raise RunError(
            f"{run.path} is a run of goal {run.config.get('goal')!r}; choose another --name"
        )
    if options.data is not None and run.config.get("source") != options.data:
        raise RunError(
            f"{run.path} was trained on {run.config.get('source') or 'the standard library'}, not "
            f"on {options.data}; use another --name, or --fresh to start over"
        )


def _remove_old(run: RunFolder) -> None:
    for pattern in ("model.safetensors", "metrics.jsonl", "samples.txt", "checkpoints/step-*"):
        for old in run.path.glob(pattern):
            old.unlink()


def _baseline(run: RunFolder, corpus: Corpus) -> Iterator[Said]:
    """Count model on the same tokens; measured once and kept in the config."""
    if "baseline" in run.config:
        return
    began = time.perf_counter()
    order = 5
    counts = NGram(order=order, vocab_size=corpus.tokenizer.vocab_size, smoothing="interpolated")
    counts.fit([corpus.train])
    nats = counts.loss([corpus.val])
    bits = bits_per_byte(nats, len(corpus.val), corpus.val_bytes)
    run.config["baseline"] = {"name": f"{order}-gram counts", "bits_per_byte": bits}
    run.save_config()
    yield Said(
        f"Baseline: {order}-gram counts need {bits:.3f} bits per byte of held-out text "
        f"({time.perf_counter() - began:.1f} s)."
    )


def _prepare(
    run: RunFolder, corpus: Corpus, options: CompleteOptions, should_stop: Callable[[], bool]
) -> Training:
    """Model, batches and settings: those of the run when it has them, else from the options."""
    if "model" not in run.config:
        sizes = {**(MODEL if options.type == "gpt" else {}), **options.model}
        longest = min(len(corpus.train), len(corpus.val)) - 1
        if longest < 8:
            raise RunError(
                f"the corpus has {len(corpus.train)} tokens to learn from and {len(corpus.val)} "
                "held out; a completer needs at least 9 of each: give it more text"
            )
        wanted = sizes.get("block_size", 64)
        sizes["block_size"] = min(wanted, longest)
        config = {"vocab_size": corpus.tokenizer.vocab_size, **sizes}
        run.config["model"] = {"type": options.type, "config": config}
        run.config["training"] = TrainSettings(
            **{"batch_size": 12, "learning_rate": 2e-3, "warmup_steps": 40, **options.training}
        ).to_dict()
    settings = TrainSettings.from_dict(run.config["training"])
    descent.random.manual_seed(settings.seed)
    model = build(run.config["model"]["type"], run.config["model"]["config"])
    block = model.get_block_size()
    batches = TextBatches(corpus.train, block, settings.batch_size, settings.seed)
    n = settings.eval_batches
    training = Training(
        model,
        batches,
        settings,
        run.path,
        train_eval=lambda: Windows(corpus.train, block).evaluation_batches(16, 4 * n),
        val_eval=lambda: Windows(corpus.val, block).evaluation_batches(16, 16 * n),
        should_stop=should_stop,
    )
    if latest := training.latest():
        training.resume(latest)
    _plan(run, training, options)
    return training


def _plan(run: RunFolder, training: Training, options: CompleteOptions) -> None:
    """How far to go: to the steps asked for, or as far as the minutes last.

    An interrupted run without a new request finishes its own plan, so it ends as it would have.
    """
    planned = run.config.get("planned_steps", 0)
    asked = options.steps is not None or options.minutes is not None
    if training.step < planned and not asked:
        target = planned
    elif options.steps is not None:
        target = options.steps if training.step == 0 else training.step + options.steps
    else:
        seconds = 60.0 * (options.minutes if options.minutes is not None else 1.0)
        target = training.step + max(20, int(seconds / _seconds_per_step(training)))
    if target != planned:
        training.first_step = training.step
    elif training.step == 0:
        training.first_step = 0
    span = target - training.first_step
    every = max(10, span // 8)
    training.settings = replace(
        training.settings, max_steps=target, eval_every=every, save_every=every
    )
    run.config["planned_steps"] = target
    run.config["training"] = training.settings.to_dict()
    run.save_config()


def _seconds_per_step(training: Training) -> float:
    """Time a few forward and backward passes; the weights are not touched."""
    windows = training.batches.windows  # type: ignore[attr-defined]
    starts = np.linspace(0, len(windows) - 1, training.settings.batch_size).astype(np.int64)
    x, y = windows.batch(starts)
    generator_state = descent.random.get_rng_state()
    times = []
    for _ in range(6):
        began = time.perf_counter()
        _, loss = training.model(from_numpy(x), from_numpy(y))
        loss.backward()
        times.append(time.perf_counter() - began)
        training.optimizer.zero_grad()
    descent.random.set_rng_state(generator_state)
    return float(np.median(times[2:])) * 1.25  # the optimiser, evaluations and samples


def _train(
    run: RunFolder, corpus: Corpus, training: Training, options: CompleteOptions
) -> Iterator[Any]:
    s = training.settings
    unit = bits_per_byte(1.0, len(corpus.val), corpus.val_bytes)
    parameters = sum(p.numel() for p in training.model.parameters())
    yield Planned(training.step, s.max_steps, None, parameters, unit)
    language = ModelLanguage(training.model, corpus.tokenizer.vocab_size)
    last_sample = time.perf_counter()
    for event in training.run():
        yield event
        if isinstance(event, Stepped):
            if time.perf_counter() - last_sample > options.sample_every_s:
                yield _sample(run, corpus, training, language, event.step)
                last_sample = time.perf_counter()
        if isinstance(event, Finished) and np.isfinite(event.best_val_loss):
            bits = bits_per_byte(event.best_val_loss, len(corpus.val), corpus.val_bytes)
            run.config["results"] = {
                "steps": event.step,
                "val_loss_nats": event.best_val_loss,
                "val_bits_per_byte": bits,
            }
            run.save_config()
            base = run.config["baseline"]
            yield Compared(base["name"], base["bits_per_byte"], bits)


def _sample(
    run: RunFolder, corpus: Corpus, training: Training, language: ModelLanguage, step: int
) -> Sampled:
    """Let the model continue the prompt; its own generator, so training is not disturbed."""
    training.model.eval()
    try:
        ids = corpus.tokenizer.encode(corpus.prompt)
        sampling = Sampling(max_tokens=40, temperature=0.6, seed=step)
        steps = complete(language, corpus.tokenizer, ids, sampling)
        text = "".join(piece.text for piece in steps)
    finally:
        training.model.train()
    run.add_sample(step, corpus.prompt + text)
    return Sampled(step, corpus.prompt, text)
