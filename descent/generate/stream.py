"""Generate token by token: feed, draw, decode, stop; a `Step` per token once its text is safe.

    logits = session.feed(prompt);  repeat: id ~ p(logits);  logits = session.feed([id])

For any `LanguageModel`, one sequence at a time. Left out: several sequences at once and beams
(`engine/`).
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterator, Mapping, Sequence

import numpy as np

from descent.generate.choosing import Chooser
from descent.generate.drawing import check_logits
from descent.generate.lexicon import Alternative, Lexicon
from descent.generate.protocols import LanguageModel, Session, Tokenizer
from descent.generate.sampling import Sampling
from descent.generate.writing import Step, Writer

__all__ = ["Alternative", "Step", "complete", "continued"]


def complete(
    model: LanguageModel,
    tokenizer: Tokenizer,
    prompt_ids: Sequence[int],
    sampling: Sampling,
    *,
    eos_ids: Collection[int] = (),
    special: Mapping[int, str] | None = None,
    hidden: int = 0,
    echo: bool = False,
    choice: int = 0,
) -> Iterator[Step]:
    """Continue `prompt_ids` (at least one id); yields the steps of the completion, one per token.

    `hidden`: how many leading ids (a begin token) are not part of the text. `echo` yields the
    prompt's own steps first. `choice` selects an independent stream of the same seed. Closing the
    iterator stops generation; nothing runs ahead of the consumer.
    """
    lexicon = Lexicon(tokenizer, model.vocab_size, eos_ids, special)
    yield from continued(
        model, lexicon, prompt_ids, sampling, hidden=hidden, echo=echo, choice=choice
    )


def continued(
    model: LanguageModel,
    lexicon: Lexicon,
    prompt_ids: Sequence[int],
    sampling: Sampling,
    *,
    hidden: int = 0,
    echo: bool = False,
    choice: int = 0,
) -> Iterator[Step]:
    """`complete` with a `lexicon` that is kept between calls."""
    if not prompt_ids:
        raise ValueError("the prompt has no tokens; give at least a begin token")
    if sampling.beams > 1:
        raise ValueError(
            "beams needs a model that several sequences can share (a GPT or Llama); this one reads "
            "one sequence at a time; set beams to 1"
        )
    writer = Writer(lexicon, sampling)
    chooser = Chooser(lexicon, sampling, prompt_ids, choice)
    session = model.session()
    logits = yield from _read(model, session, writer, prompt_ids, hidden, echo)
    while chooser.left > 0:
        assert logits is not None
        id = chooser.choose(logits)
        steps = writer.generated(id, logits, chooser.accept(id))
        yield from steps
        if steps and steps[-1].finish_reason:
            return
        logits = check_logits(session.feed([id]), model.vocab_size)


def _read(
    model: LanguageModel,
    session: Session,
    writer: Writer,
    prompt_ids: Sequence[int],
    hidden: int,
    echo: bool,
) -> Generator[Step, None, np.ndarray | None]:
    """Feed the prompt, yield its steps where asked for; the logits after it."""
    sampling = writer.sampling
    scored = sampling.prompt_logprobs is not None or (echo and sampling.logprobs is not None)
    shown = echo or sampling.prompt_logprobs is not None
    logits = None
    for position, id in enumerate(prompt_ids):
        if position >= hidden:
            step = writer.prompt_step(id, logits)
            if shown:
                yield step
        if scored:
            logits = check_logits(session.feed([id]), model.vocab_size)
    if not scored and sampling.max_tokens:  # a completion of no tokens needs no logits
        logits = check_logits(session.feed(prompt_ids), model.vocab_size)
    return logits
