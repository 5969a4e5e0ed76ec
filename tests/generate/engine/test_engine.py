import itertools
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from descent.generate import Sampling
from descent.generate.decoder.reference import ReferenceDecoder
from descent.generate.engine import Engine
from descent.generate.sessions import ModelLanguage
from descent.generate.stream import complete
from tests.generate.engine.models import BYTES, Ids, alone, count_engine, small_gpt

PROMPTS = ["def ", "import os\n", "x", "class A(B):\n    def __init__(self", "    return self."]


def ids(handle):
    return [step.id for step in handle if not step.prompt]


def sampling(seed=0, **settings):
    return Sampling(**{"max_tokens": 40, "seed": seed, **settings})


def test_one_request_equals_the_plain_loop():
    engine = count_engine()
    prompt = BYTES.encode("def main")
    assert ids(engine.submit(prompt, sampling(3))) == alone(prompt, sampling(3))
    assert engine.stats.running == engine.stats.waiting == 0
    assert engine.scheduler.pool.n_held == 0


def test_company_changes_nothing():
    """Seeded, greedy and penalised requests, joining at different times: the same tokens."""
    engine = count_engine(turn_tokens=16)
    wanted, got, handles = {}, {}, {}
    styles = [{}, {"temperature": 0}, {"top_k": 5}, {"repetition_penalty": 1.3}, {"top_p": 0.8}]
    jobs = [(p, s, style) for s, (p, style) in enumerate(itertools.product(PROMPTS, styles))]
    for number, (prompt, seed, style) in enumerate(jobs):
        settings = sampling(seed, **style)
        wanted[number] = alone(BYTES.encode(prompt), settings)
        handles[number] = engine.submit(BYTES.encode(prompt), settings)
        for _ in range(number % 3):
            engine.turn()
    for number in reversed(handles):
        got[number] = ids(handles[number])
    assert got == wanted
    assert engine.stats.turns < 200  # together, not one after another
    assert engine.scheduler.pool.n_held == 0


@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_a_small_cache_only_costs_time(data):
    """Blocks run out, tasks are sent back and computed again: nothing accepted is lost."""
    n = data.draw(st.integers(2, 6))
    engine = count_engine(
        cache_tokens=data.draw(st.sampled_from([96, 128, 200])),
        turn_tokens=data.draw(st.sampled_from([1, 7, 64])),
        prefix_cache=data.draw(st.booleans()),
        max_running=data.draw(st.integers(1, 6)),
    )
    prompts = [BYTES.encode(data.draw(st.sampled_from(PROMPTS))) for _ in range(n)]
    speculate = data.draw(st.sampled_from([0, 3]))
    handles = [
        engine.submit(p, sampling(seed, speculate=speculate)) for seed, p in enumerate(prompts)
    ]
    order = data.draw(st.permutations(range(n)))
    got = {i: ids(handles[i]) for i in order}
    assert [got[i] for i in range(n)] == [alone(p, sampling(i)) for i, p in enumerate(prompts)]
    assert engine.scheduler.pool.n_held == 0


def test_preemption_happens_and_is_counted():
    engine = count_engine(cache_tokens=96)
    handles = [engine.submit(BYTES.encode("def f"), sampling(s)) for s in range(4)]
    assert [ids(h) for h in handles] == [
        alone(BYTES.encode("def f"), sampling(s)) for s in range(4)
    ]
    assert engine.stats.preempted > 0


def test_a_request_larger_than_the_cache_is_refused_in_words():
    engine = count_engine(cache_tokens=32)
    with pytest.raises(MemoryError, match="the cache holds 32 tokens, too few for"):
        list(engine.submit(BYTES.encode("def f"), sampling(max_tokens=100)))
    assert engine.scheduler.pool.n_held == 0
    assert len(ids(engine.submit(BYTES.encode("def f"), sampling(max_tokens=8)))) == 8


def test_known_beginnings_are_not_computed_again():
    engine = count_engine()
    document = BYTES.encode("import sys\n" * 9)  # 99 tokens: 24 full blocks of 4
    first = engine.submit(document, sampling(1))
    a = ids(first)
    assert first.n_cached == 0
    second = engine.submit(document, sampling(1))
    assert ids(second) == a
    assert second.n_cached == 96
    longer = engine.submit([*document, *a, 10], sampling(2))
    assert ids(longer) == alone([*document, *a, 10], sampling(2))
    assert longer.n_cached >= 96 + 40 - 4
    other = engine.submit([11, *document], sampling(3))
    next(other)
    assert other.n_cached == 0


def test_eviction_keeps_results_right():
    engine = count_engine(cache_tokens=160)
    order = random.Random(0)
    prompts = [BYTES.encode(p * 3) for p in PROMPTS if len(p) < 30]
    for seed in range(40):
        prompt = order.choice(prompts)
        settings = sampling(seed, max_tokens=12)
        assert ids(engine.submit(prompt, settings)) == alone(prompt, settings)
    assert engine.stats.prefix_tokens_found > 0


def test_a_long_prompt_does_not_stop_the_others():
    engine = count_engine(turn_tokens=20)
    short = engine.submit([120], sampling(max_tokens=60))
    next(short)
    long = engine.submit(BYTES.encode("word " * 80), sampling(max_tokens=2))
    turns, made = engine.stats.turns, 1
    while not long.has_news:
        engine.turn()
    turns = engine.stats.turns - turns
    while short._ready:
        short._ready.popleft()
        made += 1
    assert turns >= 400 / 20
    assert made == 1 + turns  # a token each turn


def test_choices_share_the_prompt_and_differ():
    engine = count_engine()
    prompt = BYTES.encode("def compute_something_long(self, argument):\n    ")
    handles = engine.submit_all(prompt, sampling(5, n=4))
    texts = [ids(h) for h in handles]
    assert texts == [alone(prompt, sampling(5), choice=i) for i in range(4)]
    assert len(set(map(tuple, texts))) == 4
    assert all(h.n_cached >= len(prompt) - 4 for h in handles[1:])


def test_best_of_ranks_by_mean_log_probability():
    engine = count_engine()
    [best] = engine.generate(["def "], sampling(1, n=2, best_of=6))
    [every] = engine.generate(["def "], sampling(1, n=6, logprobs=0))
    means = sorted((c.logprob / len(c.ids) for c in every), reverse=True)
    assert [c.logprob / len(c.ids) for c in best] == pytest.approx(means[:2])


def test_cancelling_frees_blocks_and_the_place_in_line():
    engine = count_engine(max_running=1)
    first = engine.submit(BYTES.encode("def "), sampling(1))
    second = engine.submit(BYTES.encode("def "), sampling(2))
    third = engine.submit(BYTES.encode("def "), sampling(3))
    next(first)
    assert engine.scheduler.pool.n_held > 0
    second.cancel()
    first.close()
    assert engine.scheduler.pool.n_held == 0
    assert ids(third) == alone(BYTES.encode("def "), sampling(3))
    assert list(second) == []


def test_cancelled_in_the_middle_others_go_on():
    engine = count_engine()
    handles = [engine.submit(BYTES.encode("def "), sampling(s)) for s in range(4)]
    engine.turn(), engine.turn()
    handles[1].cancel()
    assert ids(handles[2]) == alone(BYTES.encode("def "), sampling(2))
    assert len(ids(handles[1])) <= 3


def test_a_failing_decoder_fails_its_turn_and_nothing_else():
    engine = count_engine()
    forward, engine.decoder.forward = engine.decoder.forward, None
    with pytest.raises(TypeError):
        list(engine.submit([1, 2], sampling()))
    engine.decoder.forward = forward
    assert engine.scheduler.pool.n_held == 0
    assert ids(engine.submit([100, 101], sampling())) == alone([100, 101], sampling())


def test_unusable_logits_fail_one_request():
    engine = count_engine()
    forward = engine.decoder.forward
    engine.decoder.forward = lambda i: np.full(256, np.nan) if i[0] == 7 else forward(i)
    bad, good = engine.submit([7, 8], sampling()), engine.submit([100, 101], sampling())
    assert ids(good) == alone([100, 101], sampling())
    with pytest.raises(ValueError, match="not usable"):
        list(bad)


def test_prompts_are_checked():
    engine = count_engine(context=32)
    with pytest.raises(ValueError, match="token 256 at position 1"):
        engine.submit([1, 256], sampling())
    with pytest.raises(ValueError, match="no tokens"):
        engine.submit([], sampling())
    with pytest.raises(ValueError, match="context is 32 tokens, but 50 were asked for"):
        engine.submit([1] * 10, sampling())
    with pytest.raises(ValueError, match="logit_bias names token 256"):
        engine.submit([1], sampling(max_tokens=2, logit_bias={256: 1.0}))


def test_overflow_truncates_the_front():
    engine = count_engine(context=32)
    prompt = BYTES.encode("0123456789abcdefghijklmnopqrstuvwxyz")
    cut = engine.submit(prompt, sampling(max_tokens=10, overflow="truncate"), echo=True)
    assert "".join(s.text for s in cut if s.prompt) == "efghijklmnopqrstuvwxyz"
    kept = engine.submit(prompt, sampling(max_tokens=10, overflow="truncate"), echo=True, hidden=1)
    assert kept._ready[0].token == "f"  # the begin token is kept, and hidden


@pytest.mark.parametrize("n_prompt", [3, 47, 60])
def test_sliding_equals_the_session_that_slides(n_prompt):
    """Past the context, the newest half is read again: as `CachedSession` does."""
    model, tokenizer = small_gpt(), Ids()
    engine = Engine(ReferenceDecoder.of(model, block_tokens=8), tokenizer)
    settings = Sampling(max_tokens=120, seed=4, overflow="slide")
    prompt = [i % 61 for i in range(n_prompt)]
    language = ModelLanguage(model, 61)
    wanted = [s.id for s in complete(language, tokenizer, prompt, settings)]
    assert ids(engine.submit(prompt, settings)) == wanted
    assert engine.scheduler.pool.n_held == 0


def test_the_engines_own_thread():
    engine = count_engine()
    engine.start()
    try:
        handles = [engine.submit(BYTES.encode("def "), sampling(s)) for s in range(6)]
        for seed, handle in enumerate(handles):
            assert ids(handle) == alone(BYTES.encode("def "), sampling(seed))
    finally:
        engine.stop()
    assert ids(engine.submit(BYTES.encode("def "), sampling(9))) == (
        alone(BYTES.encode("def "), sampling(9))
    )


def test_scored_prompts():
    """The same scores as the plain loop, whatever the pieces and however often it starts again."""
    prompt = BYTES.encode("import os, sys\n")
    settings = sampling(2, logprobs=2, max_tokens=20)
    plain = [
        (s.id, s.logprob, s.top, s.text, s.offset, s.prompt)
        for s in complete(count_model(), BYTES, prompt, settings, echo=True)
    ]
    engine = count_engine(turn_tokens=16, cache_tokens=72)
    engine.submit(prompt, settings)
    handles = [engine.submit(prompt, settings, echo=True) for _ in range(3)]
    for handle in handles:
        steps = list(handle)
        assert [(s.id, s.logprob, s.top, s.text, s.offset, s.prompt) for s in steps] == plain
    only = engine.submit(prompt, sampling(logprobs=None, prompt_logprobs=1, max_tokens=0))
    assert [s.logprob for s in only] == [p[1] for p in plain[: len(prompt)]]


def count_model():
    from tests.count_models import code_model

    return code_model()


def test_nothing_is_computed_for_no_tokens():
    engine = count_engine()
    assert list(engine.submit([100], sampling(max_tokens=0))) == []
    assert engine.stats.turns == 0


def test_generate_takes_texts_and_reports():
    engine = count_engine()
    (one,), (two,) = engine.generate(["def ", "import "], sampling(1, logprobs=1, stop=("\n",)))
    assert one.finish_reason in ("stop", "length")
    assert one.text == "".join(s.text for s in one.steps)
    assert one.logprob == pytest.approx(sum(s.logprob for s in one.steps))
    assert two.ids
