"""Constraints over GPT-2's own 50,257 tokens."""

import json

import jsonschema
import numpy as np
import pytest

from descent.data.tokenizers import load_gpt2
from descent.generate import Sampling
from descent.generate.choosing import Chooser
from descent.generate.lexicon import Lexicon
from tests.data.known import known
from tests.generate.constrain.test_json_schema import PERSON, SHAPES, TREE

V = 50_257


@pytest.fixture(scope="module")
def lexicon():
    return Lexicon(load_gpt2(known("gpt2-encoder.json"), known("gpt2-vocab.bpe")), V, [V - 1])


@pytest.mark.parametrize(
    "schema", [PERSON, TREE, SHAPES, {"type": "object"}], ids=["a", "b", "c", "d"]
)
def test_noise_becomes_valid_json(lexicon, schema):
    rng = np.random.default_rng(0)
    for seed in range(4):
        sampling = Sampling(json_schema=schema, max_tokens=80, seed=seed, top_k=40 * (seed % 2))
        chooser = Chooser(lexicon, sampling, [1])
        data, reason = b"", None
        while reason is None:
            row = (2 * rng.standard_normal(V)).astype(np.float32)
            id = chooser.choose(row)
            reason = chooser.accept(id)
            data += lexicon.bytes(id)
        jsonschema.Draft202012Validator(schema).validate(json.loads(data))


def test_the_mask_is_exactly_what_each_token_allows(lexicon):
    guide = lexicon.guide(Sampling(json_schema=PERSON))
    machine = guide._automaton
    for text in ['{"', '{"name": "', '{"name":"é', '{"name": "Ann", "age": 1']:
        guide.state = machine.run(machine.start, text.encode())
        row = guide.masked(np.zeros(V, np.float32), [V - 1], 10**6)
        sample = [*range(0, V, 97), *lexicon.tokenizer.encode('"}, 0:é\\')]
        for id in sample:
            lives = bool(lexicon.bytes(id)) and machine.run(guide.state, lexicon.bytes(id)) != 0
            assert np.isfinite(row[id]) == lives, (text, lexicon.show(id))
