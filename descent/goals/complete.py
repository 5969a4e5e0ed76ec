"""`descent up complete`: a completer for code or text, from the files on this machine.

Data: any folder, file or glob of text. Code: the base model in the package, tuned (`from_base`).
Else, and with --scratch: a small GPT (or any other text model by name) that begins with nothing;
baseline: a count model of order 5 on the same tokens. The result is a run folder that serves;
running again goes on where it stopped, with more time when given.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import descent.random
from descent.data import Windows, fetch
from descent.generate import Sampling, complete
from descent.generate.sessions import ModelLanguage
from descent.goals.corpus import Corpus, TextBatches, load_corpus, make_corpus
from descent.goals.events import Compared, Ready, Said, Sampled
from descent.goals.folder import RunError, RunFolder, default_runs_folder
from descent.goals.from_base import base_for, up_from_base
from descent.goals.learning import (
    build_model,
    learn,
    make_settings,
    plan,
    reopen,
    start_over,
)
from descent.goals.loading import load_model
from descent.goals.model_types import model_type
from descent.goals.presets import TEXT_PRESETS, Preset, preset_of
from descent.models.ngram import NGram
from descent.train.loop import Finished, Training
from descent.train.metrics import bits_per_byte, evaluate

__all__ = ["CompleteOptions", "up"]

# What a GPT can make good use of in so many minutes on two cores: (at most, sizes, learning rate).
# Measured on the standard library: in one minute a 2-layer net sees enough to beat a 4-layer one.
GPT_SIZES = (
    (3.0, {"n_layer": 2, "n_head": 4, "n_embd": 128}, 4e-3),
    (20.0, {"n_layer": 4, "n_head": 5, "n_embd": 160}, 3e-3),
    (float("inf"), {"n_layer": 6, "n_head": 8, "n_embd": 256}, 2e-3),
)


@dataclass(frozen=True)
class CompleteOptions:
    """What to learn from, for how long, and which model. None: the default or the run's own."""

    data: str | None = None
    minutes: float | None = None
    steps: int | None = None
    name: str = "complete"
    runs: Path = field(default_factory=default_runs_folder)
    fresh: bool = False
    type: str | None = None
    preset: str | None = None
    vocab_size: int = 2048
    characters: bool = False
    max_bytes: int = 12_000_000
    infill: float = 0.0
    scratch: bool = False
    model: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    sample_every_s: float = 8.0


def up(options: CompleteOptions, should_stop: Callable[[], bool] = lambda: False) -> Iterator[Any]:
    """Do the whole job; yields events (see `goals.events` and `train.loop`), `Ready` last."""
    if (preset := preset_of(options.preset, TEXT_PRESETS)) is not None:
        options = _with_preset(options, preset)
    if base := base_for(options):
        yield from up_from_base(options, base, should_stop)
        return
    path, corpus = options.runs / options.name, None
    explicit = {**options.model, "type": options.type}
    run = None
    if not options.fresh:
        run = reopen(path, "complete", options.data, explicit, options.training)
    if run is not None and "data" in run.config and (path / "data.safetensors").is_file():
        corpus = load_corpus(run)
        yield Said(f"Going on with the run in {path}.")
    if run is None or corpus is None:
        run = start_over(path, {"goal": "complete", "source": options.data})
        for event in make_corpus(
            run,
            options.data,
            vocab_size=options.vocab_size,
            characters=options.characters,
            max_bytes=options.max_bytes,
            infill=options.infill,
        ):
            if isinstance(event, Corpus):
                corpus = event
            else:
                yield event
    assert corpus is not None
    yield from _baseline(run, corpus)
    training = yield from _prepare(run, corpus, options, should_stop)
    yield from _train(run, corpus, training, options)
    if run.weights.is_file():  # not when it was stopped before the first evaluation
        model, tokenizer = load_model(run)
        yield Ready(run, model, tokenizer)


def _with_preset(options: CompleteOptions, preset: Preset) -> CompleteOptions:
    """The options, filled up with what the preset says."""
    steps = preset.steps if options.minutes is None else None
    return replace(
        options,
        data=options.data if preset.data is None else options.data or str(fetch(preset.data)),
        steps=options.steps or steps,
        type=options.type or preset.type,
        characters=True,
        model={**preset.model, **options.model},
        training={**preset.training, **options.training},
    )


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
) -> Generator[Any, None, Training]:
    """Model, batches and settings: those of the run when it has them, else from the options."""
    if "model" not in run.config:
        name = options.type or "gpt"
        own_sizes, rate = _by_minutes(name, options.minutes or 1.0)
        kind, sizes = model_type(name, {**own_sizes, **options.model})
        longest = min(len(corpus.train), len(corpus.val)) - 1
        if longest < 8:
            raise RunError(
                f"the corpus has {len(corpus.train)} tokens to learn from and {len(corpus.val)} "
                "held out; a completer needs at least 9 of each: give it more text"
            )
        sizes["block_size"] = min(sizes.get("block_size", 64), longest)
        config = {"vocab_size": corpus.tokenizer.vocab_size, **sizes}
        settings = make_settings(
            {"batch_size": 8, "learning_rate": rate, "warmup_steps": 40, **options.training}
        )
        build_model(kind, config)  # sizes that do not fit are an error before they are written
        run.config["model"] = {
            "type": kind,
            "name": name,
            "config": config,
            "asked": options.model,
        }
        run.config["training"] = settings.to_dict()
    settings = make_settings(run.config["training"])
    descent.random.manual_seed(settings.seed)
    model = build_model(run.config["model"]["type"], run.config["model"]["config"])
    block, n = model.get_block_size(), settings.eval_batches
    training = Training(
        model,
        TextBatches(corpus.train, block, settings.batch_size, settings.seed),
        settings,
        run.path,
        train_eval=lambda: Windows(corpus.train, block).evaluation_batches(16, n),
        val_eval=lambda: Windows(corpus.val, block).evaluation_batches(16, 4 * n),
        should_stop=should_stop,
    )
    if latest := training.latest():
        training.resume(latest)
    compile = options.training.get("compile")
    yield from plan(run, training, options.steps, options.minutes, compile)
    return training


def _by_minutes(name: str, minutes: float) -> tuple[dict[str, Any], float]:
    """Sizes and learning rate the user did not ask for: for a GPT, by the time it has."""
    if name != "gpt":
        return {}, 2e-3
    sizes, rate = next((sizes, rate) for most, sizes, rate in GPT_SIZES if minutes <= most)
    return {"block_size": 128, "dropout": 0.0, **sizes}, rate


def _train(
    run: RunFolder, corpus: Corpus, training: Training, options: CompleteOptions
) -> Iterator[Any]:
    language = ModelLanguage(training.model, corpus.tokenizer.vocab_size)
    unit = bits_per_byte(1.0, len(corpus.val), corpus.val_bytes)

    def sample(step: int) -> Sampled:
        return _sample(run, corpus, language, step)

    for event in learn(run, training, sample, options.sample_every_s, unit):
        yield event
        if isinstance(event, Finished) and run.weights.is_file():
            yield _compare(run, corpus, event.step, unit)


def _compare(run: RunFolder, corpus: Corpus, step: int, unit: float) -> Compared:
    """The best weights on all held-out text (up to 4,096 windows), beside the counts."""
    model, _ = load_model(run)
    windows = Windows(corpus.val, model.get_block_size())
    nats = evaluate(model, windows.evaluation_batches(16, 4096))
    run.config["results"] = {
        "steps": step,
        "val_loss_nats": nats,
        "val_bits_per_byte": nats * unit,
    }
    run.save_config()
    base = run.config["baseline"]
    return Compared(base["name"], base["bits_per_byte"], nats * unit)


def _sample(run: RunFolder, corpus: Corpus, language: ModelLanguage, step: int) -> Sampled:
    """Let the model continue the prompt; its own generator, so training is not disturbed."""
    ids = corpus.tokenizer.encode(corpus.prompt)
    sampling = Sampling(max_tokens=40, temperature=0.6, seed=step)
    text = "".join(piece.text for piece in complete(language, corpus.tokenizer, ids, sampling))
    run.add_sample(step, corpus.prompt + text)
    return Sampled(step, corpus.prompt, text)
