"""One sequence's choices: a row of logits in, a token id out, and why the text ends.

    id = draw(mask(adjust(logits)));   one uniform number of the sequence's own generator per token

So a seeded request draws the same tokens whatever else is computed beside it, and a token guessed
ahead (`engine/guessing.py`) is accepted exactly when it is the one that would have been drawn.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from descent.generate.adjusting import Adjuster
from descent.generate.drawing import check_logits, draw, generator
from descent.generate.lexicon import Lexicon
from descent.generate.sampling import Sampling

__all__ = ["Chooser"]


class Chooser:
    """The settings, the generator and the memory of one completion of `prompt_ids`."""

    def __init__(
        self, lexicon: Lexicon, sampling: Sampling, prompt_ids: Sequence[int], choice: int = 0
    ) -> None:
        self.sampling = sampling
        self.end_ids = lexicon.end_ids(sampling)
        self.rng = generator(sampling.seed, choice)
        self.guide = lexicon.guide(sampling)
        self._vocab_size = lexicon.vocab_size
        self.adjuster = Adjuster(
            sampling,
            prompt_ids,
            end_ids=self.end_ids,
            bad_words=lexicon.bad_words(sampling),
            vocab_size=lexicon.vocab_size,
        )

    @property
    def n_generated(self) -> int:
        return self.adjuster.n_generated

    @property
    def left(self) -> int:
        """How many tokens may still come."""
        return self.sampling.max_tokens - self.adjuster.n_generated

    def choose(self, logits: np.ndarray) -> int:
        """The next token for the model's row [V]; `accept` it before choosing again.

        Raises:
            ValueError: logits that cannot be used, or settings that leave no token at all.
        """
        row = self.adjuster.adjusted(check_logits(logits, self._vocab_size))
        if self.guide is not None:
            row = self.guide.masked(row, self.end_ids, self.left)
        if row is not logits and row.max() == -np.inf:
            raise ValueError(
                f"after {self.n_generated} tokens the settings leave no token that could follow: "
                "allowed_token_ids, logit_bias, bad_words, no_repeat_ngram_size, min_tokens or the "
                "constraint exclude each other"
            )
        return draw(row, self.sampling, self.rng)

    def accept(self, id: int) -> str | None:
        """Note that `id` stands in the text; why the completion ends with it, if it does."""
        self.adjuster.accept(id)
        if id in self.end_ids:
            return "stop"
        if self.guide is not None and self.guide.accept(id):
            return "stop"  # nothing can follow: no need to draw an end token
        return "length" if self.left <= 0 else None
