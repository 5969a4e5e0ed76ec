import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from descent.generate import Sampling
from descent.generate.decoder.reference import ReferenceDecoder
from descent.generate.engine import Engine
from descent.generate.engine.guessing import Guesser
from tests.generate.engine.models import BYTES, Ids, alone, count_engine, small_gpt


def test_what_followed_last_time_is_guessed():
    guesser = Guesser(4)
    assert guesser.guess([1, 2, 3, 9, 8, 7, 1, 2], 10) == [3, 9, 8, 7]
    assert guesser.guess([1, 2, 3, 9, 8, 7, 1, 2, 5, 6], 10) == []
    assert guesser.guess([1, 2, 3, 9, 8, 7, 1, 2, 5, 6, 1, 2], 2) == [5, 6]
    assert guesser.guess([1, 2, 3, 9, 8, 7, 1, 2, 5, 6, 1, 2], 0) == []


@given(ids=st.lists(st.integers(0, 3), max_size=60))
def test_guesses_are_read_off_the_text(ids):
    guesser = Guesser(5)
    for end in range(len(ids) + 1):
        guess = guesser.guess(ids[:end], 5)
        if guess:
            tails = {
                tuple(ids[at + 2 : at + 2 + len(guess)])
                for at in range(end - 2)
                if ids[at : at + 2] == ids[end - 2 : end]
            }
            assert tuple(guess) in tails


def test_after_a_wrong_guess_less_is_guessed():
    guesser = Guesser(8)
    text = [1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2]
    assert len(guesser.guess(text, 20)) == 8
    guesser.learn(8, 1)
    assert len(guesser.guess(text, 20)) == 2
    guesser.learn(2, 2)
    assert len(guesser.guess(text, 20)) == 4


@pytest.mark.parametrize(
    "style",
    [
        {"temperature": 0},
        {"seed": 3},
        {"seed": 3, "top_p": 0.7, "repetition_penalty": 1.1},
        {"seed": 3, "stop": ("def",), "logprobs": 2},
        {"seed": 1, "no_repeat_ngram_size": 4},
    ],
    ids=str,
)
def test_the_result_is_the_same_in_fewer_turns(style):
    prompt = BYTES.encode("self.x = self.x\nself.y = self.y\nself.")
    settings = Sampling(max_tokens=80, **style)
    plain, quick = count_engine(), count_engine()
    wanted = list(plain.submit(prompt, settings))
    ahead = Sampling(max_tokens=80, speculate=6, **style)
    assert list(quick.submit(prompt, ahead)) == wanted
    assert [s.id for s in wanted] == alone(prompt, settings)
    stats = quick.stats
    assert stats.accepted_guesses <= stats.guessed_tokens
    assert stats.turns == plain.stats.turns - stats.accepted_guesses
    if style == {"temperature": 0}:
        assert stats.turns < 40
    assert quick.scheduler.pool.n_held == 0


def test_guesses_stop_at_the_context_and_slide():
    model, tokenizer = small_gpt(), Ids()

    def ask(speculate):
        engine = Engine(ReferenceDecoder.of(model, block_tokens=8), tokenizer)
        settings = Sampling(max_tokens=90, temperature=0, overflow="slide", speculate=speculate)
        return [s.id for s in engine.submit([1, 2, 1, 2, 1], settings)]

    assert ask(8) == ask(0)


def test_guesses_never_send_anyone_back():
    """A full cache: guesses are left out rather than made room for."""
    engine = count_engine(cache_tokens=48, block_tokens=4)
    prompt = BYTES.encode("ab" * 10)
    handle = engine.submit(prompt, Sampling(max_tokens=28, temperature=0, speculate=16))
    assert [s.id for s in handle] == alone(prompt, Sampling(max_tokens=28, temperature=0))
    assert engine.stats.preempted == 0
    assert np.all(np.array(engine.scheduler.pool.refs) == 0)
