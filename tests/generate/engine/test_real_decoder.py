"""The engine on the fast decoder: the same texts as on the reference, through every kind of block."""

import pytest

from descent.generate import Sampling
from descent.generate.decoder import Decoder
from descent.generate.decoder.reference import ReferenceDecoder
from descent.generate.engine import Engine
from tests.generate.engine.models import Ids, small_gpt

PROMPTS = [[1, 2, 3], [5] * 20, [7, 8] * 10, list(range(40)), [9]]
SETTINGS = [
    {"temperature": 0},
    {"seed": 1},
    {"seed": 3, "top_p": 0.9, "repetition_penalty": 1.2},
    {"beams": 3, "n": 2},
    {"seed": 1, "speculate": 4, "n": 3},
    {"temperature": 0, "max_tokens": 60},  # slides past the context of 48
]


@pytest.mark.parametrize("cache_tokens", [8192, 160])
def test_as_the_reference_writes(cache_tokens):
    """With room for all, and with blocks that run out, are shared, copied and found again."""
    model = small_gpt()
    slow = Engine(ReferenceDecoder.of(model), Ids())
    fast = Engine(Decoder.of(model, cache_tokens=cache_tokens), Ids(), turn_tokens=32)
    asked = [Sampling(**({"max_tokens": 20, "overflow": "slide"} | s)) for s in SETTINGS]
    wanted = [slow.generate(PROMPTS, sampling) for sampling in asked]
    groups = [[fast.submit_all(prompt, s) for prompt in PROMPTS] for s in asked]  # all at once
    got = [[[[step.id for step in h] for h in handles] for handles in group] for group in groups]
    assert got == [[[list(c.ids) for c in made] for made in group] for group in wanted]
    stats = fast.stats
    assert fast.scheduler.pool.n_held == 0
    assert stats.prefix_tokens_found > 0
    assert (stats.preempted > 0) == (cache_tokens == 160)
