"""Constraints through tokens: whatever a random model writes, with any vocabulary, is valid."""

import json
import re

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from descent.generate import Sampling
from descent.generate.constrain import ConstraintError
from descent.generate.decoder.reference import ReferenceDecoder
from descent.generate.engine import Engine
from descent.generate.lexicon import Lexicon
from descent.generate.stream import complete
from tests.count_models import ByteTokenizer, code_model
from tests.generate.constrain.test_json_schema import PERSON, TREE, some_schemas

WORDS = [
    '{"',
    '":',
    '": "',
    '",',
    '", "',
    "}}",
    "name",
    "true",
    "null",
    "12",
    "-1.",
    "[[",
    "],",
    "é",
    "日本",
    "  ",
    "ab",
]
PIECES = [bytes([b]) for b in range(256)] + [w.encode() for w in WORDS] + ["é".encode()[:1] + b"x", b""]  # fmt: skip


class PieceTokenizer:
    """All bytes, some longer pieces (among them an impossible one), a special token, a gap."""

    vocab_size = len(PIECES)
    special_tokens = {"<|x|>": len(PIECES) - 1}  # noqa: RUF012

    def encode(self, text):
        return list(text.encode())

    def decode_bytes(self, ids):
        return b"".join(PIECES[id] for id in ids)

    def decode(self, ids):
        return self.decode_bytes(ids).decode(errors="replace")

    def token_bytes(self, id):
        return PIECES[id]


END = len(PIECES)
SIZE = END + 5  # an end token, and padding


def random_engine(seed: int, **options) -> Engine:
    """A model of nothing: its logits are noise, fixed by the text."""

    def forward(ids):
        rng = np.random.default_rng([seed, *ids])
        return (3 * rng.standard_normal(SIZE)).astype(np.float32)

    decoder = ReferenceDecoder(forward, vocab_size=SIZE, context=4096, cache_tokens=8192)
    return Engine(decoder, PieceTokenizer(), [END], {END: "<|end|>"}, **options)


def written(constraint, seed=0, **settings):
    engine = random_engine(seed)
    settings = {"max_tokens": 150, "seed": seed, **settings}
    [[made]] = engine.generate([[65]], Sampling(**constraint, **settings))
    return made


@given(
    schema=some_schemas(), seed=st.integers(0, 999), temperature=st.sampled_from([0.0, 1.0, 2.0])
)
@settings(max_examples=40, deadline=None)
def test_json_of_any_schema(schema, seed, temperature):
    made = written({"json_schema": schema}, seed, temperature=temperature)
    jsonschema.Draft202012Validator(schema).validate(json.loads(made.text))


@pytest.mark.parametrize("seed", range(8))
def test_objects_and_trees_within_few_tokens(seed):
    """Towards the end of max_tokens the text is led to its end."""
    jsonschema.validate(
        json.loads(written({"json_schema": PERSON}, seed, max_tokens=40).text), PERSON
    )
    jsonschema.validate(json.loads(written({"json_schema": TREE}, seed, max_tokens=60).text), TREE)
    assert isinstance(json.loads(written({"json_object": True}, seed, max_tokens=30).text), dict)


@pytest.mark.parametrize("pattern", [r"\d{3}-[a-z]+", r"(é|日本)+!", r"[^x]{5}", r"a*b*"])
def test_regex(pattern):
    for seed in range(5):
        made = written({"regex": pattern}, seed, max_tokens=25)
        assert re.fullmatch(pattern, made.text), made.text


def test_choice_ends_by_itself():
    texts = set()
    for seed in range(20):
        made = written({"choice": ("yes", "no", "name it")}, seed)
        assert made.finish_reason == "stop"
        assert END not in made.ids  # nothing could follow: no end token is drawn
        texts.add(made.text)
    assert texts == {"yes", "no", "name it"}


def test_an_end_is_only_drawn_where_the_text_is_complete():
    for seed in range(20):
        made = written({"regex": "(ab)*"}, seed, temperature=0.7, max_tokens=12, min_tokens=3)
        assert re.fullmatch("(ab)*", made.text)
        assert len(made.ids) >= 3


def test_too_few_tokens_for_any_text_are_used_as_well_as_possible():
    made = written({"regex": "abcdefgh"}, max_tokens=3)
    assert made.text == "ab" + "c" + "d"
    assert made.finish_reason == "length"


def test_the_plain_loop_keeps_to_constraints_too():
    sampling = Sampling(regex="[a-f]{4}=[0-9]+;", max_tokens=30, seed=1)
    steps = complete(code_model(), ByteTokenizer(), [10], sampling)
    assert re.fullmatch("[a-f]{4}=[0-9]+;", "".join(step.text for step in steps))


def test_constraints_are_compiled_once_and_shared():
    lexicon = Lexicon(PieceTokenizer(), SIZE, [END])
    one = lexicon.guide(Sampling(regex="a+"))
    two = lexicon.guide(Sampling(regex="a+", temperature=0))
    assert one._compiled is two._compiled
    one.accept(97)
    assert one.complete
    assert not two.complete
    for i in range(50):
        lexicon.guide(Sampling(regex=f"a{{{i}}}b"))
    assert len(lexicon.guides._kept) == 32


def test_company_of_constrained_and_free_requests():
    def ask(engine, seed):
        constraint = {"json_schema": PERSON} if seed % 2 else {}
        sampling = Sampling(seed=seed, max_tokens=60, speculate=3 * (seed % 3 == 1), **constraint)
        return engine.submit([65, seed], sampling)

    alone = [[s.id for s in ask(random_engine(5), seed)] for seed in range(6)]
    engine = random_engine(5)
    handles = [ask(engine, seed) for seed in range(6)]
    assert [[s.id for s in handle] for handle in handles] == alone


def test_a_vocabulary_that_cannot_begin_is_refused():
    class Letters(ByteTokenizer):
        def token_bytes(self, id):
            return bytes([97 + id % 26])

    with pytest.raises(ConstraintError, match="no token of this vocabulary can begin"):
        Lexicon(Letters(), 256).guide(Sampling(json_object=True))


def test_settings_that_leave_nothing_are_told():
    with pytest.raises(ValueError, match="leave no token that could follow"):
        written({"regex": "xyz"}, bad_words=("y",))
