import pytest

from descent.generate import Completer, PromptError, Sampling
from tests.count_models import ByteTokenizer, TrigramModel, code_completer, name_completer

TEXT = list(b"the cat sat on the mat\n" * 50)


def bounded(**options):
    return Completer("m", 0, TrigramModel(TEXT, 256, context=10), ByteTokenizer(), **options)


def test_names_start_from_nothing_and_end_by_themselves():
    completer = name_completer()
    names = [completer.complete_text(seed=seed, max_tokens=200) for seed in range(20)]
    assert all(name.isalpha() and name.islower() for name in names)
    assert max(map(len, names)) < 60
    assert completer.complete_text("em", seed=1).isalpha()


def test_begin_token_is_hidden():
    prompt = name_completer().encode("emma")
    assert prompt.ids[0] == 0
    assert (prompt.n_tokens, prompt.hidden) == (4, 1)
    assert name_completer().encode([5, 1]).hidden == 0  # ids are taken as they are


def test_text_without_begin_or_end_token_starts_after_a_line_break():
    prompt = code_completer().encode("")
    assert prompt.ids == (10,)
    assert prompt.n_tokens == 0


def test_overflow_is_refused_and_names_the_field():
    completer = bounded()
    assert completer.fit(completer.encode("123456"), 4).n_tokens == 6
    with pytest.raises(PromptError, match="context of 10 tokens, but 11") as refused:
        completer.fit(completer.encode("1234567"), 4)
    assert (refused.value.param, refused.value.code) == ("max_tokens", "context_length_exceeded")
    with pytest.raises(PromptError) as refused:
        completer.fit(completer.encode("12345678901"), 0)
    assert refused.value.param == "prompt"


def test_truncation_keeps_the_end_and_leaves_room():
    completer = bounded()
    prompt = completer.encode("0123456789abcdef")
    assert bytes(completer.fit(prompt, 4, keep=-1).ids) == b"abcdef"
    assert bytes(completer.fit(prompt, 4, keep=3).ids) == b"def"
    assert len(completer.fit(prompt, 400, keep=-1).ids) == 5
    with pytest.raises(PromptError):
        completer.fit(prompt, 4, keep=9)
    assert len(bounded(overflow="slide").fit(prompt, 4).ids) == 16


def test_complete_text_takes_sampling_fields():
    assert bounded().complete_text("the c", temperature=0, max_tokens=6) == "at on "
    assert bounded().complete_text("the c", temperature=0, max_tokens=6, stop=(" ",)) == "at"


def test_ids_outside_the_vocabulary_are_refused():
    with pytest.raises(PromptError, match="token 256 at position 1"):
        code_completer().encode([1, 256])


def test_parts_that_do_not_belong_together_are_refused():
    with pytest.raises(ValueError, match="different runs"):
        Completer("m", 0, TrigramModel([0, 1, 0], 10), ByteTokenizer())
    with pytest.raises(ValueError, match="special token id 300"):
        bounded(eos_ids=[300])


def test_defaults_apply():
    completer = bounded(defaults=Sampling(temperature=0, max_tokens=3))
    assert completer.complete_text("the c") == "at "
