"""Every setting beside the processor of transformers that does the same, on random rows."""

import numpy as np
import pytest

from descent.generate.adjusting import Adjuster
from descent.generate.choosing import Chooser
from descent.generate.drawing import draw, generator, probabilities
from descent.generate.lexicon import Lexicon
from descent.generate.sampling import Sampling
from tests.count_models import ByteTokenizer

transformers = pytest.importorskip("transformers")
torch = pytest.importorskip("torch")
V, ROWS = 256, 30
pytestmark = pytest.mark.oracle


def rows(seed=0, scale=3.0):
    return (scale * np.random.default_rng(seed).standard_normal((ROWS, V))).astype(np.float32)


def theirs(processors, row, ids):
    scores = torch.from_numpy(row[None].copy())
    for processor in processors:
        scores = processor(torch.tensor([list(ids)]), scores)
    return torch.softmax(scores.double(), -1)[0].numpy()


def ours(sampling, row, prompt, completion, ends=()):
    lexicon = Lexicon(ByteTokenizer(), V, ends)
    adjuster = Adjuster(
        sampling, prompt, end_ids=lexicon.end_ids(sampling),
        bad_words=lexicon.bad_words(sampling), vocab_size=V,
    )  # fmt: skip
    for id in completion:
        adjuster.accept(id)
    return probabilities(adjuster.adjusted(row), sampling)


CUTS = [
    ({"temperature": 0.6}, [("TemperatureLogitsWarper", (0.6,))]),
    ({"top_k": 7}, [("TopKLogitsWarper", (7,))]),
    ({"top_p": 0.73}, [("TopPLogitsWarper", (0.73,))]),
    ({"min_p": 0.05}, [("MinPLogitsWarper", (0.05,))]),
    ({"typical_p": 0.6}, [("TypicalLogitsWarper", (0.6,))]),
    (
        {"temperature": 1.4, "top_k": 60, "top_p": 0.9, "min_p": 0.02, "typical_p": 0.8},
        [
            ("TemperatureLogitsWarper", (1.4,)),
            ("TopKLogitsWarper", (60,)),
            ("TopPLogitsWarper", (0.9,)),
            ("MinPLogitsWarper", (0.02,)),
            ("TypicalLogitsWarper", (0.8,)),
        ],
    ),
]


@pytest.mark.parametrize(("settings", "warpers"), CUTS, ids=lambda x: str(x)[:40])
@pytest.mark.parametrize("scale", [0.5, 3.0, 12.0])
def test_cuts(settings, warpers, scale):
    made = [getattr(transformers, name)(*args) for name, args in warpers]
    for row in rows(scale=scale):
        wanted = theirs(made, row, [1])
        np.testing.assert_allclose(
            probabilities(row, Sampling(**settings)), wanted, rtol=2e-4, atol=1e-7
        )


HISTORY = [5, 9, 5, 7, 200, 9, 5]


@pytest.mark.parametrize(
    ("settings", "processor"),
    [
        ({"repetition_penalty": 1.3}, lambda: transformers.RepetitionPenaltyLogitsProcessor(1.3)),
        ({"repetition_penalty": 0.8}, lambda: transformers.RepetitionPenaltyLogitsProcessor(0.8)),
        ({"no_repeat_ngram_size": 1}, lambda: transformers.NoRepeatNGramLogitsProcessor(1)),
        ({"no_repeat_ngram_size": 2}, lambda: transformers.NoRepeatNGramLogitsProcessor(2)),
        ({"no_repeat_ngram_size": 3}, lambda: transformers.NoRepeatNGramLogitsProcessor(3)),
        (
            {"bad_words": ((9, 5, 4), (7,), (5, 8), (1, 2, 3))},
            lambda: transformers.NoBadWordsLogitsProcessor([[9, 5, 4], [7], [5, 8], [1, 2, 3]], 0),
        ),
        (
            {"logit_bias": {3: 2.5, 9: -4.0}},
            lambda: transformers.SequenceBiasLogitsProcessor({(3,): 2.5, (9,): -4.0}),
        ),
        (
            {"allowed_token_ids": (3, 4, 77)},
            lambda: transformers.SuppressTokensLogitsProcessor(
                [i for i in range(V) if i not in (3, 4, 77)]
            ),
        ),
        (
            {"min_tokens": 5, "stop_token_ids": (8,)},
            lambda: transformers.MinNewTokensLengthLogitsProcessor(4, 5, [0, 8], device="cpu"),
        ),
    ],
    ids=lambda x: str(x)[:40] if isinstance(x, dict) else "",
)
def test_penalties_and_bans(settings, processor):
    sampling = Sampling(**settings)
    for split in (len(HISTORY), 4):
        processor_ = processor()
        for row in rows():
            got = ours(sampling, row, HISTORY[:split], HISTORY[split:], ends=[0])
            if "min_tokens" in settings and split != 4:
                wanted = row.copy()
                wanted[[0, 8]] = -np.inf
                wanted = theirs([], wanted, HISTORY)
            else:
                wanted = theirs([processor_], row, HISTORY)
            np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-9)


def test_a_text_of_many_settings_together():
    """Greedy over 60 tokens: each choice from the same processors in the same order."""
    settings = {"repetition_penalty": 1.2, "no_repeat_ngram_size": 3, "temperature": 0.0}
    chooser = Chooser(Lexicon(ByteTokenizer(), V), Sampling(max_tokens=60, **settings), [1, 2])
    processors = [
        transformers.RepetitionPenaltyLogitsProcessor(1.2),
        transformers.NoRepeatNGramLogitsProcessor(3),
    ]
    few = rows(4)[:6]  # rows that come back again and again
    ids = [1, 2]
    for _ in range(60):
        row = few[ids[-1] % 6]
        wanted = int(np.argmax(theirs(processors, row, ids)))
        assert chooser.choose(row) == wanted
        chooser.accept(wanted)
        ids.append(wanted)
    assert len(set(ids)) > 10


@pytest.mark.parametrize("settings", [s for s, _ in CUTS], ids=lambda s: str(s)[:40])
def test_a_large_vocabulary_draws_from_the_same_distribution(settings):
    """The quick way through 50,257 logits: each uniform number falls where the sum says."""
    rng = np.random.default_rng(1)
    row = (2.5 * rng.standard_normal(50_257)).astype(np.float32)
    sampling = Sampling(**settings)
    ends = np.cumsum(probabilities(row, sampling))
    draws = generator(3)
    uniforms = generator(3)
    for _ in range(60):
        id, uniform = draw(row, sampling, draws), uniforms.random()
        assert ends[id] >= uniform - 1e-5
        assert (ends[id - 1] if id else 0.0) <= uniform + 1e-5
