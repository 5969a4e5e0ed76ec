"""tokenizer.json: the same ids and text as the `tokenizers` library, shape by shape."""

import functools
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from descent.data import DataError
from descent.data.tokenizers import load_tokenizer
from descent.data.tokenizers.pipeline import PipelineTokenizer
from descent.data.tokenizers.splits import LLAMA3_SPLIT_PATTERN
from tests.data.tokenizers.texts import ADVERSARIAL, CODE, LONG, MIXED

hf = pytest.importorskip("tokenizers")
from tokenizers import AddedToken, Regex, decoders, models, normalizers, processors, trainers  # noqa: E402
from tokenizers import pre_tokenizers as pre  # noqa: E402

pytestmark = pytest.mark.oracle
QWEN = LLAMA3_SPLIT_PATTERN.replace("{1,3}", "")
TEXTS = [CODE, MIXED]


def plain_bytes(**options):
    return pre.ByteLevel(add_prefix_space=False, use_regex=False, **options)


def cut(pattern, behavior="isolated", invert=False):
    return pre.Split(Regex(pattern), behavior, invert)


BYTE_LEVEL = {
    "gpt2": (pre.ByteLevel(add_prefix_space=False), None),
    "roberta": (pre.ByteLevel(add_prefix_space=True), None),
    "llama3": (pre.Sequence([cut(LLAMA3_SPLIT_PATTERN), plain_bytes()]), None),
    "qwen2": (pre.Sequence([cut(QWEN), plain_bytes()]), normalizers.NFC()),
    "smollm2": (
        pre.Sequence([pre.Digits(individual_digits=True), pre.ByteLevel(add_prefix_space=False)]),
        None,
    ),
    "gpt4o-like": (
        pre.Sequence([cut(r"[\p{Lu}\p{Lt}]*[\p{Ll}\p{M}]+|\p{P}+|\p{S}|\s+|."), plain_bytes()]),
        normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(r"\s"), " ")]),
    ),
    "digits, punctuation": (
        pre.Sequence([pre.Digits(individual_digits=False), pre.Punctuation(), plain_bytes()]),
        normalizers.Lowercase(),
    ),
    "merged with previous": (
        pre.Sequence([pre.Split(" ", "merged_with_previous"), plain_bytes()]),
        normalizers.Strip(),
    ),
    "merged with next": (pre.Sequence([cut(r"\s|\d", "merged_with_next"), plain_bytes()]), None),
    "removed, contiguous": (
        pre.Sequence(
            [cut(r"\s", "removed"), cut(r"\p{Lu}\p{Ll}+", "contiguous", True), plain_bytes()]
        ),
        None,
    ),
    "white space removed": (pre.Sequence([pre.WhitespaceSplit(), plain_bytes()]), None),
}
PIECES = ("llama2", "first", "always", "never")


def byte_level(name):
    """A small byte-level BPE of that shape, with added tokens of every kind."""
    tokenizer = hf.Tokenizer(models.BPE(ignore_merges=name == "llama3"))
    tokenizer.pre_tokenizer, normalizer = BYTE_LEVEL[name]
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=700, show_progress=False, initial_alphabet=pre.ByteLevel.alphabet(),
        special_tokens=[AddedToken("<|endoftext|>", special=True)],
    )  # fmt: skip
    tokenizer.train_from_iterator(TEXTS, trainer)
    tokenizer.add_special_tokens(["<|im_start|>", "<|im_end|>"])
    tokenizer.add_tokens(
        [
            AddedToken("<tool>", normalized=False),
            AddedToken("rome" if "digits" in name else "Rome", single_word=True),
            AddedToken("<mask>", lstrip=True), AddedToken("<r>", rstrip=True, normalized=False),
        ]
    )  # fmt: skip
    return tokenizer


def sentence_piece(scheme):
    """A small vocabulary in the two forms sentence-piece models have been converted to."""
    learner = hf.Tokenizer(models.BPE(unk_token="<unk>"))
    learner.pre_tokenizer = pre.Metaspace()
    named = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    learner.train_from_iterator(
        TEXTS, trainers.BpeTrainer(
            vocab_size=800, show_progress=False, special_tokens=named, limit_alphabet=70,
        ),
    )  # fmt: skip
    model = json.loads(learner.to_str())["model"]
    merges = [tuple(merge) for merge in model["merges"]]
    tokenizer = hf.Tokenizer(
        models.BPE(model["vocab"], merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    )
    if scheme == "llama2":
        tokenizer.normalizer = normalizers.Sequence(
            [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
        )
        steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
        tokenizer.decoder = decoders.Sequence([*steps, decoders.Strip(" ", 1, 0)])
    else:
        split = scheme == "always"
        tokenizer.pre_tokenizer = pre.Metaspace(prepend_scheme=scheme, split=split)
        tokenizer.decoder = decoders.Metaspace(prepend_scheme=scheme, split=split)
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 1)]
    )
    return tokenizer


@functools.cache
def pairs():
    made = {name: byte_level(name) for name in BYTE_LEVEL}
    made |= {name: sentence_piece(name) for name in PIECES}
    made["no bytes"] = hf.Tokenizer.from_str(
        made["llama2"].to_str().replace('"byte_fallback":true', '"byte_fallback":false')
    )
    return {name: (PipelineTokenizer(json.loads(t.to_str())), t) for name, t in made.items()}


def check(name, pair, text):
    ours, theirs = pair
    theirs.encode_special_tokens = False
    ids = theirs.encode(text, add_special_tokens=False).ids
    assert ours.encode(text, "all") == ids, name
    assert [*ours.begin_ids, *ids, *ours.end_ids] == theirs.encode(text).ids
    if name != "first" or not text.startswith("▁▁"):  # Metaspace drops all of a first ▁▁
        assert ours.decode(ids) == theirs.decode(ids, skip_special_tokens=False), name
    stream = ours.stream()
    assert "".join(map(stream.push, ids)) + stream.close() == ours.decode(ids)
    theirs.encode_special_tokens = True
    assert ours.encode(text, "none") == theirs.encode(text, add_special_tokens=False).ids, name


@settings(max_examples=300)
@given(text=ADVERSARIAL)
def test_equals_tokenizers(text):
    for name, pair in pairs().items():
        check(name, pair, text)


def test_real_and_long_text():
    for name, pair in pairs().items():
        for text in (CODE[:3000], MIXED, *LONG):
            check(name, pair, text)


def test_every_token_of_the_vocabulary():
    for name, (ours, theirs) in pairs().items():
        assert ours.vocab_size == theirs.get_vocab_size(), name
        for token in range(ours.vocab_size):
            shown = theirs.decode([token], skip_special_tokens=False)
            assert (
                ours.decode([token]) == shown or shown == "�" or "▁▁" in theirs.id_to_token(token)
            )


def test_special_tokens():
    ours, _ = pairs()["gpt2"]
    assert set(ours.special_tokens) == {"<|endoftext|>", "<|im_start|>", "<|im_end|>"}
    assert ours.added_tokens["<tool>"] not in ours.special_tokens.values()
    with pytest.raises(DataError, match=r"special token '<\|im_start\|>' at character 1"):
        ours.encode("a<|im_start|>")
    ids = ours.encode("a<|im_start|><tool>b", {"<|im_start|>"})
    assert ids[1:3] == [ours.special_tokens["<|im_start|>"], ours.added_tokens["<tool>"]]
    assert ours.decode(ids, skip_special=True) == "a<tool>b"
    stream = ours.stream(skip_special=True)
    assert "".join(map(stream.push, ids)) + stream.close() == "a<tool>b"


def test_configuration(tmp_path):
    _, theirs = pairs()["gpt2"]
    theirs.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "special_tokens_map.json").write_text('{"eos_token": {"content": "<|im_end|>"}}')
    config = {
        "bos_token": {"content": "<|im_start|>", "special": True}, "add_bos_token": True,
        "chat_template": [{"name": "default", "template": "a"}, {"name": "rag", "template": "b"}],
    }  # fmt: skip
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    ours = load_tokenizer(tmp_path)
    assert ours.bos_id == ours.special_tokens["<|im_start|>"]
    assert ours.eos_id == ours.special_tokens["<|im_end|>"]
    assert ours.encode_prompt("hi") == [ours.bos_id, *ours.encode("hi")]
    assert ours.chat_template == "a"
    (tmp_path / "chat_template.jinja").write_text("ü", encoding="utf-8")
    assert load_tokenizer(tmp_path).chat_template == "ü"
    ours.save(tmp_path / "kept.json")
    again = load_tokenizer(tmp_path / "kept.json")
    assert isinstance(again, PipelineTokenizer)
    assert again.encode_prompt(CODE) == ours.encode_prompt(CODE)
    assert (again.eos_id, again.chat_template) == (ours.eos_id, "a")


def test_vocab_json_and_merges_txt(tmp_path):
    _, theirs = pairs()["gpt2"]
    theirs.model.save(str(tmp_path))
    ours = load_tokenizer(tmp_path)
    theirs.encode_special_tokens = False
    text = CODE + "<|endoftext|>"
    assert ours.encode(text, "all") == theirs.encode(text).ids
    assert ours.special_tokens["<|endoftext|>"] == 0


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"model": {"type": "Unigram", "vocab": []}}, "model 'Unigram' is not known here"),
        ({"model": {"type": "WordPiece", "vocab": {}}}, "model 'WordPiece'"),
        (
            {"model": {"type": "BPE", "vocab": {"a": 0}, "merges": ["a b"]}},
            "'ab' is not in the voc",
        ),
        ({"model": {"type": "BPE", "vocab": {"a": 0}, "merges": ["a"]}}, "merge 0 must be two"),
        ({"model": {"type": "BPE", "vocab": {"a": "0"}, "merges": []}}, "must map tokens to ids"),
        ({"model": {"type": "BPE", "vocab": {}, "merges": [], "dropout": 0.1}}, "dropout=0.1"),
        ({"model": {"type": "BPE", "vocab": {}, "merges": [], "unk_token": "u"}}, "unknown token"),
        ({"normalizer": {"type": "Precompiled"}}, "normalizer 'Precompiled' is not known"),
        ({"pre_tokenizer": {"type": "Whitespace"}}, "pre-tokenizer 'Whitespace' is not known"),
        ({"pre_tokenizer": {"type": "Split", "pattern": {}, "behavior": "Isolated"}}, "a pattern"),
        (
            {"pre_tokenizer": {"type": "Split", "pattern": {"String": "a"}, "behavior": "x"}},
            "Split behavior 'x'",
        ),
        ({"decoder": {"type": "WordPiece"}}, "decoder 'WordPiece'"),
        ({"post_processor": {"type": "Other"}}, "post-processor 'Other'"),
        ({"added_tokens": [{"id": -1, "content": "a"}]}, '"added_tokens" must have'),
        ({"normalizer": {"type": "Replace"}}, "not a complete tokenizer.json: KeyError"),
        ({"pre_tokenizer": []}, "not a complete tokenizer.json"),
    ],
)
def test_what_is_not_known_is_named(tmp_path, parts, message):
    spec = json.loads(pairs()["gpt2"][1].to_str())
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(spec | parts))
    with pytest.raises(DataError, match=message) as error:
        load_tokenizer(path)
    assert str(path) in str(error.value)


JUNK = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 2**70), st.text(max_size=3), st.just([]), st.just({}),
    st.just([[["a"]]]), st.just({"type": "Sequence"}), st.just({"Regex": "(((a"}),
)  # fmt: skip


def places(value, path=()):
    """Paths of everything inside a JSON value; of long lists and dictionaries a few items."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in list(items)[:12]:
        if isinstance(item, dict | list):
            yield from places(item, (*path, key))
        else:
            yield (*path, key)


@pytest.mark.parametrize("name", ["llama3", "llama2"])
@settings(max_examples=100)
@given(data=st.data())
def test_changed_files_are_refused_or_work(name, data):
    """Whatever stands in the file: our own error, or a tokenizer that encodes."""
    spec = json.loads(pairs()[name][1].to_str())
    *path, last = data.draw(st.sampled_from([p for p in places(spec) if p]))
    inner = spec
    for key in path:
        inner = inner[key]
    inner[last] = data.draw(JUNK)
    try:
        tokenizer = PipelineTokenizer(spec)
    except DataError:
        return
    assert isinstance(tokenizer.encode("Some words 🙂", "none"), list)
