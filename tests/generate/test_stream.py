import itertools

import numpy as np
import pytest

from descent.generate import Sampling, complete
from descent.generate.drawing import log_softmax
from tests.count_models import ByteTokenizer, code_model, name_model

BYTES = ByteTokenizer()


class Recite:
    """A model sure of one text: after its i-th byte comes the next one, then for ever the last."""

    context, vocab_size = None, 257

    def __init__(self, text: bytes) -> None:
        self.ids = [*text, 256]

    def session(self):
        ids, seen = self.ids, 0

        class Session:
            def feed(self, new):
                nonlocal seen
                seen += len(new)
                logits = np.full(257, -30.0, dtype=np.float32)
                logits[ids[min(seen - 1, len(ids) - 1)]] = 0.0
                return logits

        return Session()


def recite(text, prompt=(10,), eos=(256,), special=None, **settings):
    settings.setdefault("max_tokens", 500)
    sampling = Sampling(temperature=0, **settings)
    special = special or {256: "<|end|>"}
    return list(
        complete(
            Recite(text.encode()), BYTES, prompt, sampling, eos_ids=eos, special=special, hidden=1
        )
    )


def texts(steps):
    return "".join(step.text for step in steps)


def test_ends_at_the_end_token_with_reason_stop():
    steps = recite("hello")
    assert texts(steps) == "hello"
    assert [step.finish_reason for step in steps] == [None] * 5 + ["stop"]
    assert steps[-1].token == "<|end|>"
    assert steps[-1].text == ""


def test_ends_after_max_tokens_with_reason_length():
    steps = recite("hello", max_tokens=3)
    assert (texts(steps), steps[-1].finish_reason, len(steps)) == ("hel", "length", 3)
    assert recite("hello", max_tokens=0) == []


def test_no_step_ends_inside_a_character():
    text = "é€😀 naïve 日本"
    steps = recite(text)
    assert texts(steps) == text
    for step in steps:
        assert "\ufffd" not in step.text
        step.text.encode("utf-8")
    assert steps[0].token == "bytes:\\xc3"
    assert steps[0].text == ""
    assert steps[1].text == "é"
    assert [s.offset for s in steps] == list(
        itertools.accumulate([0, *(len(s.text) for s in steps[:-1])])
    )


def test_a_character_cut_by_max_tokens_is_shown_as_replacement():
    steps = recite("a€", max_tokens=3)
    assert texts(steps) == "a\ufffd"
    assert steps[-1].finish_reason == "length"


def test_a_prompt_that_ends_inside_a_character_is_continued():
    first, *rest = "€".encode()
    model = Recite(bytes(rest) + b"!")
    steps = list(
        complete(model, BYTES, [first], Sampling(temperature=0, max_tokens=3), special={256: ""})
    )
    assert texts(steps) == "€!"


@pytest.mark.parametrize(
    ("stop", "expected"),
    [
        (("lo w",), "hel"),
        (("xyz", "world"), "hello "),
        (("o", "lo"), "hel"),
        (("ld!",), "hello world"),
        (("hello",), ""),
        (("€",), "hello world"),
    ],
)
def test_stop_strings_across_token_borders(stop, expected):
    steps = recite("hello world", stop=stop)
    assert texts(steps) == expected
    assert steps[-1].finish_reason == "stop"


def test_nothing_that_may_be_a_stop_is_sent_early():
    """At every moment the text sent so far is a beginning of the final text."""
    sampling = Sampling(temperature=0, max_tokens=500, stop=("aab",))
    stream = complete(Recite(b"xaaab tail"), BYTES, [10], sampling, hidden=1)
    sent = ""
    for step in stream:
        sent += step.text
        assert "xa".startswith(sent)
    assert sent == "xa"


def test_held_text_comes_out_when_the_stop_does_not_happen():
    assert texts(recite("hello w", stop=("world",))) == "hello w"
    assert texts(recite("hello wo", stop=("world",), max_tokens=8)) == "hello wo"


def test_every_generated_token_is_one_step():
    steps = recite("hello world", stop=("wor",))
    assert [step.token for step in steps] == list("hello wor")
    assert steps[-1].offset == len("hello ")


def test_generation_never_runs_ahead_of_the_reader():
    fed = []

    class Spy(Recite):
        def session(self):
            inner = super().session()

            class Session:
                def feed(self, ids):
                    fed.extend(ids)
                    return inner.feed(ids)

            return Session()

    stream = complete(Spy(b"abcdefgh"), BYTES, [10], Sampling(temperature=0, max_tokens=8))
    next(stream), next(stream)
    stream.close()
    assert fed == [10, ord("a")]


def test_logprobs_are_those_of_the_untempered_model():
    model = code_model()
    prompt = BYTES.encode("def ")
    sampling = Sampling(temperature=0.3, seed=1, logprobs=4, max_tokens=12, logit_bias={101: 2.0})
    session, fed = model.session(), prompt
    for step in complete(model, BYTES, prompt, sampling):
        logp = log_softmax(session.feed(fed).astype(np.float64))
        assert step.logprob == pytest.approx(logp[step.id])
        best = sorted(range(256), key=lambda i: (-logp[i], i))[:4]
        assert [other.id for other in step.top] == best
        assert [other.logprob for other in step.top] == pytest.approx(logp[best])
        fed = [step.id]


def test_echo_scores_the_prompt_as_the_model_does():
    model = code_model()
    prompt = BYTES.encode("self.x")
    sampling = Sampling(seed=1, logprobs=0, max_tokens=2)
    steps = list(complete(model, BYTES, prompt, sampling, echo=True))
    assert [step.prompt for step in steps] == [True] * 6 + [False] * 2
    assert texts(steps[:6]) == "self.x"
    assert steps[0].logprob is None
    session = model.session()
    for id, step in zip(prompt[:-1], steps[1:6]):
        assert step.logprob == pytest.approx(log_softmax(session.feed([id]).astype(float))[step.id])
    without = complete(model, BYTES, prompt, sampling)
    assert [s.id for s in without] == [s.id for s in steps[6:]]


def test_a_seed_gives_the_same_text_alone_or_interleaved_with_others():
    model, tokenizer = name_model()

    def start(seed):
        sampling = Sampling(seed=seed, max_tokens=30)
        return complete(model, tokenizer, [0], sampling, eos_ids=[0], special={0: ""}, hidden=1)

    alone = [texts(start(seed)) for seed in range(4)]
    streams = [start(seed) for seed in range(4)]
    together = [""] * 4
    for row in itertools.zip_longest(*streams):
        for i, step in enumerate(row):
            together[i] += step.text if step else ""
    assert together == alone
    assert len(set(alone)) == 4


def test_an_empty_prompt_is_refused():
    with pytest.raises(ValueError, match="no tokens"):
        next(complete(code_model(), BYTES, [], Sampling()))
