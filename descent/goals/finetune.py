"""`descent finetune MODEL DATA`: a model from anywhere, trained on a user's text, to be served.

The result is a run folder like any other: the weights with the best held-out loss (adapters merged
in, and kept beside them in peft's layout), the data as token ids, checkpoints to go on from. Losses
and samples of before and after stand side by side at its end.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import descent.random
from descent import from_numpy
from descent.data.documents import Reading, pieces
from descent.data.errors import DataError
from descent.data.text import ReadReport
from descent.data.token_corpus import TokenCorpus, build_corpus, load_corpus, wrap_with
from descent.data.windows import DocumentBatches
from descent.goals.before_after import compare, measure, write_text
from descent.goals.events import Ready, Said, Sampled
from descent.goals.fitting import check_fits
from descent.goals.folder import RunError, RunFolder, default_runs_folder
from descent.goals.learning import learn, plan, start_over
from descent.goals.loading import load_model
from descent.goals.pretrained import Base, open_base
from descent.train.adapter_files import load_adapter, save_adapter
from descent.train.checkpoint import save_weights
from descent.train.estimate import Estimate
from descent.train.finetune import FinetuneSettings
from descent.train.four_bits import hold_in_four_bits
from descent.train.loop import Finished, Training
from descent.train.lora import adapt, adapters, default_targets, freeze_but_last, merged_state
from descent.train.metrics import bits_per_byte
from descent.train.recompute import checkpoint_blocks

__all__ = ["FinetuneOptions", "up"]

SAMPLE_PROMPT_TOKENS = 8
# May differ from one call to the next without changing what has been learned.
_FREE = {
    "steps", "minutes", "epochs", "compile", "sample_every", "sample_num", "keep", "save_every",
    "sample_tokens", "sample_prompt", "temperature", "checkpointing",
}  # fmt: skip
# What a further request may change: the steps it adds are made with the new values.
_NEW = {
    "learning_rate", "schedule", "warmup", "min_lr_ratio", "weight_decay", "clip", "patience",
    "eval_every", "eval_batches", "beta1", "beta2",
}  # fmt: skip


@dataclass(frozen=True)
class FinetuneOptions:
    """Which model, on what, how (see `FinetuneSettings`), and where the run goes."""

    model: str
    data: str | list[str] | None = None
    settings: FinetuneSettings = field(default_factory=FinetuneSettings)
    name: str | None = None
    runs: Path = field(default_factory=default_runs_folder)
    fresh: bool = False
    sample_every_s: float = 20.0

    @property
    def folder(self) -> Path:
        """The run folder: named, or after model and data."""
        if self.name:
            return self.runs / self.name
        data = self.data if isinstance(self.data, str) else (self.data or ["text"])[0]
        parts = [Path(self.model).name, Path(data).stem]
        return self.runs / re.sub(r"[^\w.\-]+", "-", "-".join(parts)).strip("-.")[:80]


def up(options: FinetuneOptions, should_stop: Callable[[], bool] = lambda: False) -> Iterator[Any]:
    """Do the whole job; yields events (see `goals.events` and `train.loop`), `Ready` last."""
    run = _reopen(options)
    base = open_base(run.config["base"]["source"] if run else options.model)
    if run is None:
        if options.data is None:
            raise RunError("what to train on? Name a file, a folder or a glob")
        about = {"name": base.name, "source": base.source, "fingerprint": base.fingerprint()}
        run = start_over(
            options.folder, {"goal": "finetune", "source": options.data, "base": about}
        )
        base.tokenizer.save(run.tokenizer)
        run.config["about"] = {k: v for k, v in base.about.items() if _plain(v)}
        corpus = yield from _make_corpus(run, base, options)
    else:
        if base.fingerprint() != run.config["base"]["fingerprint"]:
            raise RunError(
                f"{base.source} is not the model this run began with any more; use another --name, "
                "or --fresh"
            )
        yield Said(f"Going on with the run in {run.path}.")
        corpus = load_corpus(run.path)
    yield from _begin(run, base, corpus, options)
    training = yield from _prepare(run, base, corpus, options, should_stop)
    yield from _train(run, base, corpus, training, options)
    if run.weights.is_file():
        model, tokenizer = load_model(run)
        yield Ready(run, model, tokenizer)


def _plain(value: Any) -> bool:
    return isinstance(value, str | int | float | bool | list | type(None))


def _reopen(options: FinetuneOptions) -> RunFolder | None:
    """The run in the folder, to go on with; None when there is none yet.

    Raises:
        RunError: it is another goal's, or was begun with another model, data or settings.
    """
    path = options.folder
    if options.fresh or not (path / "config.json").is_file():
        return None
    run, advice = RunFolder.open(path), "use another --name, or --fresh to start over"
    if run.config.get("goal") != "finetune":
        raise RunError(f"{path} is a run of goal {run.config.get('goal')!r}; {advice}")
    if "finetune" not in run.config:
        return None  # it failed before its data was read
    if run.config["base"]["source"] != options.model:
        found = run.config["base"]["source"]
        raise RunError(f"{path} began with {found}, not with {options.model}; {advice}")
    if options.data is not None and run.config["source"] != options.data:
        raise RunError(
            f"{path} was trained on {run.config['source']}, not on {options.data}; {advice}"
        )
    before, now = run.config["finetune"], options.settings.to_dict()
    default = FinetuneSettings().to_dict()
    for name, value in now.items():
        if name in _FREE or value in (default[name], before[name]):
            continue
        if name not in _NEW:
            raise RunError(f"{path} has {name} {before[name]}, not {value}; {advice}")
        before[name] = value
        run.config.pop("request", None)  # not the plan that was under way
    return run


# -- data ------------------------------------------------------------------------------------------


def _make_corpus(
    run: RunFolder, base: Base, options: FinetuneOptions
) -> Generator[Any, None, TokenCorpus]:
    s, report = options.settings, ReadReport()
    end = s.end_token or base.end
    reading = Reading(s.column, s.header, s.field, end, s.pattern)
    wrap = wrap_with(base.tokenizer, s.start_token, end)
    assert options.data is not None
    corpus, said = None, 0
    for made in build_corpus(
        run.path, pieces(options.data, reading, report), base.tokenizer, base.vocab_size, wrap,
        val_fraction=s.val_fraction, seed=s.seed, pad=wrap.end[0] if wrap.end else 0,
    ):  # fmt: skip
        if isinstance(made, TokenCorpus):
            corpus = made
        elif made - said > 5_000_000:
            said = made
            yield Said(f"{made:,} tokens so far …")
    if not report.n_read or corpus is None:
        raise DataError(f"nothing to learn from in {options.data}: {report}")
    yield Said(f"Read {options.data}: {report}.")
    held = f"{len(corpus.val):,} held out" if corpus.has_val else "nothing held out"
    n = len(corpus.train.spans)
    yield Said(
        f"{len(corpus.train):,} tokens to learn from in {n:,} document{'s' * (n != 1)}, {held}."
    )
    run.config["data"] = {"documents": n, "val_bytes": corpus.val_bytes}
    return corpus


def _begin(
    run: RunFolder, base: Base, corpus: TokenCorpus, options: FinetuneOptions
) -> Iterator[Said]:
    """Write down what decides the run; nothing of it changes when it goes on."""
    if "finetune" in run.config:
        return
    s = options.settings
    context = base.model.get_block_size()
    block = min(s.block_size or min(context, 256), context)
    longest = int(corpus.train.lengths.max()) if corpus.apart else len(corpus.train)
    if longest <= block:
        block = max(longest - 1, 1)
        yield Said(
            f"The text is shorter than a window: windows of {block} tokens, read again and again."
        )
    ids = corpus.train if not corpus.has_val else corpus.val
    few = ids.take(np.arange(min(SAMPLE_PROMPT_TOKENS, max(len(ids) // 2, 1))))
    prompt = s.sample_prompt or base.tokenizer.decode([int(i) for i in few])
    run.config["data"] |= {"prompt": prompt, "block_size": block}
    run.config["model"] = {"type": base.kind, "name": base.name, "config": base.config}
    run.config["finetune"] = s.to_dict()
    run.save_config()


# -- training --------------------------------------------------------------------------------------


def _shape(
    run: RunFolder, model: Any, base: Base, s: FinetuneSettings
) -> Generator[Said, None, None]:
    """Freeze, adapt and save memory as the settings say; what learns is said."""
    targets = s.lora_targets or (default_targets(base.kind) if s.adapts else ())
    if "checkpointing" not in run.config:
        for said in check_fits(model, s, targets, run.config["data"]["block_size"]):
            if isinstance(said, Estimate):
                run.config["checkpointing"] = said.checkpointing
            else:
                yield said
        run.save_config()
    if s.method == "last":
        freeze_but_last(model, s.last_layers)
    elif s.adapts:
        adapt(model, targets, r=s.lora_r, alpha=s.lora_alpha, dropout=s.lora_dropout)
    whole = sum(p.numel() for p in model.parameters())
    if s.method == "qlora":
        held = hold_in_four_bits(model)
        yield Said(f"The blocks' weights are held in {held / 1e6:.1f} MB, 4.5 bits a number.")
    if run.config["checkpointing"]:
        checkpoint_blocks(model)
    learn = sum(p.numel() for p in model.parameters() if p.requires_grad)
    yield Said(f"{learn:,} of {whole:,} parameters learn ({s.method}).")


def _prepare(
    run: RunFolder, base: Base, corpus: TokenCorpus, options: FinetuneOptions,
    should_stop: Callable[[], bool],
) -> Generator[Any, None, Training]:  # fmt: skip
    """The model with its adapters, batches and settings, taken up from the last checkpoint."""
    s = FinetuneSettings.from_dict(run.config["finetune"])
    now = options.settings
    descent.random.manual_seed(s.seed)
    model, block = base.model, run.config["data"]["block_size"]
    if "before" not in run.config:
        run.config["before"] = measure(run, model, base.tokenizer, corpus, s, block)
        run.save_config()
    try:
        yield from _shape(run, model, base, s)
    except ValueError as error:
        raise RunError(str(error)) from None
    held = corpus if corpus.has_val else None
    train = corpus.windows(block)
    val = corpus.windows(block, held_out=held is not None)
    steps = _steps(now, corpus, block)
    training = Training(
        model,
        DocumentBatches(train, s.batch_size, s.seed),
        s.training(steps or 1000, s.rate(base.learning_rate)),
        run.path,
        train_eval=lambda: train.evaluation_batches(s.batch_size, s.eval_batches),
        val_eval=lambda: val.evaluation_batches(s.batch_size, 2 * s.eval_batches),
        should_stop=should_stop,
        write_best=_writer(run, base, model, s) if s.adapts else None,
    )
    if latest := training.latest():
        training.resume(latest)
    op_by_op = s.method == "qlora" or run.config["checkpointing"]  # see their files
    yield from plan(
        run, training, steps, None if steps else now.minutes, False if op_by_op else now.compile,
        s.eval_every, now.save_every,
    )  # fmt: skip
    return training


def _writer(run: RunFolder, base: Base, model: Any, s: FinetuneSettings) -> Callable[[], None]:
    def write() -> None:
        save_adapter(run.path / "adapter", model, base.kind, base.source, s.lora_dropout)

    return write


def _steps(s: FinetuneSettings, corpus: TokenCorpus, block: int) -> int | None:
    """How many steps were asked for; None when it was minutes."""
    if s.steps is not None:
        return s.steps
    if s.minutes is not None:
        return None
    per_step = s.batch_size * s.accumulate * block
    epoch = max(1, -(-len(corpus.train) // per_step))
    return max(1, round(s.epochs * epoch)) if s.epochs else min(max(epoch, 100), 1000)


def _train(
    run: RunFolder, base: Base, corpus: TokenCorpus, training: Training, options: FinetuneOptions
) -> Iterator[Any]:
    s, block = options.settings, run.config["data"]["block_size"]
    unit = bits_per_byte(1.0, len(corpus.val), corpus.val_bytes) if corpus.has_val else None

    def sample(step: int) -> Sampled:
        prompt = run.config["data"]["prompt"]
        text = write_text(training.model, base.tokenizer, prompt, s, seed=step)
        run.add_sample(step, prompt + text)
        return Sampled(step, prompt, text)

    for event in learn(run, training, sample, options.sample_every_s, unit, s.sample_every):
        yield event
        if isinstance(event, Finished):
            if s.adapts:
                _merge(run, training)
            if run.weights.is_file() and event.reason != "stopped":
                yield compare(run, corpus, event.step, s, block, unit)


def _merge(run: RunFolder, training: Training) -> None:
    """Write the whole model with its best adapter merged in; the live model keeps its newest."""
    folder = run.path / "adapter"
    if not (folder / "adapter_model.safetensors").is_file():
        return
    newest = [(a.lora_A.array.copy(), a.lora_B.array.copy()) for _, a in adapters(training.model)]
    load_adapter(folder, training.model)
    _save_merged(run, training.model)
    for (_, layer), (a, b) in zip(adapters(training.model), newest):
        layer.lora_A.array[...], layer.lora_B.array[...] = a, b


def _save_merged(run: RunFolder, model: Any) -> None:
    from types import SimpleNamespace

    plain = {name: from_numpy(a) for name, a in merged_state(model).items()}
    save_weights(run.weights, SimpleNamespace(state_dict=lambda: plain))
