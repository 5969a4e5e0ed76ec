"""`generate` and `generate_to_file` with gpt-2-simple's parameters.

Each of prefix, include_prefix and truncate does what it says whatever the others are: the prefix is
given back exactly, or not at all; the text ends before `truncate`, at the end token, or after
`length` tokens, prefix included. A sample that comes out blank is drawn again.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

from descent.compat.gpt_2_simple.session import Session, ensure_loaded
from descent.generate import Completer, Sampling

__all__ = ["generate", "generate_to_file"]

log = logging.getLogger("descent.gpt_2_simple")
DELIMITER = "=" * 20 + "\n"
TRIES = 5  # for a sample that comes out blank


def generate(
    sess: Session,
    run_name: str = "run1",
    checkpoint_dir: str = "checkpoint",
    model_name: str | None = None,
    model_dir: str = "models",
    sample_dir: str = "samples",
    return_as_list: bool = False,
    truncate: str | None = None,
    destination_path: str | None = None,
    sample_delim: str = DELIMITER,
    prefix: str | None = None,
    seed: int | None = None,
    nsamples: int = 1,
    batch_size: int = 1,
    length: int = 1023,
    temperature: float = 0.7,
    top_k: int = 0,
    top_p: float = 0.0,
    include_prefix: bool = True,
    **more: Any,
) -> list[str] | None:
    """Texts from the model; printed, written to `destination_path`, or returned as a list.

    Args:
        truncate: the text ends before this string.
        length: tokens in all, the prefix's included; no more than the model's context.
        top_p: above 0 it takes the place of top_k.
        batch_size: accepted; all samples are computed together.
        more: fields of `descent.generate.Sampling` (repetition_penalty, stop, …).

    Raises:
        ValueError: a prefix that leaves no room for a single token; its length is said.
    """
    completer = ensure_loaded(sess, run_name, checkpoint_dir, model_name, model_dir)
    sampling = Sampling(
        temperature=temperature, top_k=0 if top_p else top_k, top_p=top_p or 1.0, seed=seed,
        stop=(truncate,) if truncate else (), **more,
    )  # fmt: skip
    start = prefix or ""
    sampling = _with_length(completer, start, length, sampling)
    found = [_text(start, c, include_prefix) for c in _drawn(completer, start, sampling, nsamples)]
    if destination_path:
        with open(destination_path, "w", encoding="utf-8") as out:
            out.writelines(f"{text}\n{sample_delim}" for text in found)
    elif not return_as_list:
        for text in found:
            print(text, sample_delim, sep="\n", end="")
    return found if return_as_list else None


def _with_length(completer: Completer, prefix: str, length: int, sampling: Sampling) -> Sampling:
    """How many tokens may be written."""
    n, context = completer.encode(prefix).n_tokens, completer.model.context or length + 1
    room = min(length, context) - n
    if room < 1:
        raise ValueError(
            f"the prefix has {n} tokens, which leaves no room: length is {length}, the model's "
            f"context {context}; shorten the prefix (its end matters most) or raise length"
        )
    return replace(sampling, max_tokens=room)


def _drawn(completer: Completer, prefix: str, sampling: Sampling, n: int) -> list[str]:
    """The continuations; blank ones drawn again a few times, then kept with a warning."""
    prompt = completer.encode(prefix)
    texts = _streams(completer, [prompt], sampling, n)
    for attempt in range(1, TRIES + 1):
        blank = [i for i, text in enumerate(texts) if not text.strip()]
        if not blank:
            return texts
        seed = None if sampling.seed is None else sampling.seed + 7919 * attempt
        again = _streams(completer, [prompt], replace(sampling, seed=seed), len(blank))
        for i, text in zip(blank, again):
            texts[i] = text
    if any(not text.strip() for text in texts):
        log.warning("some samples are blank after %d tries: raise the temperature", TRIES + 1)
    return texts


def _streams(completer: Completer, prompts: list[Any], sampling: Sampling, n: int) -> list[str]:
    texts = [""] * (n * len(prompts))
    for index, step in completer.streams(prompts, sampling, n=n):
        texts[index] += step.text
    return texts


def _text(prefix: str, continuation: str, include_prefix: bool) -> str:
    return prefix + continuation if include_prefix else continuation.lstrip("\n")


def generate_to_file(
    sess: Session,
    truncate: str | None = None,
    destination_path: str = "gpt_2_gen_texts.txt",
    sample_delim: str = DELIMITER,
    **how: Any,
) -> None:
    """`generate` into a file; the other parameters are those of `generate`."""
    generate(
        sess, truncate=truncate, destination_path=destination_path, sample_delim=sample_delim,
        return_as_list=False, **how,
    )  # fmt: skip
