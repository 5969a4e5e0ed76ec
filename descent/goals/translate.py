"""`descent up translate`: a translator from sentence pairs, the 2017 Transformer.

Data: pairs (see `data.pairs`); one byte-level BPE vocabulary for both languages. Baseline: every
word replaced by its likeliest translation (IBM Model 1), on the same test pairs. After training,
both are compared by BLEU. The run folder holds the pairs, so that a resumed run sees the same ones.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import descent.random
from descent.data.errors import DataError
from descent.data.files import write_atomically
from descent.data.pair_batches import PairBatches
from descent.data.pairs import Pair, hold_out, read_pairs
from descent.data.tokenizers.bpe import ByteBPE
from descent.data.tokenizers.loading import load_tokenizer
from descent.data.tokenizers.splits import GPT4_SPLIT_PATTERN
from descent.generate.translating import translate
from descent.goals.events import Ready, Said, Sampled
from descent.goals.folder import RunError, RunFolder, default_runs_folder
from descent.goals.learning import learn, make_settings, plan, reopen, start_over
from descent.models.ibm1 import IBM1
from descent.models.transformer import Transformer, TransformerConfig
from descent.nn import init
from descent.train.bleu import bleu
from descent.train.checkpoint import CheckpointError, load_weights
from descent.train.loop import Finished, Training

__all__ = ["TranslateOptions", "Translator", "load_translator", "up"]

PAD, START, END = "<|pad|>", "<|start|>", "<|end|>"
PARTS = ("train", "valid", "test")
SIZES = {"n_layer": 3, "n_head": 4, "n_embd": 256, "n_hidden": 512, "block_size": 64}
TRAINING = {
    "schedule": "inverse_sqrt", "learning_rate": 1e-3, "warmup_steps": 1000, "beta1": 0.9,
    "beta2": 0.98, "weight_decay": 0.0, "clip": 1.0, "seed": 1337,
}  # fmt: skip


@dataclass(frozen=True)
class TranslateOptions:
    """What to learn from, and for how long. `data`, `valid`, `test`: pairs, see `data.pairs`."""

    data: str | None = None
    valid: str | None = None
    test: str | None = None
    minutes: float | None = None
    steps: int | None = None
    name: str = "translate"
    runs: Path = field(default_factory=default_runs_folder)
    fresh: bool = False
    vocab_size: int = 4096
    batch_tokens: int = 1536
    model: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    beam: int = 4
    alpha: float = 0.6
    every: int | None = None  # steps between evaluations; None: eight in all
    sample_every_s: float = 20.0


class Translator:
    """A trained model with its tokenizer: `translator(["A man sleeps."]) -> ["Ein Mann …"]`."""

    def __init__(self, model: Transformer, tokenizer: Any, beam: int = 4, alpha: float = 0.6):
        self.model, self.tokenizer, self.beam, self.alpha = model, tokenizer, beam, alpha

    def __call__(self, sentences: Sequence[str]) -> list[str]:
        """Translations; a sentence longer than the model reads is a ValueError that says so."""
        ids = [self.tokenizer.encode(s, "none") for s in sentences]
        found = translate(self.model, ids, beam=self.beam, alpha=self.alpha)
        return [self.tokenizer.decode(h.ids, skip_special=True) for h in found]


def up(options: TranslateOptions, should_stop: Callable[[], bool] = lambda: False) -> Iterator[Any]:
    """Do the whole job; yields events (see `goals.events` and `train.loop`), `Ready` last."""
    path = options.runs / options.name
    source = _source(options)
    run = None
    if not options.fresh:
        run = reopen(path, "translate", source, options.model, options.training)
    if run is not None and "data" in run.config:
        yield Said(f"Going on with the run in {path}.")
    else:
        run = start_over(path, {"goal": "translate", "source": source})
        yield _prepare(run, options)
    parts = _load_parts(run)
    tokenizer = load_tokenizer(run.tokenizer)
    yield from _baseline(run, parts)
    training = yield from _training(run, parts, tokenizer, options, should_stop)
    reason, shown = "", Translator(training.model, tokenizer, beam=1)  # pyright: ignore
    example = parts["valid"][0][0]
    for event in learn(
        run, training, lambda step: Sampled(step, f"{example} → ", shown([example])[0]),
        options.sample_every_s, None,
    ):  # fmt: skip
        yield event
        reason = event.reason if isinstance(event, Finished) else reason
    if run.weights.is_file() and reason != "stopped":
        translator = load_translator(run)
        translator.beam, translator.alpha = options.beam, options.alpha
        yield _compared(run, parts["test"], translator, training.step)
        yield Ready(run, translator.model, tokenizer)


def _source(options: TranslateOptions) -> str | None:
    if options.data is None:
        return None
    return " ".join(x for x in (options.data, options.valid, options.test) if x)


def _prepare(run: RunFolder, options: TranslateOptions) -> Said:
    """Read the pairs, learn the vocabulary, keep both in the run folder."""
    if options.data is None:
        raise RunError(
            "say what to learn from: --data pairs.tsv, or --data train.en,train.de (and --valid, "
            "--test likewise)"
        )
    train = read_pairs(options.data)
    if options.valid and options.test:
        valid, test = read_pairs(options.valid), read_pairs(options.test)
    elif options.valid or options.test:
        raise RunError("give --valid and --test both, or neither: pairs of --data are held out")
    else:
        train, valid, test = hold_out(train)
    tokenizer = ByteBPE.train(
        (side for pair in train for side in pair), options.vocab_size, pattern=GPT4_SPLIT_PATTERN,
        special_tokens=(PAD, START, END),
    )  # fmt: skip
    tokenizer.save(run.tokenizer)
    for name, pairs in zip(PARTS, (train, valid, test)):
        lines = (json.dumps({"source": s, "target": t}, ensure_ascii=False) for s, t in pairs)
        write_atomically(run.path / f"{name}.jsonl", "\n".join(lines) + "\n")
    counts = {name: len(pairs) for name, pairs in zip(PARTS, (train, valid, test))}
    run.config["data"] = {**counts, "batch_tokens": options.batch_tokens}
    run.save_config()
    return Said(
        f"Read {counts['train']:,} sentence pairs to learn from, {counts['valid']:,} for "
        f"validation, {counts['test']:,} for the test; {tokenizer.vocab_size:,} byte pairs."
    )


def _load_parts(run: RunFolder) -> dict[str, list[Pair]]:
    run.need("tokenizer.json", *(f"{name}.jsonl" for name in PARTS))
    return {name: read_pairs(run.path / f"{name}.jsonl") for name in PARTS}


def _baseline(run: RunFolder, parts: dict[str, list[Pair]]) -> Iterator[Said]:
    """Word for word; measured once and kept in the config."""
    if "baseline_bleu" in run.config:
        return
    counts = IBM1().fit(parts["train"])
    said = [counts.translate(source) for source, _ in parts["test"]]
    try:
        score, signature = bleu(said, [target for _, target in parts["test"]])
    except ImportError as error:  # before the training, not after it
        raise RunError(str(error)) from None
    run.config.update(baseline_bleu=score, bleu=signature)
    run.save_config()
    yield Said(
        f"Baseline: word for word, by IBM Model 1: BLEU {score:.1f} on the test pairs "
        f"(for example: {said[0]})."
    )


def _training(
    run: RunFolder, parts: dict[str, list[Pair]], tokenizer: Any, options: TranslateOptions,
    should_stop: Callable[[], bool],
) -> Generator[Any, None, Training]:  # fmt: skip
    """Model, batches and settings: those of the run when it has them, else from the options."""
    pad, bos, eos = (tokenizer.special_tokens[name] for name in (PAD, START, END))
    if "model" not in run.config:
        config = {**SIZES, **options.model, "vocab_size": tokenizer.vocab_size}
        config |= {"pad": pad, "bos": bos, "eos": eos}
        settings = make_settings({**TRAINING, **options.training})
        _build(config)  # sizes that do not fit are an error before they are written
        run.config["model"] = {"type": "transformer", "config": config}
        run.config["training"] = settings.to_dict()
    settings = make_settings(run.config["training"])
    descent.random.manual_seed(settings.seed)
    model = _build(run.config["model"]["config"])
    longest, tokens = model.config.block_size, run.config["data"]["batch_tokens"]
    batches = [
        PairBatches(
            [(tokenizer.encode(s, "none"), tokenizer.encode(t, "none")) for s, t in parts[name]],
            tokens=tokens, seed=settings.seed, bos=bos, eos=eos, pad=pad, longest=longest,
        )
        for name in ("train", "valid")
    ]  # fmt: skip
    if batches[0].dropped:
        yield Said(f"{batches[0].dropped:,} pairs of {longest} tokens or more are left out.")
    training = Training(
        model, batches[0], settings, run.path, train_eval=lambda: batches[0].all(3),
        val_eval=batches[1].all, should_stop=should_stop,
    )  # fmt: skip
    if latest := training.latest():
        training.resume(latest)
    yield Said(f"{batches[0].per_epoch:,} batches of about {tokens:,} tokens make an epoch.")
    yield from plan(
        run, training, options.steps, options.minutes, options.training.get("compile"),
        options.every,
    )  # fmt: skip
    return training


def _build(config: dict[str, Any]) -> Transformer:
    try:
        return Transformer(TransformerConfig(**config))
    except (TypeError, ValueError) as error:
        raise RunError(str(error)) from None


def _compared(run: RunFolder, test: list[Pair], translator: Translator, step: int) -> Said:
    """BLEU of the best weights beside the baseline's; kept as the run's results."""
    most = translator.model.config.block_size
    fits = [(s, t) for s, t in test if len(translator.tokenizer.encode(s, "none")) < most]
    said = translator([source for source, _ in fits])
    score, signature = bleu(said, [target for _, target in fits])
    run.config["results"] = {"steps": step, "bleu": score, "signature": signature}
    run.save_config()
    run.add_sample(step, "\n".join(f"{s} → {t}" for (s, _), t in zip(fits[:20], said)))
    left = f" ({len(test) - len(fits)} too long ones left out)" if len(fits) < len(test) else ""
    return Said(
        f"BLEU on the test pairs{left}: {score:.1f}, beam {translator.beam}; word for word "
        f"{run.config['baseline_bleu']:.1f}. ({signature})"
    )


def load_translator(run: RunFolder) -> Translator:
    """The run's translator with its best weights.

    Raises:
        RunError: a missing or damaged file, or a run of another kind.
    """
    run.need("tokenizer.json", "model.safetensors")
    try:
        tokenizer = load_tokenizer(run.tokenizer)
        if run.config["model"]["type"] != "transformer":
            raise RunError(f"{run.path} is no translator but a {run.config['model']['type']}")
        with init.without_values():
            model = _build(run.config["model"]["config"])
        load_weights(run.weights, model)
    except (DataError, CheckpointError, KeyError, TypeError) as error:
        raise RunError(f"the run folder {run.path} can't be loaded: {error}") from None
    return Translator(model.eval(), tokenizer)
