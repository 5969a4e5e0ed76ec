"""`descent pretrain DATA`: a GPT from nothing, on token files of any size, as nanoGPT and llm.c do.

DATA is a folder or glob of token files (`train*.bin` and `val*.bin`, nanoGPT's or llm.c's), read in
place, or a text, which is encoded into the run folder first. The result is a run folder that goes
on where it stopped, serves, and can be fine-tuned.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

import descent.random
from descent.costs.machine import measure_machine
from descent.data import read_text
from descent.data.errors import DataError
from descent.data.hellaswag import read_hellaswag
from descent.data.shards import Spans, TokenWriter, find_shards, open_tokens
from descent.data.tokenizers.chars import CharTokenizer
from descent.data.tokenizers.gpt import load_gpt2
from descent.data.tokenizers.loading import load_tokenizer
from descent.data.windows import DocumentBatches, DocumentWindows
from descent.generate import Sampling, complete
from descent.generate.sessions import ModelLanguage
from descent.goals.events import Ready, Said, Sampled
from descent.goals.folder import RunError, RunFolder, default_runs_folder
from descent.goals.learning import build_model, learn, start_over
from descent.goals.loading import load_model
from descent.train.checkpoint import load_weights
from descent.train.choices import choice_accuracy
from descent.train.loop import Finished, Stepped, Training
from descent.train.metrics import evaluate
from descent.train.pretrain import PretrainSettings

__all__ = ["PretrainOptions", "make_tokens", "up"]

END = "<|endoftext|>"
VAL_FRACTION = 0.1  # nanoGPT's shakespeare


@dataclass(frozen=True)
class PretrainOptions:
    """What to learn from, how, and where the run goes."""

    data: str
    settings: PretrainSettings = field(default_factory=PretrainSettings)
    name: str = "pretrain"
    runs: Path = field(default_factory=default_runs_folder)
    fresh: bool = False
    sample_every_s: float = 30.0


def up(options: PretrainOptions, should_stop: Callable[[], bool] = lambda: False) -> Iterator[Any]:
    """Do the whole job; yields events (see `goals.events` and `train.loop`), `Ready` last."""
    run = _reopen(options)
    if run is not None:
        yield Said(f"Going on with the run in {run.path}.")
    else:
        run = start_over(options.runs / options.name, {"goal": "pretrain", "source": options.data})
        yield from _prepare_data(run, options)
    s = PretrainSettings.from_dict(run.config["pretrain"])
    s = replace(s, eval_only=options.settings.eval_only, hellaswag=options.settings.hellaswag)
    train, val = (Spans(map(open_tokens, run.config["tokens"][k])) for k in ("train", "val"))
    tokenizer = load_tokenizer(run.tokenizer) if run.tokenizer.is_file() else None
    training = _training(run, s, train, val, should_stop)
    if not s.eval_only:
        yield from _train(run, training, tokenizer, options)
    if run.weights.is_file():
        model = training.model
        if tokenizer is not None:
            model, tokenizer = load_model(run)
        else:
            load_weights(run.weights, model)
            model.eval()
        yield from _final(run, model, tokenizer, s, val, training.step)
        yield Ready(run, model, tokenizer)
    elif s.eval_only:
        raise RunError(f"{run.path} has no weights to measure yet")


def _reopen(options: PretrainOptions) -> RunFolder | None:
    path = options.runs / options.name
    if options.fresh or not (path / "config.json").is_file():
        return None
    run, advice = RunFolder.open(path), "use another --name, or --fresh to start over"
    if run.config.get("goal") != "pretrain":
        raise RunError(f"{path} is a run of goal {run.config.get('goal')!r}; {advice}")
    if "pretrain" not in run.config:
        return None
    if run.config["source"] != options.data:
        raise RunError(f"{path} learns from {run.config['source']}, not {options.data}; {advice}")
    before, now = run.config["pretrain"], options.settings.to_dict()
    default = PretrainSettings().to_dict()
    free = {"eval_only", "hellaswag", "compile", "keep"}
    for name, value in now.items():
        if name == "max_iters" and value > before[name]:  # further on the same schedule's floor
            before[name] = value
        elif name not in free and value not in (default[name], before[name]):
            raise RunError(f"{path} has {name} {before[name]}, not {value}; {advice}")
    return run


# -- data ------------------------------------------------------------------------------------------


def _prepare_data(run: RunFolder, options: PretrainOptions) -> Iterator[Said]:
    """Find the token files, or make them from text; write down what decides the run."""
    s, source = options.settings, Path(options.data)
    shards = _shards(options.data)
    if shards is None:
        folder = run.path / "tokens"
        yield from make_tokens(options.data, folder, tokenizer=s.tokenizer)
        shards, source = _shards(str(folder)), folder
    assert shards is not None
    train, val = shards
    n = [sum(len(open_tokens(p)) for p in part) for part in (train, val)]
    yield Said(f"{n[0]:,} tokens to learn from in {len(train)} files, {n[1]:,} held out.")
    beside = source / "tokenizer.json" if source.is_dir() else source.parent / "tokenizer.json"
    if beside.is_file():
        load_tokenizer(beside).save(run.tokenizer)
    elif s.tokenizer != "chars":
        _tokenizer(s.tokenizer, ()).save(run.tokenizer)
    else:
        yield Said("No tokenizer.json beside the tokens: the run will not serve text.")
    size = load_tokenizer(run.tokenizer).vocab_size if run.tokenizer.is_file() else None
    size = size or 1 + max(int(open_tokens(p).max()) for p in (*train, *val))
    config = s.sizes(size)
    build_model("gpt", {**config, "n_layer": 1})  # sizes that do not fit are an error here
    run.config |= {
        "tokens": {"train": list(map(str, train)), "val": list(map(str, val))},
        "model": {"type": "gpt", "name": "gpt", "config": config},
        "data": {"prompt": "\n"},
        "pretrain": s.to_dict(),
    }
    run.save_config()


def _shards(source: str) -> tuple[list[Path], list[Path]] | None:
    """Token files to learn from and held out; None when the source is text."""
    path = Path(source)
    if path.is_file() and path.suffix != ".bin":
        return None
    try:
        files = find_shards(source)
    except DataError:
        return None
    val = [f for f in files if "val" in f.name or "test" in f.name]
    train = [f for f in files if f not in val]
    if not train or not val:
        raise DataError(
            f"{source} needs token files to learn from and some with 'val' in their names to "
            f"measure on: found {[f.name for f in files][:6]}"
        )
    return train, val


def make_tokens(
    source: str, folder: Path, *, tokenizer: str = "gpt2", val_fraction: float = VAL_FRACTION,
    shard_tokens: int = 100_000_000,
) -> Iterator[Said]:  # fmt: skip
    """Encode text into `folder`: train_000000.bin …, val_000000.bin and tokenizer.json.

    The last `val_fraction` of the text is held out, as nanoGPT does. Documents of several files are
    ended by <|endoftext|> where the tokenizer has it.
    """
    documents, report = read_text(source)
    yield Said(f"Read {source}: {report}.")
    made = _tokenizer(tokenizer, [text for _, text in documents])
    end = [made.special_tokens[END]] if END in made.special_tokens else []
    texts = [text for _, text in documents]
    cut = int(sum(map(len, texts)) * (1 - val_fraction))
    parts: tuple[list[str], list[str]] = ([], [])
    for text in texts:
        here = max(0, min(cut, len(text)))
        for part, piece in zip(parts, (text[:here], text[here:])):
            if piece:
                part.append(piece)
        cut -= len(text)
    for name, part in zip(("train", "val"), parts):
        ids = [np.array(made.encode(t, "none") + (end if len(texts) > 1 else [])) for t in part]
        row = np.concatenate(ids) if ids else np.zeros(0, np.int64)
        for i, at in enumerate(range(0, len(row), shard_tokens)):
            with TokenWriter(folder / f"{name}_{i:06d}.bin", made.vocab_size) as out:
                out.write(row[at : at + shard_tokens])
        yield Said(f"{name}: {len(row):,} tokens.")
    made.save(folder / "tokenizer.json")


def _tokenizer(name: str, texts: Any) -> Any:
    if name == "chars":
        return CharTokenizer.from_text("".join(texts))
    return load_gpt2() if name == "gpt2" else load_tokenizer(name)


# -- training --------------------------------------------------------------------------------------


def _training(
    run: RunFolder, s: PretrainSettings, train: Spans, val: Spans, should_stop: Callable[[], bool]
) -> Training:
    descent.random.manual_seed(s.seed)
    model = build_model("gpt", run.config["model"]["config"])
    windows, held = (DocumentWindows(t, s.block_size) for t in (train, val))
    settings = s.training()
    if s.compile is None:
        settings = replace(settings, compile=s.max_iters >= 100)
    training = Training(
        model, DocumentBatches(windows, s.batch_size, s.seed), settings, run.path,
        train_eval=lambda: windows.evaluation_batches(s.batch_size, s.eval_iters * s.batch_size),
        val_eval=lambda: held.evaluation_batches(s.batch_size, s.eval_iters * s.batch_size),
        should_stop=should_stop,
    )  # fmt: skip
    if latest := training.latest():
        training.resume(latest)
    return training


def _train(
    run: RunFolder, training: Training, tokenizer: Any, options: PretrainOptions
) -> Generator[Any, None, None]:
    """Learn; say the model's share of the machine's peak once it runs."""
    told, seen = False, []

    def sample(step: int) -> Any:
        if tokenizer is None:
            return Said("")
        language = ModelLanguage(training.model, tokenizer.vocab_size)
        sampling = Sampling(max_tokens=100, temperature=0.8, seed=step)
        ids = tokenizer.encode("\n", "none")
        text = "".join(p.text for p in complete(language, tokenizer, ids, sampling))
        run.add_sample(step, text)
        return Sampled(step, "", text)

    flops = training.model.flops_per_token()
    for event in learn(run, training, sample, options.sample_every_s, None):
        yield event
        if isinstance(event, Stepped):
            seen = [*seen[-49:], event.seconds / max(event.tokens, 1)]
            if not told and len(seen) >= 20:
                told, speed, peak = True, 1 / float(np.median(seen)), 1e9 * measure_machine().gflops
                yield Said(
                    f"{speed:,.0f} tokens/s: {speed * flops / 1e9:,.0f} GFLOP/s, MFU "
                    f"{speed * flops / peak:.0%} of {peak / 1e9:,.0f} GFLOP/s measured here."
                )
        if isinstance(event, Finished):
            run.config["results"] = {"steps": event.step, "best_val_loss": event.best_val_loss}
            run.save_config()


def _final(
    run: RunFolder, model: Any, tokenizer: Any, s: PretrainSettings, val: Spans, step: int
) -> Iterator[Said]:
    """The best weights on all held-out windows (4,096 at most), and HellaSwag where asked for."""
    windows = DocumentWindows(val, model.get_block_size())
    loss = evaluate(model, windows.evaluation_batches(16, 4096))
    run.config["results"] = {**run.config.get("results", {}), "val_loss_nats": loss}
    yield Said(f"Held-out loss of the best weights, over {min(len(val), 4096 * s.block_size):,} "
               f"tokens: {loss:.4f} nats per token.")  # fmt: skip
    if s.hellaswag:
        questions = read_hellaswag(s.hellaswag, tokenizer)
        score = choice_accuracy(model, questions)
        run.config["results"]["hellaswag"] = score.normalised
        yield Said(
            f"HellaSwag: {score.normalised:.4f} right by loss per token, {score.summed:.4f} by its "
            f"sum, of {score.questions:,} (chance {1 / 4})."
        )
    run.save_config()
