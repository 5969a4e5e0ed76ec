"""What a vocabulary forbids by itself: the marks of filling in stand in prompts, never in texts."""

import numpy as np

from descent.data.infill import INFILL_TOKENS
from descent.data.tokenizers import END_OF_TEXT, ByteBPE
from descent.generate.lexicon import Lexicon
from descent.generate.sampling import Sampling
from descent.generate.stream import complete

TEXT = "def add(a, b):\n    return a + b\n" * 30


class Marks:
    """A model that wants nothing but marks."""

    context = None

    def __init__(self, tokenizer):
        self.vocab_size = tokenizer.vocab_size
        self.wanted = [tokenizer.special_tokens[name] for name in INFILL_TOKENS]

    def session(self):
        return self

    def feed(self, ids):
        logits = np.zeros(self.vocab_size, np.float32)
        logits[self.wanted], logits[ord("x")] = 50, 10
        return logits


def test_marks_are_never_written():
    bpe = ByteBPE.train(TEXT, 300, special_tokens=(END_OF_TEXT, *INFILL_TOKENS))
    steps = list(complete(Marks(bpe), bpe, [65], Sampling(max_tokens=5, temperature=0.0)))
    assert "".join(step.text for step in steps) == "xxxxx"


def test_bad_words_come_on_top():
    bpe = ByteBPE.train(TEXT, 300, special_tokens=(END_OF_TEXT, *INFILL_TOKENS))
    lexicon = Lexicon(bpe, bpe.vocab_size)
    marks = [(bpe.special_tokens[name],) for name in INFILL_TOKENS]
    assert set(lexicon.bad_words(Sampling())) == set(marks)
    assert set(lexicon.bad_words(Sampling(bad_words=((5, 6),)))) == {*marks, (5, 6)}
    assert Lexicon(ByteBPE.train(TEXT, 300), 300).bad_words(Sampling()) == []
