"""`descent up names`: a generator of names, or of anything that comes one per line.

Data: names.txt by verified download, or a file of the user's. Model: any of makemore's types.
Baselines: counts of order 2 to 5 on the same split, in the same unit (nats per character). After
training, samples are sorted into those found in the training part, in the held-out parts, and new
ones, as makemore does. References: karpathy/makemore; lectures 2–6 of "Zero to Hero".
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import descent.random
from descent.generate import Sampling, complete
from descent.generate.sessions import ModelLanguage
from descent.goals.events import ItemsSampled, LossTable, Ready, Said, Sampled
from descent.goals.folder import RunError, RunFolder, default_runs_folder
from descent.goals.items import ItemBatches, Items, in_batches, load_items, make_items
from descent.goals.learning import build_model, learn, make_settings, plan, reopen, start_over
from descent.goals.loading import load_model
from descent.goals.model_types import model_type
from descent.goals.presets import NAMES_PRESETS, Preset, preset_of
from descent.models.ngram import NGram
from descent.train.loop import Finished, Training
from descent.train.metrics import evaluate

__all__ = ["NamesOptions", "up"]

COUNTS = ((2, 0.3), (3, 0.1), (4, 0.1), (5, 0.1))  # order, k of add-k
TRAINING = {
    "batch_size": 32, "learning_rate": 5e-4, "weight_decay": 0.01, "beta2": 0.99, "seed": 3407,
}  # fmt: skip


@dataclass(frozen=True)
class NamesOptions:
    """What to learn from, for how long, and which model. None: the default or the run's own."""

    data: str | None = None
    minutes: float | None = None
    steps: int | None = None
    name: str = "names"
    runs: Path = field(default_factory=default_runs_folder)
    fresh: bool = False
    type: str | None = None
    preset: str | None = None
    model: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    top_k: int = 0
    samples: int = 20
    sample_only: bool = False
    sample_every_s: float = 8.0


def up(options: NamesOptions, should_stop: Callable[[], bool] = lambda: False) -> Iterator[Any]:
    """Do the whole job; yields events (see `goals.events` and `train.loop`), `Ready` last."""
    preset = preset_of(options.preset, NAMES_PRESETS)
    path = options.runs / options.name
    if options.sample_only:
        run = RunFolder.open(path)
        model, tokenizer = load_model(run)
        step = run.config.get("results", {}).get("steps", 0)
        yield _report(run, load_items(run), model, options, step)
        return
    run = None if options.fresh else _reopen(path, options, preset)
    if run is not None and "data" in run.config:
        items = load_items(run)
        yield Said(f"Going on with the run in {path}.")
    else:
        run = start_over(path, {"goal": "names", "source": options.data})
        items = make_items(run, options.data)
        yield _about(items, options.data)
    yield from _baselines(run, items)
    training = yield from _prepare(run, items, options, preset, should_stop)
    reason = ""
    for event in learn(
        run, training, lambda step: _few(run, items, training, options, step),
        options.sample_every_s, None,
    ):  # fmt: skip
        yield event
        reason = event.reason if isinstance(event, Finished) else reason
    if run.weights.is_file():  # not when it was stopped before the first evaluation
        model, tokenizer = load_model(run)
        run.config["results"] = {"steps": training.step}
        if reason != "stopped":
            yield _table(run, items, model, training.step)
            yield _report(run, items, model, options, training.step)
        run.save_config()
        yield Ready(run, model, tokenizer)


def _reopen(path: Path, options: NamesOptions, preset: Preset | None) -> RunFolder | None:
    sizes = {**(preset.model if preset else {}), **options.model}
    wanted = options.type or (preset.type if preset else None)
    recipe = {**(preset.training if preset else {}), **options.training}
    return reopen(path, "names", options.data, {**sizes, "type": wanted}, recipe)


def _about(items: Items, data: str | None) -> Said:
    n = [len(part) for part in (items.train, items.dev, items.test)]
    return Said(
        f"Read {data or 'names.txt'}: {sum(n):,} items of at most {items.longest} characters, "
        f"{items.tokenizer.vocab_size - 1} different ones. {n[0]:,} to learn from, {n[1]:,} for "
        f"development, {n[2]:,} for the test."
    )


def _baselines(run: RunFolder, items: Items) -> Iterator[Said]:
    """Count models on the same split; measured once and kept in the config."""
    if "baselines" in run.config:
        return
    train, dev, test = map(items.sequences, (items.train, items.dev, items.test))
    size = items.tokenizer.vocab_size
    models = [(f"{n}-gram counts", NGram(n, size, k)) for n, k in COUNTS]
    models.append(("5-gram, interpolated", NGram(5, size, smoothing="interpolated")))
    rows = []
    for name, counts in models:
        counts.fit(train)
        rows.append([name, counts.loss(train), counts.loss(dev), counts.loss(test)])
    run.config["baselines"] = rows
    run.save_config()
    losses = ", ".join(f"{row[0]} {row[2]:.4f}" for row in rows)
    yield Said(f"Baselines, nats per character of the development part: {losses}.")


def _prepare(
    run: RunFolder, items: Items, options: NamesOptions, preset: Preset | None,
    should_stop: Callable[[], bool],
) -> Generator[Any, None, Training]:  # fmt: skip
    """Model, batches and settings: those of the run when it has them, else from the options."""
    if "model" not in run.config:
        _choose(run, items, options, preset)
    about = run.config["model"]
    settings = make_settings(run.config["training"])
    descent.random.manual_seed(settings.seed)
    model = build_model(about["type"], about["config"])
    x, y = items.rows(items.train)
    some = np.linspace(0, len(x) - 1, min(len(x), 2000)).astype(np.int64)
    dev = items.rows(items.dev)
    examples = items.windows(items.train, model.get_block_size()) if about["windows"] else (x, y)
    may_pad = not about["config"].get("batch_norm")  # its statistics would count the padding
    training = Training(
        model,
        ItemBatches(*examples, settings.batch_size, settings.seed, may_pad=may_pad),
        settings,
        run.path,
        train_eval=lambda: in_batches(x[some], y[some]),
        val_eval=lambda: in_batches(*dev),
        should_stop=should_stop,
    )
    if latest := training.latest():
        training.resume(latest)
    steps = options.steps
    if preset is not None and steps is None and options.minutes is None:
        steps = preset.steps
    yield from plan(run, training, steps, options.minutes, options.training.get("compile"))
    return training


def _choose(run: RunFolder, items: Items, options: NamesOptions, preset: Preset | None) -> None:
    """Decide on model and settings, and write them down."""
    name = options.type or (preset.type if preset else "transformer")
    kind, sizes = model_type(name, {**(preset.model if preset else {}), **options.model})
    if kind not in ("nplm", "wavenet"):  # the others read whole items
        needed = items.longest + 1
        if sizes.setdefault("block_size", needed) < needed:
            raise RunError(
                f"block_size={sizes['block_size']} is too short for {name}: the longest item has "
                f"{items.longest} characters and needs {needed}"
            )
    elif name == "mlp":
        sizes.setdefault("block_size", items.longest + 1)
    config = {"vocab_size": items.tokenizer.vocab_size, **sizes}
    settings = make_settings(
        {**TRAINING, **(preset.training if preset else {}), **options.training}
    )
    build_model(kind, config)  # sizes that do not fit are an error before they are written
    run.config["model"] = {
        "type": kind, "name": name, "config": config, "windows": bool(preset and preset.windows),
    }  # fmt: skip
    run.config["training"] = settings.to_dict()


def _table(run: RunFolder, items: Items, model: Any, step: int) -> LossTable:
    """The best weights on every part, below the counts; kept as the run's results."""
    parts = (items.train, items.dev, items.test)
    train, dev, test = (evaluate(model, in_batches(*items.rows(part))) for part in parts)
    run.config["results"] = {
        "steps": step, "train_loss": train, "dev_loss": dev, "test_loss": test,
    }  # fmt: skip
    run.save_config()
    parameters = sum(p.numel() for p in model.parameters())
    mine = (f"{run.config['model']['name']}, {parameters:,} parameters", train, dev, test)
    counts = [(n, a, b, c) for n, a, b, c in run.config["baselines"]]
    return LossTable("nats per character", (*counts, mine))


def _write(items: Items, model: Any, options: NamesOptions, count: int, seed: int) -> Iterator[str]:
    """`count` items the model makes up."""
    language = ModelLanguage(model, items.tokenizer.vocab_size)
    for i in range(count):
        sampling = Sampling(
            max_tokens=items.longest + 1, top_k=max(options.top_k, 0), seed=1000 * seed + i
        )
        steps = complete(language, items.tokenizer, [0], sampling, eos_ids={0}, special={0: ""})
        yield "".join(piece.text for piece in steps)


def _few(
    run: RunFolder, items: Items, training: Training, options: NamesOptions, step: int
) -> Sampled:
    text = ", ".join(_write(items, training.model, options, 8, step))
    run.add_sample(step, text)
    return Sampled(step, "", text)


def _report(
    run: RunFolder, items: Items, model: Any, options: NamesOptions, step: int
) -> ItemsSampled:
    """makemore's report: which samples are in the training part, in the held-out ones, new."""
    train, held = set(items.train), {*items.dev, *items.test}
    lists: tuple[list[str], list[str], list[str]] = ([], [], [])
    for text in _write(items, model, options, options.samples, step):
        lists[0 if text in train else 1 if text in held else 2].append(text)
    run.add_sample(step, "\n".join(f"in {k}: {', '.join(v)}" for k, v in zip(_KINDS, lists)))
    return ItemsSampled(step, *map(tuple, lists))


_KINDS = ("train", "test", "neither (new)")
