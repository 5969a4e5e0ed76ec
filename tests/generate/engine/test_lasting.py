"""The 1,000th call is as small as the first (gpt-2-simple grew with every one)."""

import gc
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest

from descent.generate import Completer, Sampling
from descent.generate.decoder.reference import ReferenceDecoder
from descent.generate.engine import Engine
from tests.count_models import ByteTokenizer
from tests.generate.engine.models import count_decoder, count_engine


def grown_by_calls() -> list[int]:
    """Bytes that 500 calls leave behind, three times."""
    engine = count_engine(cache_tokens=512)
    styles = [{}, {"regex": "[a-z]+;"}, {"beams": 2}, {"n": 2}, {"speculate": 3}, {"stop": ("\n",)}]

    def call(i: int) -> None:
        settings = Sampling(max_tokens=4, seed=i, **styles[i % len(styles)])
        engine.generate([f"def f{i % 50}(x):"], settings)
        assert engine.scheduler.pool.n_held == 0

    def held() -> int:
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    for i in range(300):  # what is kept for later finds its size
        call(i)
    tracemalloc.start()
    grown = []
    for _ in range(3):
        before = held()
        for i in range(500):
            call(i)
        grown.append(held() - before)
    scheduler = engine.scheduler
    assert not scheduler.running
    assert not scheduler.waiting
    assert len(scheduler.pool._by_key) <= scheduler.pool.n_blocks
    return grown


@pytest.mark.slow
def test_a_thousand_calls_leave_nothing_behind():
    """In a process of its own: what other tests left running allocates too, and is counted."""
    code = "from tests.generate.engine.test_lasting import grown_by_calls as g; print(*g())"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[3],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    # A leak grows every time, a dictionary that doubles once.
    assert min(map(int, done.stdout.split())) < 10_000  # less than the smallest object a call


def test_a_completer_with_a_decoder_uses_one_engine_for_all():
    class Language:
        context, vocab_size = 512, 256
        decoder: ReferenceDecoder = count_decoder()

        def session(self):
            raise AssertionError("the engine computes")

    completer = Completer("m", 0, Language(), ByteTokenizer(), overflow="slide")
    assert isinstance(completer.engine, Engine)
    text = completer.complete_text("def ", seed=1, max_tokens=12)
    assert text == completer.complete_text("def ", seed=1, max_tokens=12)
    prompts = [completer.encode("def "), completer.encode("import ")]
    together = completer.streams(prompts, Sampling(seed=1, max_tokens=12), n=3)
    texts: dict[int, str] = {}
    order = []
    for index, step in together:
        texts[index] = texts.get(index, "") + step.text
        order.append(index)
    assert texts[0] == text
    assert len(texts) == 6
    assert sorted(order[2:8]) == [0, 1, 2, 3, 4, 5]  # once both prompts are read: in turns
    assert completer.engine.scheduler.pool.n_held == 0
