"""A model before and after fine-tuning: its loss on the same text, and what it writes."""

from __future__ import annotations

from typing import Any

from descent.data.token_corpus import TokenCorpus
from descent.generate import Sampling, complete
from descent.generate.sessions import ModelLanguage
from descent.goals.events import SideBySide
from descent.goals.folder import RunFolder
from descent.goals.loading import load_model
from descent.train.finetune import FinetuneSettings
from descent.train.metrics import evaluate

__all__ = ["compare", "measure", "write_text"]


def measure(
    run: RunFolder, model: Any, tokenizer: Any, corpus: TokenCorpus, s: FinetuneSettings, block: int
) -> dict[str, Any]:
    """Held-out loss (the training text's where nothing is held out) and what the model writes."""
    windows = corpus.windows(block, held_out=corpus.has_val)
    loss = evaluate(model, windows.evaluation_batches(s.batch_size, 4 * s.eval_batches))
    prompt = run.config["data"]["prompt"]
    texts = [write_text(model, tokenizer, prompt, s, seed=i) for i in range(s.sample_num)]
    return {"loss": loss, "samples": texts}


def compare(
    run: RunFolder, corpus: TokenCorpus, step: int, s: FinetuneSettings, block: int,
    unit: float | None,
) -> SideBySide:  # fmt: skip
    model, tokenizer = load_model(run)
    after = measure(run, model, tokenizer, corpus, s, block)
    run.config["results"] = {"steps": step, "val_loss_nats": after["loss"]}
    if unit:
        run.config["results"]["val_bits_per_byte"] = after["loss"] * unit
    run.config["after"] = after
    run.save_config()
    before = run.config["before"]
    return SideBySide(
        run.config["data"]["prompt"], before["loss"], after["loss"], unit,
        tuple(before["samples"]), tuple(after["samples"]), corpus.has_val,
    )  # fmt: skip


def write_text(model: Any, tokenizer: Any, prompt: str, s: FinetuneSettings, *, seed: int) -> str:
    """What the model writes after `prompt`; its own generator, so training is not disturbed."""
    language = ModelLanguage(model, model.config.vocab_size)
    ids = tokenizer.encode(prompt, "none") or tokenizer.encode("\n", "none")
    ends = [i for n, i in tokenizer.special_tokens.items() if n in ("<|endoftext|>", "</s>")]
    sampling = Sampling(max_tokens=s.sample_tokens, temperature=s.temperature, seed=seed)
    training = model.training
    model.eval()
    try:
        steps = complete(language, tokenizer, ids, sampling, eos_ids=frozenset(ends))
        return "".join(step.text for step in steps)
    finally:
        model.train(training)
